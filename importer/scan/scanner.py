"""The scan of one import: a verdict for each blob, on the bytes that go to the target.

The last block of a blob is held back until clamd has said clean, so that a target never gets a
blob whole that is not. A verdict is on bytes that matched their digest in the same reading. What
was not read from its first byte to its last by a target, for a broken upload was gone on with or
the target has it already, is read once more for the scanner alone.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from bundle import instant
from bundle.errors import DrayError, GateRefused, ScannerError
from bundle.scanned import Row, Scanned
from importer.scan.inside import Inside, Verdict
from importer.scan.tap import Tap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from bundle.artifact import Artifact, Content
    from bundle.digest import Digest
    from bundle.manifest import Manifest
    from importer.scan.clamd import Clamd
    from importer.scan.engine import Engine
    from importer.targets.base import Blob


class Scanner:
    """Scans what passes. ``allow`` is the reason for loading what could not be looked into.

    ``earlier`` maps blobs to the digest of the receipt by which an earlier import of this host
    found them clean. All methods may be called from several threads.
    """

    def __init__(
        self,
        clamd: Clamd,
        engine: Engine,
        manifest: Manifest,
        *,
        allow: str = "",
        earlier: Mapping[Digest, Digest] | None = None,
    ) -> None:
        self._clamd, self.engine, self.allow = clamd, engine, allow
        self._earlier = earlier or {}
        self._used: dict[Digest, Digest] = {}
        self._verdicts: dict[Digest, Verdict] = {}
        self._lock = threading.Lock()
        self._places: dict[Digest, tuple[str, Content]] = {}
        for artifact in manifest.artifacts:
            for content in artifact.contents:
                self._places.setdefault(content.digest, (artifact.name, content))

    def tee(self, blob: Blob) -> Blob:
        """Return the blob: whoever reads it to its end has had it scanned before the last block."""
        return _Teed(self, blob)

    def begin(self) -> Tap:
        """Begin to scan a blob that somebody else reads."""
        return Tap(Inside(self._clamd).scan)

    def known(self, digest: Digest) -> bool:
        """Whether there is a verdict on a blob, of this run."""
        return digest in self._verdicts

    def conclude(self, blob: Blob, tap: Tap | None) -> None:
        """Take the verdict on a blob that was read whole; raise :class:`GateRefused`.

        Without a tap, or when clamd was lost meanwhile, it is read again. Raises what that raises,
        and :class:`ScannerError`.
        """
        if not self.known(blob.digest):
            try:
                verdict = tap.finish() if tap else self._look(blob)
            except ScannerError:
                if not tap:
                    raise
                verdict = self._look(blob)
            with self._lock:
                self._verdicts[blob.digest] = verdict
        elif tap:
            tap.give_up()
        if error := self.refusal(blob.digest):
            raise error

    def _look(self, blob: Blob) -> Verdict:
        return Inside(self._clamd).scan(blob.blocks())

    def settle(
        self, artifacts: Sequence[Artifact], open_blob: Callable[[Digest], Blob]
    ) -> dict[str, DrayError]:
        """Scan whatever of the artifacts has no verdict yet; return why some cannot be loaded.

        What an earlier import has scanned is not scanned again. ``open_blob`` raises
        :class:`DrayError` for what the bundle leaves out: nobody can look at that here.
        """
        refused: dict[str, DrayError] = {}
        for artifact in artifacts:
            for content in artifact.contents:
                try:
                    self._settle(content, open_blob)
                except DrayError as error:
                    refused.setdefault(artifact.name, error)
        return refused

    def _settle(self, content: Content, open_blob: Callable[[Digest], Blob]) -> None:
        digest = content.digest
        if not self.known(digest):
            if digest in self._earlier:
                self._used[digest] = self._earlier[digest]
                return
            try:
                blob = open_blob(digest)
            except DrayError as error:
                self._verdicts[digest] = Verdict(gaps={"": f"not in this bundle: {error.message}"})
            else:
                self.conclude(blob, None)
        if refused := self.refusal(digest):
            raise refused

    def refusal(self, digest: Digest) -> GateRefused | None:
        """Return why a blob cannot come in by its verdict."""
        verdict = self._verdicts[digest]
        if verdict.found:
            file, signature = next(iter(verdict.found.items()))
            more = f" (and {len(verdict.found) - 1} more files)" if len(verdict.found) > 1 else ""
            return GateRefused(
                f"clamd found {signature} in {self.where(digest, file)}{more}",
                hint="tell the low side. If it is a false alarm, whoever runs clamd can put that "
                "signature into a .ign2 file of its database",
                case="malware",
            )
        if verdict.gaps and not self.allow:
            file, reason = next(iter(verdict.gaps.items()))
            more = f" (and {len(verdict.gaps) - 1} more files)" if len(verdict.gaps) > 1 else ""
            return GateRefused(
                f"clamd did not look into {self.where(digest, file)}: {reason}{more}",
                hint="raise StreamMaxLength, MaxFileSize and MaxScanSize in clamd.conf; "
                "or load it unseen: --allow-unscanned REASON",
                case="unscanned",
            )
        return None

    def where(self, digest: Digest, file: str) -> str:
        """Return how people find a file of a blob."""
        name, content = self._places[digest]
        what = content.path or f"the {content.role} {digest.short}"
        return f"{file} in {what} of {name}" if file else f"{what} of {name}"

    # -- the record -------------------------------------------------------------------------------

    @property
    def gaps(self) -> tuple[Row, ...]:
        """What nobody looked into."""
        return tuple(
            Row(digest, file, reason)
            for digest, verdict in self._verdicts.items()
            for file, reason in verdict.gaps.items()
        )

    def record(self) -> Scanned:
        """Return what the receipt says."""
        verdicts, version = self._verdicts, self.engine.version
        earlier: dict[Digest, tuple[Digest, ...]] = {}
        for digest, receipt in sorted(self._used.items()):
            earlier[receipt] = (*earlier.get(receipt, ()), digest)
        gaps = self.gaps
        return Scanned(
            engine=version.engine,
            database=version.database,
            made=instant.spell(version.made) if version.made else "",
            limits=self.engine.limits,
            encrypted=self.engine.encrypted,
            files=sum(verdict.files for verdict in verdicts.values()),
            size=sum(verdict.size for verdict in verdicts.values()),
            clean=tuple(sorted(digest for digest, one in verdicts.items() if one.is_clean)),
            earlier=earlier,
            unscanned=gaps,
            found=tuple(
                Row(digest, file, name)
                for digest, verdict in verdicts.items()
                for file, name in verdict.found.items()
            ),
            allowed=self.allow if gaps else "",
        )


class _Teed:
    """A blob whose last block waits for the verdict; satisfies ``Blob``."""

    def __init__(self, scanner: Scanner, blob: Blob) -> None:
        self._scanner, self._blob = scanner, blob
        self.digest, self.size = blob.digest, blob.size

    def blocks(self, *, offset: int = 0, sha: Any = None) -> Iterator[bytes]:
        scanner, seen = self._scanner, offset
        tap = scanner.begin() if not offset and not scanner.known(self.digest) else None
        try:
            for block in self._blob.blocks(offset=offset, sha=sha):
                seen += len(block)
                if tap:
                    tap.feed(block)
                if seen == self.size:
                    mine, tap = tap, None
                    scanner.conclude(self._blob, mine)
                yield block
        finally:
            if tap:
                tap.give_up()

    def read(self) -> bytes:
        return self._blob.read()
