"""One export from options to a sealed bundle: which number, go on or begin, plan, fetch, finish."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bundle import instant
from bundle.digest import Digest
from bundle.errors import DrayError, SourceError, UsageError, VerificationError
from bundle.manifest import Manifest, Previous, bundle_name
from bundle.media import Media
from bundle.progress import bar
from bundle.state import State, StateFolder, default_folder
from bundle.verify import verify
from bundler.export import Export, Outcome, remaining
from bundler.finish import Finished, finish
from bundler.journal import Journal
from bundler.plan import Options, Plan, check_space

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence
    from datetime import timedelta
    from pathlib import Path

    from bundler.export import Opener
    from bundler.signing import Signer


@dataclass(frozen=True)
class Number:
    """The bundle's sequence number; ``unfinished`` when a journal of it lies there."""

    sequence: int
    unfinished: bool


@dataclass
class Exporting:
    """What an export needs besides its plan."""

    plan: Plan
    signers: Sequence[Signer]
    opener: Opener
    lifetime: timedelta
    stop: threading.Event
    warn: Callable[[str], object]
    quiet: bool = False

    @property
    def state(self) -> StateFolder:
        """The low side's memory of sequence numbers."""
        return StateFolder(default_folder(), "export")

    def number(self, *, restart: bool = False) -> Number:
        """Return the number to export under: an unfinished one, or the next of the stream."""
        stream = self.plan.lock.stream
        known = self.state.last(stream)
        highest = known.sequence if known else 0
        for folder in self.plan.options.folders:
            for sequence, path in _numbered(folder, stream):
                if any(path.rglob("*.journal")):
                    if not restart:
                        return Number(sequence, unfinished=True)
                    shutil.rmtree(path)
                elif any(inside.is_file() for inside in path.rglob("*")):
                    highest = max(highest, sequence)  # else killed before it had a journal
        return Number(highest + 1, unfinished=False)

    def sealed_already(self) -> Finished | None:
        """Return the stream's last bundle when it has this lock, these options, and lies there."""
        found = self._recorded()
        return None if found and any(found.folders[0].glob("*.journal")) else found

    def _recorded(self) -> Finished | None:
        known = self.state.last(self.plan.lock.stream)
        if known is None:
            return None
        name = bundle_name(known.stream, known.sequence)
        folders = [self.plan.folder(n, name) for n in range(len(self.plan.media(())))]
        path = folders[0] / f"{name}.manifest.json"
        if not path.is_file():
            return None
        data = path.read_bytes()
        if Digest.of(data) != known.manifest:
            return None
        manifest = Manifest.from_bytes(data)  # the bytes that this host signed and remembers
        same = manifest.lock == self.plan.lock.digest
        same = same and manifest.chunk_size == self.plan.options.chunk_size
        same = same and [m.capacity for m in manifest.media] == [
            m.capacity for m in self.plan.media(())
        ]
        same = same and self._same_chunks([chunk.size for chunk in manifest.chunks])
        same = same and _complete(manifest, folders)
        return Finished(manifest, known.manifest, tuple(folders)) if same else None

    def _same_chunks(self, sizes: list[int]) -> bool:
        planned = self.plan.packing.sizes  # encoded chunks follow these, and only with --compress
        more = len(sizes) > len(planned)
        return sizes[: len(planned)] == list(planned) and more == bool(self.plan.encode)

    def run(self, number: Number) -> tuple[Finished, Outcome]:
        """Fetch, seal, sign, check; raise without a manifest when anything is missing."""
        name = bundle_name(self.plan.lock.stream, number.sequence)
        check_space(self.plan, name)
        path = self.plan.folder(0, name) / f"{name}.journal"
        created = instant.spell(instant.now())
        journal = Journal.open(path, plan=self.plan.digest, created=created)
        try:
            finished, outcome = self._recorded(), Outcome(kept=self.plan.blob_bytes)
            if finished is None or finished.manifest.sequence != number.sequence:
                outcome = self._fetch(name, journal)
                finished = self._finish(name, number.sequence, journal, outcome)
                self._remember(finished)
            journal.remove()
            self._check(finished)
        finally:
            journal.close()
        return finished, outcome

    def _fetch(self, name: str, journal: Journal) -> Outcome:
        left = remaining(self.plan, journal.done)
        label = "exporting" if left == self.plan.blob_bytes else "going on"
        sealing = sum(self.plan.packing.sizes)
        with (
            bar(self.plan.blob_bytes, label, quiet=self.quiet) as on_bytes,
            bar(sealing, "reading back", quiet=self.quiet, row=1) as on_sealed,
        ):
            on_sealed(sum(self.plan.packing.sizes[n - 1] for n in _planned(journal, self.plan)))
            export = Export(
                self.plan,
                name,
                journal,
                self.opener,
                stop=self.stop,
                on_bytes=on_bytes,
                on_sealed=on_sealed,
            )
            outcome = export.run()
        if outcome.failures:
            raise _failed(outcome, name)
        return outcome

    def _finish(self, name: str, sequence: int, journal: Journal, outcome: Outcome) -> Finished:
        known = self.state.last(self.plan.lock.stream)
        previous = Previous(known.sequence, known.manifest) if known else None
        if previous and previous.sequence >= sequence:
            previous = None
        return finish(
            self.plan,
            outcome,
            self.signers,
            sequence=sequence,
            created=journal.created,
            lifetime=self.lifetime,
            previous=previous,
            name=name,
        )

    def _remember(self, finished: Finished) -> None:
        manifest = finished.manifest
        when = instant.parse(manifest.created)
        self.state.record(State(manifest.stream, 0, manifest.sequence, finished.digest, when))

    def _check(self, finished: Finished) -> None:
        """Read the small files back; the chunks were read back before they were sealed."""
        media = Media.find(finished.folders)
        for path, data in media.manifests():
            if Digest.of(data) != finished.digest:
                raise VerificationError(f"{path} was written with other bytes")
        report = verify(finished.manifest, media, deep=False)
        report.bad = [finding for finding in report.bad if not finding.file.endswith(".journal")]
        report.raise_for_findings()


def _planned(journal: Journal, plan: Plan) -> list[int]:
    return [number for number in journal.sealed if number <= len(plan.packing.sizes)]


def _complete(manifest: Manifest, folders: Sequence[Path]) -> bool:
    """Whether every chunk lies where it was written, in its size; a look, not a verification."""
    for medium, folder in zip(manifest.media, folders, strict=True):
        for number in medium.chunks:
            chunk = manifest.chunks[number - 1]
            path = folder / chunk.name
            if not path.is_file() or path.stat().st_size != chunk.size:
                return False
    return True


def _failed(outcome: Outcome, name: str) -> DrayError:
    rows = []
    for artifact, error in outcome.failures.items():
        rows.append(f"  {artifact}: {error.message}")
        if error.hint:
            rows.append(f"    {error.hint}")
    count = len(outcome.failures)
    message = f"{name} is not sealed: {count} artifacts failed\n" + "\n".join(rows)
    return SourceError(message, hint="what was fetched is kept: mend this and run again")


def _numbered(folder: Path, stream: str) -> list[tuple[int, Path]]:
    found = []
    pattern = re.compile(re.escape(stream) + r"-([0-9]{6,12})")
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        match = pattern.fullmatch(path.name)
        if match and path.is_dir() and not path.is_symlink():
            found.append((int(match[1]), path))
    return found


def summary(finished: Finished, outcome: Outcome | None) -> dict[str, Any]:
    """Return what ``dray export --json`` prints; sizes in bytes."""
    manifest = finished.manifest
    body: dict[str, Any] = {"bundle": manifest.name, "manifest": str(finished.digest)}
    body |= {"stream": manifest.stream, "sequence": manifest.sequence}
    body |= {"created": manifest.created, "expires": manifest.expires}
    body |= {"artifacts": len(manifest.artifacts), "chunks": len(manifest.chunks)}
    body["bytes"] = sum(chunk.size for chunk in manifest.chunks)
    body["fetched"] = outcome.fetched if outcome else 0
    body["kept"] = outcome.kept if outcome else sum(blob.size for blob in manifest.blobs)
    return {**body, "folders": [str(folder) for folder in finished.folders]}


def options(
    folders: Sequence[Path], chunk_size: int, media: Sequence[int], *, compress: bool
) -> Options:
    """Return checked options."""
    if len(set(folders)) != len(folders):
        raise UsageError("the same --to folder is given twice")
    return Options(tuple(folders), chunk_size, tuple(media), compress)
