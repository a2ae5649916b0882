"""Gates: what scanners, publishers and licences say of an artifact, judged by a policy.

finding.py    a finding and a report, whichever scanner wrote it
foreign.py    JSON of others' programs, read within bounds
trivy.py, grype.py, sarif.py, cyclonedx.py, harbor.py   the forms of reports
documents.py  tells the forms apart, and opens what wraps them
carried.py    the documents that an artifact carries
rules.py      the gates of a policy file
written.py    the same, as a file
vex.py        OpenVEX: what does not affect a product
spdx.py       licences: expressions of SPDX, and where documents state them
judge.py      the verdicts
assess.py     all gates over all artifacts of a bundle, and one refusal
"""
