"""Reports and SBOMs by Trivy, Grype and Syft, made on the low side and carried with the images.

What a scanner says depends on the day; what an export writes must not. So a scan is a step between
lock and export: what was said goes into files beside the lock, and the lock pins them as referrers
of the image, like everything else that travels.

tools.py    the programs: where they are, which version, what they are told
program.py  one run of one: its environment, its time, its last words
door.py     a registry on loopback that has the locked images, for one scanner
attach.py   documents as referrers in the lock
run.py      a scan of a lock
option.py   the options that it has
command.py  dray scan
"""
