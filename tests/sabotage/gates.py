"""The checks of the gates: each refuses what it does not know."""

from __future__ import annotations

from tests.sabotage.edit import Sabotage

_REPORTS = ("tests/bundle/gate/test_reports.py",)
_JUDGE = ("tests/bundle/gate/test_judge.py",)
_CARRIED = ("tests/bundle/gate/test_carried.py",)
_VEX = ("tests/bundle/gate/test_vex.py",)
_SPDX = ("tests/bundle/gate/test_spdx.py",)
_PROMOTE = ("tests/importer/promote/test_promote.py",)
_HARBOR = ("tests/importer/promote/test_harbor.py",)
_CHECKLIST = ("tests/importer/promote/test_checklist.py",)
_PLACES = ("tests/importer/test_destinations.py",)
GATES = (
    Sabotage("bundle/gate/trivy.py", "not 2", tests=_REPORTS),
    Sabotage("bundle/gate/sarif.py", "nothing was looked at", tests=_REPORTS),
    Sabotage("bundle/gate/sarif.py", "did not end well", tests=_REPORTS),
    Sabotage("bundle/gate/grype.py", "not by grype", tests=_REPORTS),
    Sabotage("bundle/gate/foreign.py", "is longer than {limit}", tests=_REPORTS),
    Sabotage(
        "bundle/gate/documents.py",
        "if cyclonedx.is_report(document) else {SBOM}",
        "",
        tests=_REPORTS,
    ),
    Sabotage("bundle/gate/vex.py", "says not_affected, and not why", tests=_VEX),
    Sabotage("bundle/gate/vex.py", "it is about nothing", tests=_VEX),
    Sabotage(
        "bundle/gate/vex.py",
        "if document.only and document.only != artifact.name:",
        "if False:",
        tests=_VEX,
    ),
    Sabotage("bundle/gate/vex.py", "return bool(self.digests & mine)", "return True", tests=_VEX),
    Sabotage("bundle/gate/spdx.py", "if _listed(base, deny):", "if False:", tests=_SPDX),
    Sabotage("bundle/gate/carried.py", "is larger than {LIMIT}", tests=_CARRIED),
    Sabotage("bundle/gate/carried.py", "if number > MOST:", "if False:", tests=_CARRIED),
    Sabotage(
        "bundle/gate/judge.py",
        "if report.about and not report.about & mine:",
        "if False:",
        tests=_JUDGE,
    ),
    Sabotage(
        "bundle/gate/judge.py",
        "if report.made and report.made > self.now + SKEW:",
        "if False:",
        tests=_JUDGE,
    ),
    Sabotage("bundle/gate/judge.py", "if report.made is None:", "if False:", tests=_JUDGE),
    Sabotage(
        "bundle/gate/judge.py",
        "if self.now - report.made > rules.max_age:",
        "if False:",
        tests=_JUDGE,
    ),
    Sabotage("bundle/gate/judge.py", "if self.now < entry.until:", "if True:", tests=_JUDGE),
    Sabotage(
        "bundle/gate/judge.py",
        "sorted(dict.fromkeys(findings), key=_worst_first)",
        "sorted({_key(one): one for one in findings}.values(), key=_worst_first)",
        tests=_JUDGE,
    ),
    Sabotage("bundle/gate/judge.py", "if key not in refused]", "]", tests=_JUDGE),
    Sabotage(
        "bundle/gate/judge.py",
        'if root in one.subjects and (len(there) == 1 or one.report.form == "harbor"):',
        "if root in one.subjects:",
        tests=_JUDGE,
    ),
    Sabotage(
        "bundle/gate/judge.py",
        "if statement.status in vexes.SUPPRESSES:",
        "if True:",
        tests=_JUDGE,
    ),
    Sabotage("importer/promote/run.py", "raise self.refused", "pass", tests=_PROMOTE),
    Sabotage(
        "importer/promote/copying.py",
        "                if names:\n",
        "                if False:\n",
        tests=_PROMOTE,
    ),
    Sabotage("importer/promote/places.py", "if place != entry.place:", "if False:", tests=_PROMOTE),
    Sabotage(
        "importer/promote/source.py",
        "str(Digest.of(data)) in ledger.receipts()",
        "True",
        tests=_PROMOTE,
    ),
    Sabotage(
        "importer/promote/scanning.py", "if scan.status != SUCCESS:", "if False:", tests=_HARBOR
    ),
    Sabotage(
        "importer/checklist/lines.py",
        "if said.overridden and said.refused:",
        "if False:",
        tests=_CHECKLIST,
    ),
    Sabotage("importer/checklist/lines.py", "    if lacking:", "    if False:", tests=_CHECKLIST),
    Sabotage(
        "importer/checklist/lines.py", "if account.kind == SERVICE:", "if True:", tests=_CHECKLIST
    ),
    Sabotage("importer/destinations.py", "is where other things are", tests=_PLACES),
)
