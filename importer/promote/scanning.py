"""Scans by a Harbor's scanner: begun for what has no report that counts, and waited for.

An index is scanned by its manifests: each is an artifact of its own, with a report of its own.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bundle.errors import TargetError
from bundle.gate import documents
from bundle.gate.carried import Evidence, machines
from bundle.gate.foreign import Unreadable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime, timedelta

    from bundle.artifact import Artifact, Content
    from importer.harbor.scans import Scans
    from importer.targets.harbor import HarborTarget

SUCCESS = "Success"


@dataclass
class Scanned:
    """What Harbor says of one artifact. ``faults`` refuse it; ``lack`` is why there is nothing."""

    reports: list[Evidence] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    lack: str = ""


@dataclass
class Scanning:
    """Scans for one promotion. ``seconds`` is the time that all of them may take together.

    ``again`` scans what has a report, too; ``max_age`` is how old one may be.
    """

    seconds: float
    now: datetime
    again: bool = False
    looks_only: bool = False
    """Whether no scan is begun: for a plan, which changes nothing."""
    max_age: timedelta | None = None
    on_done: Callable[[], object] = lambda: None
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], object] = time.sleep

    def run(self, target: HarborTarget, artifacts: Iterable[Artifact]) -> dict[str, Scanned]:
        """Return what the scanner says of each artifact, by name."""
        end = self.clock() + self.seconds
        scans = target.harbor.scans
        found: dict[str, Scanned] = {}
        waiting: list[tuple[Artifact, Content]] = []
        for artifact in artifacts:
            made = found.setdefault(artifact.name, Scanned())
            for content in machines(artifact):
                if report := self._there(scans, target, artifact, content):
                    made.reports.append(report)
                    self.on_done()
                elif self._begin(scans, target, artifact, content, made):
                    waiting.append((artifact, content))
        for artifact, content in waiting:
            self._await(scans, target, artifact, content, found[artifact.name], end)
            self.on_done()
        return found

    def _there(
        self, scans: Scans, target: HarborTarget, artifact: Artifact, content: Content
    ) -> Evidence | None:
        """Return the report that Harbor has already, where it counts."""
        if self.again:
            return None
        repository = target.repository(artifact)
        scan = scans.look(repository, content.digest)
        if scan is None or scan.status != SUCCESS:
            return None
        report = self._report(scans, target, artifact, content)
        made = report.report.made if report else None
        if self.max_age and (made is None or self.now - made > self.max_age):
            return None
        return report

    def _begin(
        self,
        scans: Scans,
        target: HarborTarget,
        artifact: Artifact,
        content: Content,
        made: Scanned,
    ) -> bool:
        if self.looks_only:
            made.lack = "a scan would be begun"
            return False
        try:
            scans.start(target.repository(artifact), content.digest)
        except TargetError as error:
            if error.case == "no-scanner":
                made.lack = f"{target.label} has no scanner: {error.hint}"
            elif error.case == "not-scannable":
                made.lack = error.message
            else:
                made.faults.append(error.message)
            return False
        return True

    def _await(  # noqa: PLR0913, RUF100  (one scan)
        self,
        scans: Scans,
        target: HarborTarget,
        artifact: Artifact,
        content: Content,
        made: Scanned,
        end: float,
    ) -> None:
        repository, left = target.repository(artifact), max(end - self.clock(), 0.0)
        try:
            scan = scans.wait(
                repository, content.digest, seconds=left, sleep=self.sleep, clock=self.clock
            )
            if scan.status != SUCCESS:
                made.faults.append(
                    f"Harbor's scan of {content.digest.short} ended with {scan.status}: its log is"
                    " in Harbor (Vulnerabilities), and the scanner's database may be missing"
                )
                return
            report = self._report(scans, target, artifact, content)
        except (TargetError, Unreadable) as error:
            made.faults.append(error.message)
            return
        if report is None:
            made.faults.append(f"Harbor's scan of {content.digest.short} left no report")
        else:
            made.reports.append(report)

    def _report(
        self, scans: Scans, target: HarborTarget, artifact: Artifact, content: Content
    ) -> Evidence | None:
        data = scans.report(target.repository(artifact), content.digest)
        if data is None:
            return None
        what = f"Harbor's report about {content.digest.short}"
        return Evidence(documents.report(data, what), frozenset({str(content.digest)}), what)
