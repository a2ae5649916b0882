"""One export from options to a sealed bundle: which number, go on or begin, plan, fetch, finish."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from bundle import instant
from bundle.digest import Digest
from bundle.errors import DrayError, SourceError, UsageError, VerificationError
from bundle.manifest import Manifest, Previous, bundle_name
from bundle.media import Media
from bundle.progress import bar, counted
from bundle.state import State, StateFolder, default_folder
from bundle.verify import verify
from bundler import chunkkeys, spread
from bundler.blobs import CONNECTIONS, WORKERS
from bundler.chunkfile import medium_errors
from bundler.export import Export, Outcome, remaining
from bundler.finish import Finished, finish
from bundler.journal import Journal, check_idle, keys_of
from bundler.paritystage import ROWS, unlink_rows
from bundler.plan import Options, Plan, check_space

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping, Sequence
    from datetime import timedelta
    from pathlib import Path

    from bundle.account import Account
    from bundler.blobs import Opener
    from bundler.signing import Signer
    from bundler.spread import Parity

_NAMED = 5


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
    connections: int = CONNECTIONS
    papers: Mapping[str, bytes] = field(default_factory=dict)
    _account: Account | None = None

    @property
    def state(self) -> StateFolder:
        """The low side's memory of sequence numbers."""
        return StateFolder(default_folder(), "export")

    def number(self, *, restart: bool = False, discard: bool = True) -> Number:
        """Return the number to export under: an unfinished one, or the next of the stream.

        With ``restart`` an unfinished one counts for nothing, and is deleted when ``discard`` is
        set. Raises :class:`UsageError` for one that cannot be gone on with.
        """
        stream = self.plan.lock.stream
        known = self.state.last(stream)
        highest = known.sequence if known else 0
        begun: dict[int, Path] = {}
        found = [item for folder in self.plan.options.folders for item in _numbered(folder, stream)]
        for sequence, path in found:
            if journal := next(path.rglob("*.journal"), None):
                begun[sequence] = journal
        for sequence, _path in found:
            if sequence not in begun:
                highest = max(highest, sequence)
        if begun and not restart:
            sequence = min(begun)
            self._check_begun(sequence, begun[sequence], known)
            return Number(sequence, unfinished=True)
        if discard:
            for journal in begun.values():
                check_idle(journal)
                chunkkeys.discard(keys_of(journal))
            for path in (path for sequence, path in found if sequence in begun):
                with medium_errors(path):
                    shutil.rmtree(path)
        return Number(highest + 1, unfinished=False)

    def _check_begun(self, sequence: int, journal: Path, known: State | None) -> None:
        """Refuse an unfinished export whose number is taken, or that was begun with other folders.

        Two bundles of one number would be an alarm on the high side, and a number below the last
        one is refused there as a replay.
        """
        name = bundle_name(self.plan.lock.stream, sequence)
        if journal != self.plan.folder(0, name) / f"{name}.journal":
            raise UsageError(
                f"{journal.parent} holds an unfinished export that was begun with other folders",
                hint="give the same --to and --media in the same order, or begin with --restart",
            )
        if known and known.sequence >= sequence and self._recorded(known, sequence) is None:
            raise UsageError(
                f"{name} cannot be finished: the last bundle of {known.stream} is number "
                f"{known.sequence} by now",
                hint="begin again under the next number with --restart",
            )

    def _recorded(self, known: State | None, sequence: int) -> Manifest | None:
        """Return the manifest that lies here, when it is the one on record under this number."""
        if known is None or known.sequence != sequence:
            return None
        name = bundle_name(known.stream, sequence)
        try:
            data = (self.plan.folder(0, name) / f"{name}.manifest.json").read_bytes()
        except OSError:
            return None
        # The bytes that this host signed and remembers need no signature to be read.
        return Manifest.from_bytes(data) if Digest.of(data) == known.manifest else None

    def sealed_already(self) -> Finished | None:
        """Return the stream's last bundle when it has this lock, these options, and lies there."""
        known = self.state.last(self.plan.lock.stream)
        manifest = self._recorded(known, known.sequence) if known else None
        if known is None or manifest is None:
            return None
        folders = [self.plan.folder(n, manifest.name) for n in range(len(self.plan.media(())))]
        if any(folders[0].glob("*.journal")) or instant.parse(manifest.expires) <= instant.now():
            return None
        same = _same(manifest, self.plan) and _complete(manifest, folders)
        return Finished(manifest, known.manifest, tuple(folders)) if same else None

    def run(self, number: Number, account: Account | None = None) -> tuple[Finished, Outcome]:
        """Fetch, seal, sign, check; raise without a manifest when anything is missing.

        ``account`` is as whom NGC was asked, for the manifest.
        """
        self._account = account
        name = bundle_name(self.plan.lock.stream, number.sequence)
        path = self.plan.folder(0, name) / f"{name}.journal"
        created = instant.spell(instant.now())
        if fresh := not path.exists():
            check_space(self.plan, name)
        placed = (*self.plan.placed, *self.plan.parity_placed)
        journal = Journal.open(path, plan=self.plan.digest, created=created, placed=placed)
        try:
            self.plan = _placed(self.plan, journal.placed or placed)
            if not fresh:
                check_space(self.plan, name)
            outcome = self._fetch(name, journal)
            finished = self._finish(name, number.sequence, journal, outcome)
            self._remember(finished)
            self._check(finished)
            if self.plan.options.parity:
                unlink_rows(self.plan, name)
            keys = journal.keys
            journal.remove()
            chunkkeys.discard(keys)
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
                connections=(min(WORKERS, self.connections), self.connections),
            )
            outcome = export.run()
        if outcome.failures:
            raise _failed(outcome, name)
        return outcome

    def _finish(self, name: str, sequence: int, journal: Journal, outcome: Outcome) -> Finished:
        known = self.state.last(self.plan.lock.stream)
        if known and known.sequence >= sequence:
            # A run that was killed had signed it; or another export has taken the number since.
            self._check_begun(sequence, journal.path, known)
            recorded = self._recorded(known, sequence)
            previous = recorded.previous if recorded else None
        else:
            previous = Previous(known.sequence, known.manifest) if known else None
        outcome.papers = dict(self.papers)
        return finish(
            self.plan,
            outcome,
            self.signers,
            sequence=sequence,
            created=journal.created,
            lifetime=self.lifetime,
            previous=previous,
            name=name,
            account=self._account,
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
        mine = (".journal", ROWS)
        report.bad = [finding for finding in report.bad if not finding.file.endswith(mine)]
        report.raise_for_findings()


def _planned(journal: Journal, plan: Plan) -> list[int]:
    return [number for number in journal.sealed if number <= len(plan.packing.sizes)]


def _same(manifest: Manifest, plan: Plan) -> bool:
    """Whether this plan would give this manifest's chunks."""
    if manifest.lock != plan.lock.digest or manifest.chunk_size != plan.options.chunk_size:
        return False
    if manifest.recipients != tuple(key.fingerprint for key in plan.options.recipients):
        return False
    if [m.capacity for m in manifest.media] != [m.capacity for m in plan.media(())]:
        return False
    if [(group.chunks, len(group.files)) for group in manifest.parity] != _groups(manifest, plan):
        return False
    if tuple(blob for blob in manifest.blobs if blob.bases) != plan.required:
        return False
    planned = plan.packing.pieces()
    return {
        blob.digest: [(part.chunk, part.offset) for part in blob.parts]
        for blob in manifest.blobs
        if blob.parts and blob.digest not in plan.encode
    } == {
        digest: [(piece.chunk, piece.offset) for piece in pieces]
        for digest, pieces in planned.items()
    }


def _groups(manifest: Manifest, plan: Plan) -> list[tuple[tuple[int, ...], int]]:
    parity = plan.options.parity
    found = spread.groups(len(manifest.chunks), parity) if parity else []
    return [(group, parity.files) for group in found] if parity else []


def _placed(plan: Plan, media: Sequence[int]) -> Plan:
    """Return the plan with other media for its chunks and, behind them, its parity files."""
    count = len(plan.placed)
    return replace(plan, placed=tuple(media[:count]), parity_placed=tuple(media[count:]))


def _complete(manifest: Manifest, folders: Sequence[Path]) -> bool:
    """Whether every chunk lies where it was written, in its size; a look, not a verification."""
    found = [
        (folder / manifest.chunks[number - 1].name, manifest.chunks[number - 1].size)
        for medium, folder in zip(manifest.media, folders, strict=True)
        for number in medium.chunks
    ]
    parities = [file for group in manifest.parity for file in group.files]
    found += [(folders[file.medium - 1] / file.name, file.size) for file in parities]
    return all(path.is_file() and path.stat().st_size == size for path, size in found)


def _failed(outcome: Outcome, name: str) -> DrayError:
    alike: dict[tuple[str, str], list[str]] = {}
    for artifact, error in outcome.failures.items():
        alike.setdefault((error.message, error.hint), []).append(artifact)
    rows = []
    for (text, hint), names in alike.items():
        rows.append(f"  {_some(names)}: {text}")
        if hint:
            rows.append(f"    {hint}")
    failed = counted(len(outcome.failures), "artifact")
    message = f"{name} is not sealed: {failed} failed\n" + "\n".join(rows)
    return SourceError(message, hint="what was fetched is kept: mend this and run again")


def _some(names: Sequence[str]) -> str:
    """Return names for a row: what one fault of this host fails may be every one of hundreds."""
    more = f"; and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return "; ".join(names[:_NAMED]) + more


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
    spare = [file.size for group in manifest.parity for file in group.files]
    body |= {"parityFiles": len(spare), "parityBytes": sum(spare)}
    body["fetched"] = outcome.fetched if outcome else 0
    if manifest.recipients:
        body["recipients"] = [str(digest) for digest in manifest.recipients]
    body["kept"] = outcome.kept if outcome else sum(blob.size for blob in manifest.blobs)
    return {**body, "folders": [str(folder) for folder in finished.folders]}


def options(
    folders: Sequence[Path],
    chunk_size: int,
    media: Sequence[int],
    *,
    compress: bool,
    parity: Parity | None = None,
) -> Options:
    """Return checked options."""
    if len({folder.resolve() for folder in folders}) != len(folders):
        raise UsageError("the same --to folder is given twice")
    return Options(tuple(folders), chunk_size, tuple(media), compress, parity)
