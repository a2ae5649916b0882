"""A scan of a lock: every image, every platform that is carried, by every scanner."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bundle import instant
from bundle.errors import ScannerError
from bundle.gate import documents
from bundle.gate.carried import machines
from bundle.gate.documents import REPORT, SBOM
from bundle.gate.finding import SEVERITIES, UNKNOWN
from bundle.gate.foreign import LIMIT, Unreadable
from bundler import kept
from bundler.scan import door, program
from bundler.scan.attach import Document, attach, tools_of
from bundler.scan.tools import SBOM_TYPES, Tool, version_of

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence

    from bundle.artifact import Content
    from bundle.gate.finding import Report
    from bundler.blobs import Opener
    from bundler.lock import Lock, LockedArtifact


@dataclass(frozen=True, slots=True)
class Row:
    """What one scanner said of one image; ``counts`` are findings by severity, the worst first."""

    artifact: str
    platform: str
    tool: str
    version: str
    counts: dict[str, int] = field(default_factory=dict)
    has_report: bool = False
    has_sbom: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return the row of ``--json``."""
        body: dict[str, Any] = {"artifact": self.artifact, "platform": self.platform}
        body |= {"scanner": self.tool, "version": self.version, "sbom": self.has_sbom}
        return body | ({"findings": self.counts} if self.has_report else {})

    def __str__(self) -> str:
        found = ", ".join(f"{count} {word}" for word, count in self.counts.items())
        said = [found or "nothing found"] * self.has_report + ["SBOM"] * self.has_sbom
        what = f"{self.artifact} {self.platform}".strip()
        return f"{what}: {self.tool} {self.version}".rstrip() + f": {'; '.join(said)}"


@dataclass
class Scan:
    """A run. ``sbom`` is a format, empty for none; ``seconds`` is what one program may take."""

    spec: Path
    tools: Sequence[Tool]
    opener: Opener
    sbom: str
    seconds: float
    stop: threading.Event
    tell: Callable[[Row], object]
    missing: bool = False
    """Whether only that is scanned which has no documents by a scanner."""

    def run(self, lock: Lock) -> Lock:
        """Return the lock with what the scanners said; documents are kept beside the spec.

        Raises :class:`ScannerError` for a scanner that fails, and the error of an upstream.
        """
        return replace(lock, artifacts=tuple(map(self._image, lock.artifacts)))

    def _image(self, locked: LockedArtifact) -> LockedArtifact:
        if locked.artifact.kind != "image":
            return locked
        made: list[Document] = []
        for content in machines(locked.artifact):
            there = tools_of(locked, content.digest) if self.missing else {}
            for tool in self.tools:
                if tool.name not in there:
                    made += self._one(locked, content, tool)
        for document in made:
            kept.put(self.spec, document.digest, document.data)
        return attach(locked, made)

    def _one(self, locked: LockedArtifact, content: Content, tool: Tool) -> list[Document]:
        with (
            tempfile.TemporaryDirectory(prefix="dray-scan-") as name,
            door.opened(locked, self.opener) as opened,
        ):
            folder, login = Path(name), opened.login
            reference = login.reference(locked, content.digest)
            environment = tool.environment(os.environ, login, folder)
            for command in tool.commands(reference, folder, self.sbom):
                try:
                    program.run(
                        command,
                        environment=environment,
                        folder=folder,
                        seconds=self.seconds,
                        stop=self.stop,
                        secrets=[login.password],
                    )
                except ScannerError as error:
                    if opened.fault:  # the scanner only says that its registry broke off
                        raise opened.fault from None
                    error.message = f"{locked.artifact.name}: {error.message}"
                    raise
            return self._read(locked, content, tool, folder)

    def _read(
        self, locked: LockedArtifact, content: Content, tool: Tool, folder: Path
    ) -> list[Document]:
        found: list[tuple[str, bytes]] = []
        report: Report | None = None
        what = f"{locked.artifact.name}: what {tool.name} wrote"
        if tool.reports:
            data = _output(folder / "report.json", what)
            report = _report(data, what)
            found.append((tool.report_type, data))
        if self.sbom and tool.writes(self.sbom):
            data = _output(folder / "sbom.json", what)
            _check_sbom(data, what)
            found.append((SBOM_TYPES[self.sbom], data))
        made = (report.made if report else None) or instant.now()
        counts = Counter(finding.severity for finding in report.findings) if report else {}
        order = [UNKNOWN, *reversed(SEVERITIES)]
        self.tell(
            Row(
                locked.artifact.name,
                content.platform,
                tool.name,
                tool.version,
                {word: counts[word] for word in order if word in counts},
                has_report=report is not None,
                has_sbom=len(found) > tool.reports,
            )
        )
        return [
            Document(content, kind, data, tool.name, tool.version, made) for kind, data in found
        ]


def ask_version(name: str, path: str, seconds: float, stop: threading.Event) -> Tool:
    """Return a scanner that was asked for its version; raise :class:`ScannerError`."""
    with tempfile.TemporaryDirectory(prefix="dray-scan-") as folder:
        environment = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}
        said = program.run(
            [path, "--version"],
            environment=environment,
            folder=Path(folder),
            seconds=seconds,
            stop=stop,
        )
    return Tool(name, path, version_of(said))


def _output(path: Path, what: str) -> bytes:
    if not path.is_file() or path.is_symlink():
        raise ScannerError(f"{what} is not there: it wrote no {path.name}", hint=_SAME)
    with path.open("rb") as file:
        data = file.read(LIMIT + 1)
    if len(data) > LIMIT:
        raise ScannerError(f"{what} has more than {LIMIT} bytes", hint="scan with another scanner")
    return data


def _report(data: bytes, what: str) -> Report:
    try:
        found = documents.open_document(data, what)
        if found is not None and REPORT in found.uses:
            return found.report()
    except Unreadable as error:
        raise ScannerError(error.message, hint=_SAME) from None
    raise ScannerError(f"{what} is no report of a known form", hint=_SAME)


def _check_sbom(data: bytes, what: str) -> None:
    try:
        found = documents.open_document(data, what)
    except Unreadable as error:
        raise ScannerError(error.message, hint=_SAME) from None
    if found is None or SBOM not in found.uses:
        raise ScannerError(f"{what} is no SBOM in CycloneDX or SPDX", hint=_SAME)


_SAME = "is this the program, in a version whose output dray knows? docs/scanning.md lists them"
