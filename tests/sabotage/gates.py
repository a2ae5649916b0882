"""The checks of the gates: each refuses what it does not know."""

from __future__ import annotations

from tests.sabotage.edit import Sabotage

_REPORTS = ("tests/bundle/gate/test_reports.py",)
_JUDGE = ("tests/bundle/gate/test_judge.py",)
_CARRIED = ("tests/bundle/gate/test_carried.py",)
_VEX = ("tests/bundle/gate/test_vex.py",)
_SPDX = ("tests/bundle/gate/test_spdx.py",)
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
)
