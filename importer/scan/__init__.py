"""Malware scan of what is imported, by a clamd that somebody else runs: no virus engine is in here.

address.py  where clamd is
reply.py    what clamd answers, read strictly
clamd.py    its protocol: one stream per connection
engine.py   whether this clamd can be believed: a test file, its limits, the age of its signatures
inside.py   a blob's bytes as the files in it: gzip, Zstandard, tar
forward.py  streams that can be read but once, unpacked
batch.py    small files together, so that a hundred thousand of them cost little
tap.py      the bytes on their way to a target, for the scanner as well
scanner.py  verdicts by digest, and what must not come in
whole.py    a bundle scanned where it lies
earlier.py  what earlier imports of this host have scanned
show.py     what it says to people
option.py   the options
"""
