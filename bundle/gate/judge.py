"""The verdicts: what the gates of a policy say of an artifact, with every reason and no byte read.

Everything that is not known refuses: a report that is missing, old or about something else, a
severity that nobody states, a document that cannot be read.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from bundle.gate import vex as vexes
from bundle.gate.carried import machines
from bundle.gate.finding import RANK, UNKNOWN, Finding
from bundle.gate.pattern import matches, takes
from bundle.gate.spdx import permits

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from bundle.artifact import Artifact
    from bundle.gate.carried import Evidence
    from bundle.gate.rules import Gates, Limit
    from bundle.gate.spdx import Declared
    from bundle.gate.vex import Vex

PASS, FAIL, SKIPPED = RESULTS = ("pass", "fail", "skipped")
SEVERITY, LICENSES = "severity", "licenses"
SKEW = timedelta(days=1)
"""How far a report may be ahead of this host's clock."""


@dataclass(frozen=True, slots=True)
class Excused:
    """A finding that was let through, by whom and why."""

    finding: Finding
    by: str
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """Return the object of ``--json`` and of records."""
        return {**self.finding.to_dict(), "by": self.by, "reason": self.reason}


@dataclass(frozen=True, slots=True)
class Check:
    """What one gate says of one artifact: ``pass``, ``fail`` or ``skipped``, and why.

    ``evidence`` are the reports that were gone by.
    """

    gate: str
    result: str
    summary: str
    faults: tuple[str, ...] = ()
    excused: tuple[Excused, ...] = ()
    evidence: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the object of ``--json`` and of records."""
        body: dict[str, Any] = {"gate": self.gate, "result": self.result, "summary": self.summary}
        if self.faults:
            body["faults"] = list(self.faults)
        if self.excused:
            body["excused"] = [one.to_dict() for one in self.excused]
        return body | ({"evidence": list(self.evidence)} if self.evidence else {})


@dataclass
class Judge:
    """Applies the gates of a policy at a moment. ``vex`` are the documents that it believes."""

    gates: Gates
    now: datetime
    vex: Sequence[Vex] = ()
    used: set[int] = field(default_factory=set)

    def severity(
        self, artifact: Artifact, reports: Sequence[Evidence], unreadable: Sequence[str] = ()
    ) -> Check:
        """Judge what scanners found in an artifact; ``unreadable`` are reports that say nothing."""
        limit = self.gates.limit(artifact)
        if limit is None:
            return Check(SEVERITY, SKIPPED, "no limit is about it")
        usable, faults = self._usable(artifact, reports)
        faults = [*unreadable, *faults]
        bare = self._bare(artifact, usable)
        if bare and self.gates.needs_report(artifact):
            faults += bare
        elif bare and not faults and not usable:
            return Check(
                SEVERITY, SKIPPED, f"no report, and none is asked for of any {artifact.kind}"
            )
        findings = [finding for one in usable for finding in one.report.findings]
        refused, excused = self._sorted_out(artifact, findings, limit)
        found = {_key(finding) for finding in findings}
        names = tuple(dict.fromkeys(one.report.name for one in usable))
        said = (
            f"{len(found)} found, {len(refused)} above {limit.severity}" if usable else "no report"
        )
        said += f", {len(excused)} let through" if excused else ""
        all_faults = (*faults, *refused)
        result = FAIL if all_faults else PASS
        return Check(SEVERITY, result, said, all_faults, tuple(excused), names)

    def _sorted_out(
        self, artifact: Artifact, findings: Sequence[Finding], limit: Limit
    ) -> tuple[list[str], list[Excused]]:
        """Return what is said of findings that are refused, and those that are let through.

        Each report's word is judged by itself: one that gives a finding no severity, no version
        that mends it, or another name that is allowed, takes nothing from what another one says.
        """
        refused: dict[_Key, str] = {}
        excused: dict[_Key, Excused] = {}
        for finding in sorted(dict.fromkeys(findings), key=_worst_first):
            if not self._exceeds(finding, limit):
                continue
            excuse, note = self._excuse(artifact, finding)
            if excuse:
                excused.setdefault(_key(finding), excuse)
            else:
                refused.setdefault(_key(finding), f"{finding}, says {finding.source}{note}")
        let = [excuse for key, excuse in excused.items() if key not in refused]
        return list(refused.values()), let

    # -- reports ----------------------------------------------------------------------------------

    def _usable(
        self, artifact: Artifact, reports: Sequence[Evidence]
    ) -> tuple[list[Evidence], list[str]]:
        """Return the reports that count, and why the others do not where none is left."""
        good: list[Evidence] = []
        faults: list[str] = []
        mine = {str(content.digest) for content in artifact.contents}
        for one in reports:
            if fault := self._fault(one, mine):
                faults.append(fault)
            else:
                good.append(one)
        covered = {subject for one in good for subject in _covered(artifact, one)}
        wanted = {str(content.digest) for content in machines(artifact)}
        return good, ([] if wanted <= covered else faults)

    def _fault(self, one: Evidence, mine: set[str]) -> str:
        report, rules = one.report, self.gates.reports
        about = f"the report by {report.name}"
        tool = report.tool.lower()
        if rules.scanners and not any(matches(f"{s.lower()}*", tool) for s in rules.scanners):
            return f"{about} does not count: reports are taken from {', '.join(rules.scanners)}"
        if report.about and not report.about & mine:
            return f"{about} is about something else: {min(report.about)[:19]}"
        if report.made and report.made > self.now + SKEW:
            return f"{about} is from the future: look at the clocks"
        if rules.max_age is None:
            return ""
        if report.made is None:
            return f"{about} does not say when it was made"
        if self.now - report.made > rules.max_age:
            return f"{about} is older than {rules.max_age.days} days"
        return ""

    def _bare(self, artifact: Artifact, reports: Sequence[Evidence]) -> list[str]:
        """Return what no report is about."""
        covered = {subject for one in reports for subject in _covered(artifact, one)}
        return [
            f"no report{f' about {content.platform}' if content.platform else ''}"
            for content in machines(artifact)
            if str(content.digest) not in covered
        ]

    # -- findings ---------------------------------------------------------------------------------

    def _exceeds(self, finding: Finding, limit: Limit) -> bool:
        word = self.gates.unknown if finding.severity == UNKNOWN else finding.severity
        if limit.fixable_only and not finding.fixed:
            return False
        return RANK[word] > RANK[limit.severity]

    def _excuse(self, artifact: Artifact, finding: Finding) -> tuple[Excused | None, str]:
        """Return what lets a finding through, or a note why what was meant to does not."""
        note = ""
        if ruled := vexes.ruling(self.vex, finding, artifact):
            statement, document = ruled
            by = f"VEX by {statement.author}, {document.source}"
            if statement.status in vexes.SUPPRESSES:
                return Excused(finding, by, statement.why or statement.status), ""
            note = f"; {statement.status.replace('_', ' ')} ({by})"
        for number, entry in enumerate(self.gates.allowed):
            here = entry.id.upper() in finding.names and takes(entry.match, artifact)
            if not here or entry.package not in {"", finding.package}:
                continue
            self.used.add(number)
            day = f"{entry.until - timedelta(days=1):%Y-%m-%d}"
            if self.now < entry.until:
                return Excused(finding, f"allowed until {day}", entry.reason), ""
            note = f"; was allowed until {day}: {entry.reason}"
        return None, note

    def idle(self) -> list[str]:
        """Return the ids of allow-list entries that nothing needed."""
        entries = enumerate(self.gates.allowed)
        return [entry.id for number, entry in entries if number not in self.used]

    # -- licences ---------------------------------------------------------------------------------

    def licenses(
        self, artifact: Artifact, known: Sequence[Declared], unreadable: Sequence[str] = ()
    ) -> Check:
        """Judge the licences of an artifact and of what is in it."""
        rules = self.gates.license_rules(artifact)
        if not rules:
            return Check(LICENSES, SKIPPED, "no rule is about it")
        refused: dict[str, None] = {}
        for rule in rules:
            if not known and not rule.unknown_passes:
                refused["no licence is known of it"] = None
            for one in known:
                if not one.expression:
                    if not rule.unknown_passes:
                        refused[f"{one.package}: its licence is not known"] = None
                elif not permits(one.expression, rule.allow, rule.deny):
                    refused[f"{one.package}: {one.expression[:200]} is not allowed"] = None
        faults = (*unreadable, *refused)
        said = f"{len(known)} licences, {len(refused)} refused"
        return Check(LICENSES, FAIL if faults else PASS, said, faults)


def _covered(artifact: Artifact, one: Evidence) -> set[str]:
    """Return the manifests that a report is about; one about an index of several is about none.

    A scanner takes one platform of an index. Harbor scans each, and gives one report of all.
    """
    there = {str(content.digest) for content in machines(artifact)}
    found = set(one.subjects & there)
    root = str(artifact.root)
    if root in one.subjects and (len(there) == 1 or one.report.form == "harbor"):
        return there
    return found | (set(one.report.about) & there)


_Key = tuple[str, str, str]


def _key(finding: Finding) -> _Key:
    """Return what is the same of one finding in the reports of several scanners."""
    return (finding.id.upper(), finding.package, finding.version)


def _worst_first(finding: Finding) -> tuple[int, str, str]:
    return (-_rank(finding), finding.id, finding.package)


def _rank(finding: Finding) -> int:
    return len(RANK) if finding.severity == UNKNOWN else RANK[finding.severity]
