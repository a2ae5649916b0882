"""Checks everything on the media against a verified manifest, and changes nothing."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bundle import remedy, ustar
from bundle.chunks import prefix
from bundle.digest import BLOCK, Digest, verified
from bundle.encoding import decode
from bundle.errors import DrayError, MediaIncomplete, UsageError, VerificationError
from bundle.media import RECOPY, litter, read_at
from bundle.reader import Reader, part_fault
from bundle.required import notes
from bundle.view import SegmentFault, read_header

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bundle.chunks import Chunk, StoredBlob
    from bundle.envelope import Recipient
    from bundle.manifest import Manifest
    from bundle.media import Media
    from bundle.view import View


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as signed: a file, the bytes of it, and the artifacts that suffer."""

    kind: str
    file: str
    message: str
    hint: str = ""
    artifacts: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the object that ``--json`` prints."""
        body: dict[str, Any] = {"kind": self.kind, "file": self.file, "message": self.message}
        body |= {"hint": self.hint} if self.hint else {}
        return {**body, "artifacts": list(self.artifacts)}


@dataclass
class Report:
    """What a verification found. ``checked`` is in bytes.

    ``opened`` is false when chunks are encrypted and no key was at hand: then only the digests of
    the files were compared.
    """

    bad: list[Finding] = field(default_factory=list)
    missing: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    checked: int = 0
    opened: bool = True

    def raise_for_findings(self) -> None:
        """Raise for the worst kind of finding, naming the first."""
        for found, kind in ((self.bad, VerificationError), (self.missing, MediaIncomplete)):
            if found:
                more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
                raise kind(f"{found[0].file}: {found[0].message}{more}", hint=found[0].hint)


def verify(
    manifest: Manifest,
    media: Media,
    *,
    on_bytes: Callable[[int], object] = lambda _count: None,
    workers: int | None = None,
    deep: bool = True,
    parity: bool = True,
    recipient: Recipient | None = None,
) -> Report:
    """Check every file of the bundle that is here, and say what is not.

    With ``deep`` false only names, types, sizes, the small files and both ends of each chunk are
    checked; no blob is read. With ``parity`` false recovery data may be missing or damaged, as
    for an import. ``recipient`` opens encrypted chunks; without one, these are compared with the
    digests of their files. Raises :class:`UsageError` when it is not one of theirs.
    """
    run = _Run(manifest, media, on_bytes, recipient)
    run.check_files(ends=not deep)
    spare = run.check_parity() if parity else []
    run.check_foreign()
    if deep:
        shallow = len(run.report.bad)
        with ThreadPoolExecutor(workers or os.cpu_count() or 2) as pool:
            list(pool.map(lambda unit: unit(), run.units() + spare))
        # Threads find things in any order. A wrong size, found before, explains what follows.
        run.report.bad[shallow:] = sorted(run.report.bad[shallow:], key=lambda f: f.message)
        run.explain_swaps()
    run.report.bad.sort(key=lambda finding: finding.file)
    run.report.notes += notes(manifest)
    return run.report


class _Run:
    def __init__(
        self,
        manifest: Manifest,
        media: Media,
        on_bytes: Callable[[int], object],
        recipient: Recipient | None,
    ) -> None:
        self.manifest, self.media, self.on_bytes = manifest, media, on_bytes
        self.reader = Reader(manifest, media, recipient)
        self.views = self.reader.views
        if recipient and manifest.recipients:
            self.views.require()
        self.prefix = prefix(manifest.index)
        self.report = Report(opened=not self.views.blind)
        self.present: dict[int, tuple[Path, ...]] = {}
        self._remedies = {c.name: remedy.of_chunk(manifest, c.number) for c in manifest.chunks}
        parities = (file for group in manifest.parity for file in group.files)
        self._remedies |= {file.name: remedy.PARITY for file in parities}

    # -- names, types, sizes ----------------------------------------------------------------------

    def check_files(self, *, ends: bool) -> None:
        for file in self.manifest.files:
            for path in self.media.places(file.name):
                self._guard(path, (), partial(self._whole, path, file.size, file.digest))
            if not self.media.places(file.name):
                self._miss(file.name, "is on none of the media given", "copy it again", ())
        for chunk in self.manifest.chunks:
            self.present[chunk.number] = self.media.places(chunk.name)
            if not self.present[chunk.number]:
                hint = self.reader.missing_hint(chunk.number)
                self._miss(chunk.name, "is missing", hint, self._users(chunk))
            for path in self.present[chunk.number]:
                check = partial(self._size, path, chunk, ends=ends)
                self._guard(path, self._users(chunk), check)

    def check_parity(self) -> list[Callable[[], None]]:
        """Check that the parity files are here; return what is left to do: to read them."""
        units: list[Callable[[], None]] = []
        for file in (file for group in self.manifest.parity for file in group.files):
            places = self.media.places(file.name)
            for path in places:
                whole = partial(self._whole, path, file.size, file.digest)
                units.append(partial(self._guard, path, (), whole))
            if not places:
                hint = self.reader.medium_hint(file.medium)
                self._miss(file.name, "is missing", hint, ())
        return units

    def _whole(self, path: Path, size: int, digest: Digest) -> None:
        with self.media.open(path) as handle:
            found = os.fstat(handle).st_size
            if found != size:
                raise VerificationError(f"is {found} bytes long, {size} were signed", hint=RECOPY)
            if _hash(handle, path, size) != digest.hex:
                raise VerificationError("has other bytes than were signed", hint=RECOPY)
        self.report.checked += size

    def _size(self, path: Path, chunk: Chunk, *, ends: bool) -> None:
        with self.media.open(path) as handle:
            found = os.fstat(handle).st_size
            if found != chunk.size:
                what = "short" if found < chunk.size else "too long"
                amount = abs(found - chunk.size)
                message = f"is {amount} bytes {what}: {found} bytes, {chunk.size} were signed"
                raise VerificationError(message, hint=RECOPY)
            if ends and self.views.blind:
                read_header(handle, path, chunk)
        if ends and not self.views.blind:
            with self.views.open(chunk, path) as view:
                end = (chunk.inner or chunk).size - len(ustar.TRAILER)
                self._literal(view, path, 0, self.prefix, ())
                self._literal(view, path, end, ustar.TRAILER, ())

    def check_foreign(self) -> None:
        known = {chunk.name for chunk in self.manifest.chunks} | {
            f.name for f in self.manifest.files
        }
        known.add(f"{self.manifest.name}.manifest.json")
        known |= {file.name for group in self.manifest.parity for file in group.files}
        for name, places in sorted(self.media.listing.items()):
            if name in known or self.media.is_signature(name):
                continue
            for path in places:
                if litter(name):
                    self.report.notes.append(f"{_shown(path)} is no part of the bundle (ignored)")
                    continue
                self._bad("foreign", path, "is no part of the bundle", _REMOVE, ())

    # -- contents ---------------------------------------------------------------------------------

    def units(self) -> list[Callable[[], None]]:
        """Return independent pieces of work, largest first: joined blobs, then chunks."""
        if self.views.blind:
            return [
                partial(self._guard, path, self._users(chunk), partial(self._closed, path, chunk))
                for chunk in sorted(self.manifest.chunks, key=lambda chunk: -chunk.size)
                for path in self.present[chunk.number]
            ]
        joined = [blob for blob in self.manifest.blobs if self._joinable(blob)]
        mine = {blob.digest for blob in joined}
        sized: list[tuple[int, Callable[[], None]]] = [
            (blob.stored_size, partial(self._join, blob)) for blob in joined
        ]
        for chunk in self.manifest.chunks:
            for number, path in enumerate(self.present[chunk.number]):
                skip = mine if number == 0 else set()
                sized.append((chunk.size, partial(self._chunk, chunk, path, skip)))
        return [unit for _, unit in sorted(sized, key=lambda item: -item[0])]

    def _joinable(self, blob: StoredBlob) -> bool:
        plain = blob.encoding == "identity" and len(blob.parts) == 1
        return (
            bool(blob.parts) and not plain and all(self.present[part.chunk] for part in blob.parts)
        )

    def _join(self, blob: StoredBlob) -> None:
        """Check a cut or encoded blob: each part, and what they make together, in one reading."""
        users = self.manifest.users[blob.digest]
        what = f"{blob.digest} of {users[0]}"
        faults: list[DrayError] = []
        stored = self._stored(blob, users, faults)
        try:
            plain = decode(stored, blob.encoding, size=blob.size, what=what)
            for _block in verified(plain, digest=blob.digest, size=blob.size, what=what):
                pass
        except VerificationError as error:
            for _rest in stored:
                pass
            if not faults:
                self._bad(
                    "bad", self.reader.chunk_path(blob.parts[0].chunk), str(error), RECOPY, users
                )

    def _stored(
        self, blob: StoredBlob, users: tuple[str, ...], faults: list[DrayError]
    ) -> Iterator[bytes]:
        for number, part in enumerate(blob.parts):
            path, sha = self.reader.chunk_path(part.chunk), hashlib.sha256()
            try:
                for block in self.reader.part_blocks(blob, number):
                    sha.update(block)
                    self._count(len(block))
                    yield block
                if sha.hexdigest() != part.digest.hex:
                    raise part_fault(path, part, "other bytes than were signed")
            except DrayError as error:
                faults.append(error)
                self._fault(path, error, users)

    def _closed(self, path: Path, chunk: Chunk) -> None:
        """Compare an encrypted chunk that nobody here can open with the digest of its file."""
        with self.media.open(path) as handle:
            read_header(handle, path, chunk)
            if _hash(handle, path, chunk.size, self._count) != chunk.digest.hex:
                raise VerificationError("is not the file that was signed", hint=RECOPY)

    def _chunk(self, chunk: Chunk, path: Path, joined: set[Digest]) -> None:
        """Check one chunk file from its first byte to its last, without what is checked joined."""
        try:
            with self.views.open(chunk, path) as view:
                with self._damage(path, self._users(chunk)):
                    self._literal(view, path, 0, self.prefix, ())
                position = len(self.prefix)
                for blob, number, part in self.manifest.parts_of(chunk.number):
                    users = self.manifest.users[blob.digest]
                    if blob.digest not in joined:
                        with self._damage(path, users):
                            head = ustar.header(blob.member(number), part.size)
                            self._literal(view, path, position, head, users)
                            self._part(view, path, blob, number)
                            zeros = bytes(ustar.padding(part.size))
                            self._literal(view, path, part.offset + part.size, zeros, users)
                    position += ustar.span(part.size)
                with self._damage(path, self._users(chunk)):
                    self._literal(view, path, position, ustar.TRAILER, ())
        except DrayError as error:
            self._fault(path, error, self._users(chunk))

    @contextmanager
    def _damage(self, path: Path, users: tuple[str, ...]) -> Iterator[None]:
        """Report a damaged segment and go on behind it: the others may be good."""
        try:
            yield
        except SegmentFault as error:
            self._fault(path, error, users)

    def _part(self, view: View, path: Path, blob: StoredBlob, number: int) -> None:
        part, sha, done = blob.parts[number], hashlib.sha256(), 0
        users = self.manifest.users[blob.digest]
        while done < part.size:
            block = view.read(min(BLOCK, part.size - done), part.offset + done)
            if not block:
                break
            done += len(block)
            sha.update(block)
            self._count(len(block))
        if done < part.size or sha.hexdigest() != part.digest.hex:
            reason = "other bytes than were signed" if done == part.size else "the file ends there"
            self._fault(path, part_fault(path, part, reason), users)

    def _literal(
        self, view: View, path: Path, at: int, data: bytes, users: tuple[str, ...]
    ) -> None:
        if data and view.read(len(data), at) != data:
            message = f"bytes {at}-{at + len(data) - 1}: not the tar structure that was signed"
            self._bad("bad", path, message, RECOPY, users)

    # -- reporting --------------------------------------------------------------------------------

    def explain_swaps(self) -> None:
        """Find files that hold what another name should: swapped, renamed, copied."""
        by_size: dict[int, list[Chunk]] = {}
        for chunk in self.manifest.chunks:
            by_size.setdefault(chunk.size, []).append(chunk)
        for path in dict.fromkeys(finding.file for finding in self.report.bad):
            if others := self._other_chunk(path, by_size):
                self._explain(path, others)

    def _explain(self, path: str, others: str) -> None:
        bad = {finding.file for finding in self.report.bad}
        self.report.bad = [finding for finding in self.report.bad if finding.file != path]
        if any(str(place) not in bad for place in self.media.places(others)):
            ours = Path(path).name in {chunk.name for chunk in self.manifest.chunks}
            message = f"is a copy of {others}, which is good"
            self._bad("foreign", path, message, RECOPY if ours else _REMOVE, ())
            return
        message = f"holds the bytes of {others}: swapped or renamed"
        self._bad("swapped", path, message, f"rename it to {others}", ())

    def _other_chunk(self, file: str, by_size: dict[int, list[Chunk]]) -> str:
        path = Path(file)
        try:
            with self.media.open(path) as handle:
                size = os.fstat(handle).st_size
                same = [chunk for chunk in by_size.get(size, ()) if chunk.name != path.name]
                digest = _hash(handle, path, size) if same else ""
        except DrayError:
            return ""
        return next((chunk.name for chunk in same if chunk.digest.hex == digest), "")

    def _guard(self, path: Path, users: tuple[str, ...], check: Callable[[], None]) -> None:
        try:
            check()
        except DrayError as error:
            self._fault(path, error, users)

    def _fault(self, path: Path, error: DrayError, users: tuple[str, ...]) -> None:
        if isinstance(error, UsageError):
            raise error  # of the key, or the command that has it: not of a file
        message = error.message.removeprefix(f"{path}: ").removeprefix(f"{path} ")
        if isinstance(error, MediaIncomplete):
            self._miss(str(path), message, error.hint, users)
        else:
            self._bad("bad", path, message, error.hint, users)

    def _bad(
        self, kind: str, path: Path | str, message: str, hint: str, users: tuple[str, ...]
    ) -> None:
        if hint == RECOPY:
            hint = self._remedies.get(Path(path).name, hint)
        self.report.bad.append(Finding(kind, _shown(path), message, hint, users))

    def _miss(self, name: str, message: str, hint: str, users: tuple[str, ...]) -> None:
        self.report.missing.append(Finding("missing", name, message, hint, users))

    def _users(self, chunk: Chunk) -> tuple[str, ...]:
        names: dict[str, None] = {}
        for blob, _, _ in self.manifest.parts_of(chunk.number):
            names |= dict.fromkeys(self.manifest.users[blob.digest])
        return tuple(names)

    def _count(self, count: int) -> None:
        self.report.checked += count  # approximate under threads; for people only
        self.on_bytes(count)


_REMOVE = "remove it: a bundle's folder holds nothing else"


def _shown(path: Path | str) -> str:
    # A foreign file may have any name, such as one with a second line that says that all is well.
    return str(path) if str(path).isprintable() else ascii(str(path))


def _hash(
    handle: int, path: Path, size: int, on_bytes: Callable[[int], object] = lambda _count: None
) -> str:
    sha, done = hashlib.sha256(), 0
    while done < size and (block := read_at(handle, path, min(BLOCK, size - done), done)):
        sha.update(block)
        done += len(block)
        on_bytes(len(block))
    return sha.hexdigest()
