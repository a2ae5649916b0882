"""The high side's ledger: what was imported, refused, overridden and trusted, in one hash chain.

entry.py    one line: written, and read strictly
chain.py    lines that follow from each other; no disk, no clock
book.py     the file of this host: append, recover, set aside
streams.py  where each stream stands, read off the entries
shelf.py    where copies lie in a target: a folder, a bucket, a registry
mirror.py   the copy that another host reads before it imports
command.py  dray ledger
"""
