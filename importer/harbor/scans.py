"""Scans by a Harbor's scanner: begun, waited for, and what they found.

Source: src/server/v2.0/handler/scan.go; pluggable-scanner-spec, "Vulnerability Report".
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bundle.errors import TargetError
from importer.harbor.api import objects, optional, repository_path, segment
from importer.harbor.words import refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bundle.decode import Fields
    from bundle.digest import Digest
    from importer.harbor.api import Api

REPORT = "application/vnd.security.vulnerability.report; version=1.1"
SEVERITIES = ("None", "Unknown", "Negligible", "Low", "Medium", "High", "Critical")
"""From the least to the worst."""
_RUNNING = frozenset({"Pending", "Running", "Scheduled"})
_LONGEST_PAUSE = 30.0


@dataclass(frozen=True, slots=True)
class Scan:
    """How far a scan is, and what it counts by severity; ``status`` is Harbor's word."""

    status: str
    severity: str = ""
    counts: tuple[tuple[str, int], ...] = ()
    scanner: str = ""

    @property
    def is_running(self) -> bool:
        """Whether another look makes sense."""
        return self.status in _RUNNING


@dataclass(frozen=True, slots=True)
class Vulnerability:
    """One finding of a scanner."""

    id: str
    package: str
    version: str
    severity: str
    fix_version: str = ""


class Scans:
    """The calls about scans; ``repository`` is always ``project/name``."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def start(self, repository: str, digest: Digest, kind: str = "vulnerability") -> bool:
        """Have an artifact scanned (``vulnerability`` or ``sbom``); false if that goes on already.

        Raises :class:`TargetError` where no scanner is set (case ``no-scanner``), and for what no
        scanner takes, such as charts (case ``not-scannable``).
        """
        path, what = _path(repository, digest, "scan"), f"a scan of {repository}"
        body = {"scan_type": kind}
        answer = self._api.call("POST", path, what, body=body, ok=(202, 400, 409, 412))
        if answer.status in {400, 412}:
            error = refusal(self._api.host, what, answer, self._api.who)
            error.case = "no-scanner" if answer.status == 412 else "not-scannable"
            raise error
        return answer.status == 202

    def look(self, repository: str, digest: Digest) -> Scan | None:
        """Return how the scan of an artifact stands; nothing where none was ever begun."""
        what = f"the scan of {repository}"
        answer = self._api.call(
            "GET",
            _path(repository, digest),
            what,
            query={"with_scan_overview": "true"},
            headers={"X-Accept-Vulnerabilities": REPORT},
        )
        overview = optional(self._api.fields(answer, what), "scan_overview")
        entry = optional(overview, REPORT) if overview else None
        return _scan(entry) if entry else None

    def wait(
        self,
        repository: str,
        digest: Digest,
        *,
        seconds: float,
        sleep: Callable[[float], object] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> Scan:
        """Look until a scan has ended, for up to ``seconds``; raise :class:`TargetError` then.

        The scan returned may be one that failed: see its ``status``.
        """
        end, pause = clock() + seconds, 1.0
        while True:
            scan = self.look(repository, digest)
            if scan is not None and not scan.is_running:
                return scan
            if clock() + pause > end:
                status = scan.status if scan else "not begun"
                raise TargetError(
                    f"the scan of {repository}@{digest} has not ended: {status}",
                    hint="is Harbor's jobservice running? look at Interrogation Services",
                )
            sleep(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE)

    def report(self, repository: str, digest: Digest) -> bytes | None:
        """Return the last scan's report as Harbor gives it (JSON), None where there is none.

        Source: src/pkg/scan/vuln/report.go, Report; read it by :mod:`bundle.gate.harbor`.
        """
        what = f"the report about {repository}"
        headers = {"X-Accept-Vulnerabilities": REPORT}
        path = _path(repository, digest, "additions/vulnerabilities")
        answer = self._api.call("GET", path, what, headers=headers, ok=(200, 404))
        if answer.status == 404:
            return None
        found = self._api.fields(answer, what).raw(REPORT, None)
        return None if found is None else json.dumps(found).encode()

    def vulnerabilities(self, repository: str, digest: Digest) -> list[Vulnerability]:
        """Return all that the last scan found."""
        what = f"the report about {repository}"
        headers = {"X-Accept-Vulnerabilities": REPORT}
        path = _path(repository, digest, "additions/vulnerabilities")
        fields = self._api.fields(self._api.call("GET", path, what, headers=headers), what)
        report = optional(fields, REPORT)
        return [
            Vulnerability(
                one.text("id"),
                one.text("package", ""),
                one.text("version", ""),
                one.text("severity", "Unknown"),
                one.text("fix_version", ""),
            )
            for one in (objects(report, "vulnerabilities") if report else ())
        ]


def _path(repository: str, digest: Digest, rest: str = "") -> str:
    path = f"{repository_path(repository)}/artifacts/{segment(digest)}"
    return f"{path}/{rest}" if rest else path


def _scan(fields: Fields) -> Scan:
    summary = optional(fields, "summary")
    by_severity = optional(summary, "summary") if summary else None
    counts: Mapping[str, int] = (
        {name: by_severity.integer(name) for name in by_severity.names()} if by_severity else {}
    )
    scanner = optional(fields, "scanner")
    made = f"{scanner.text('name', '')} {scanner.text('version', '')}" if scanner else ""
    return Scan(
        fields.text("scan_status"),
        fields.text("severity", ""),
        tuple(sorted(counts.items())),
        made.strip(),
    )
