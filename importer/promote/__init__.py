"""``dray promote``: what lies in a quarantine is judged by a policy, and goes where it is used.

source.py     which import: its receipt, and who vouches for it
places.py     where its things lie, and where they go
scanning.py   the scans of a Harbor, begun and waited for
gates.py      all gates over all artifacts
copying.py    from one place to the other, within the target
run.py        one promotion, from the receipt to the record
record.py     the receipt of a promotion, and the ledger
show.py       tables for people, objects for machines
opening.py    what a promotion begins with
command.py    the command
"""
