"""What ``dray status`` tells: of each stream, what is here, what is pending, what it came from.

seen.py     notes of bundles that were verified here, one small file for each
history.py  what the ledger says of a stream: the last import, what has not ended, what was refused
arrived.py  what lies where, by the receipts that the ledger names
row.py      one stream: all of that, and what is not right
command.py  the command
"""
