"""The export's journal: what is on the medium already, so that a killed export goes on."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import threading
from bisect import insort
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

from bundle import weight
from bundle.chunks import Inner, Part
from bundle.digest import Digest, is_digest
from bundle.durable import sync_folder
from bundle.errors import UsageError
from bundler.chunkfile import Sealed, medium_errors

if TYPE_CHECKING:
    from pathlib import Path


KEYS = "[0-9a-f]{16}"
"""What names a folder of keys: the journal lies on the medium, and names no other folder."""
LONGEST = 256 << 20
"""Bytes of a line: the longest name each content of a chunk, and a manifest is as long at most."""
_SHORT = 16 << 10
"""Bytes of a line that can't be too heavy: most lines have a hundred."""


@dataclass(frozen=True, slots=True)
class Woven:
    """A group whose parities are written: digests of its chunks, sizes and digests of the files.

    ``rows`` is the digest of all their block hashes.
    """

    members: tuple[Digest, ...]
    sizes: tuple[int, ...]
    files: tuple[Digest, ...]
    rows: Digest


@dataclass(frozen=True, slots=True)
class Proven:
    """A chunk that was read back, and the blob of which it holds a part and nothing else."""

    blob: Digest
    sealed: Sealed


@dataclass
class Journal:
    """One JSON object a line, appended; a torn last line is what a crash leaves and is ignored.

    ``plan`` identifies lock and options; ``placed`` is the medium of each chunk, counted from 0,
    because free space may have decided that, and another run finds less of it. ``done`` are blobs
    that were hashed and written, with the CRC-32 of their pieces; ``reached`` is how many bytes of
    a cut blob were written, and ``ahead`` which stretches behind those; ``sealed`` are chunks that
    were read back, by number, with their digest and those of their members. Of the blobs that are
    stored one after another because their stored size is not known before, ``encoded`` are those
    written, in order, and ``frames`` is how far a cut one came: encoding, bytes of the blob, bytes
    stored. ``woven`` are the groups of chunks, from 0, whose parities are written; ``placed`` has
    their media behind those of the chunks. ``keys`` names the folder of this host that has the file
    keys of an encrypted export. ``proven`` are chunks that were read back before the blob in them
    was whole: they count as soon as it is, and are forgotten with it, ``turns`` times so far.
    """

    path: Path
    plan: str = ""
    created: str = ""
    placed: tuple[int, ...] = ()
    done: dict[Digest, tuple[int, ...]] = field(default_factory=dict)
    reached: dict[Digest, int] = field(default_factory=dict)
    ahead: dict[Digest, tuple[tuple[int, int], ...]] = field(default_factory=dict)
    sealed: dict[int, Sealed] = field(default_factory=dict)
    proven: dict[int, Proven] = field(default_factory=dict)
    encoded: dict[Digest, tuple[str, tuple[Part, ...]]] = field(default_factory=dict)
    frames: dict[Digest, tuple[str, int, int]] = field(default_factory=dict)
    woven: dict[int, Woven] = field(default_factory=dict)
    keys: str = ""
    _file: Any = None
    turns: Counter[Digest] = field(default_factory=Counter)
    _order: list[int] = field(default_factory=list)  # numbers that were sealed, sorted
    _parts: defaultdict[Digest, list[int]] = field(default_factory=lambda: defaultdict(list))
    _lock: threading.RLock = field(default_factory=threading.RLock)

    @classmethod
    def open(cls, path: Path, *, plan: str, created: str, placed: tuple[int, ...] = ()) -> Journal:
        """Open or begin the journal; refuse a second run at once, and another plan's journal.

        Raises :class:`UsageError`, and :class:`bundler.chunkfile.MediumError` where no file can be.
        """
        with medium_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            journal = cls(path, _file=path.open("a+b", buffering=0))
        try:
            with medium_errors(path):
                _take(journal._file, path)
            journal._replay()
            if not journal.plan:
                journal.write(plan=plan, created=created, placed=list(placed))
                with medium_errors(path):
                    sync_folder(path.parent)
            journal._check_plan(plan)
        except BaseException:
            journal.close()
            raise
        return journal

    def _check_plan(self, plan: str) -> None:
        if self.plan != plan:
            raise UsageError(
                f"{self.path.parent} holds an unfinished export of another lock, "
                "or with other options",
                hint="finish it with that lock and those options, or start again with --restart",
            )

    def _replay(self) -> None:
        """Apply what is there line by line: an export of terabytes leaves a hundred megabytes."""
        whole = 0
        with medium_errors(self.path), self.path.open("rb") as lines:
            while line := lines.readline(LONGEST + 1):
                if not line.endswith(b"\n") and len(line) <= LONGEST:
                    os.ftruncate(self._file.fileno(), whole)
                    break
                whole += len(line)
                try:
                    self._apply(_parsed(line))
                except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
                    message = f"{self.path} is damaged"
                    raise UsageError(message, hint="start again with --restart") from None

    def _apply(self, record: dict[str, Any]) -> None:
        match record:
            case {"plan": str(plan), "created": str(created)}:
                self.plan, self.created = plan, created
                self.placed = tuple(int(medium) for medium in record.get("placed", ()))
            case {"done": digest, "crc": list(crcs)}:
                self.done[Digest(digest)] = tuple(int(crc) for crc in crcs)
            case {"at": digest, "bytes": int(count)}:
                self.reached[Digest(digest)] = count
                found = record.get("ahead", ())
                self.ahead[Digest(digest)] = tuple((int(start), int(end)) for start, end in found)
            case {"undone": digest} if is_digest(digest):
                self._forget(Digest(digest))
            case {"keys": str(name)} if re.fullmatch(KEYS, name):
                self.keys = name
            case {"encoded": digest, "encoding": str(encoding), "parts": list(parts)}:
                self.encoded[Digest(digest)] = (encoding, tuple(_part(part) for part in parts))
                self.frames.pop(Digest(digest), None)
            case {"frames": digest, "encoding": str(encoding), "plain": int(p), "stored": int(s)}:
                self.frames[Digest(digest)] = (encoding, p, s)
            case {"parity": int(number), "members": list(m), "sizes": list(s), "files": list(f)}:
                digests = tuple(map(Digest, m)), tuple(map(int, s)), tuple(map(Digest, f))
                self.woven[number] = Woven(*digests, Digest(record["rows"]))
            case {"rewound": digest}:
                self._rewind(Digest(digest))
            case _:
                self._apply_to_chunk(record)

    def _apply_to_chunk(self, record: dict[str, Any]) -> None:
        match record:
            case {"sealed": int(number), "digest": _, "parts": _}:
                self.sealed[number] = _sealed(record)
                insort(self._order, number)
            case {"proven": int(number), "of": of, "digest": _, "parts": _}:
                self.proven[number] = Proven(Digest(of), _sealed(record))
                self._parts[Digest(of)].append(number)
            case {"unsealed": int(number)}:
                self.sealed.pop(number, None)
            case _:
                raise ValueError

    def _forget(self, digest: Digest) -> None:
        for known in (self.done, self.reached, self.ahead):
            known.pop(digest, None)
        for number in self._parts.pop(digest, ()):
            if number in self.proven and self.proven[number].blob == digest:
                del self.proven[number]
        self.turns[digest] += 1

    def _rewind(self, digest: Digest) -> None:
        """Forget an encoded blob, and whatever was written after it."""
        if digest in self.encoded:
            first = self.encoded[digest][1][0].chunk
            while self.encoded.popitem()[0] != digest:
                pass
            while self._order and self._order[-1] >= first:
                self.sealed.pop(self._order.pop(), None)
        self.frames.clear()

    def write(self, **record: Any) -> None:
        """Append a record and apply it."""
        line = memoryview(json.dumps(record).encode() + b"\n")
        with self._lock:
            with medium_errors(self.path):
                self._append(line)
            self._apply(record)

    def seal(self, number: int, sealed: Sealed) -> None:
        """Note a chunk that was read back."""
        self.write(sealed=number, **_record(sealed))

    def prove(self, number: int, digest: Digest, sealed: Sealed, turn: int) -> None:
        """Note a chunk that was read back while the blob in it, which is cut, is on its way.

        It counts for nothing when the blob was begun again since ``turns`` of it was ``turn``.
        """
        with self._lock:
            if self.turns[digest] == turn:
                self.write(proven=number, of=digest, **_record(sealed))

    def _append(self, line: memoryview) -> None:
        size, done = os.fstat(self._file.fileno()).st_size, 0
        try:
            while done < len(line):
                done += os.write(self._file.fileno(), line[done:])
        except OSError:
            os.ftruncate(self._file.fileno(), size)  # half a line would damage what follows it
            raise

    def close(self) -> None:
        """Let the file and its lock go."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def remove(self) -> None:
        """Delete the journal of an export that is complete."""
        self.path.unlink(missing_ok=True)
        self.close()


def _parsed(line: bytes) -> Any:
    if len(line) > LONGEST:
        raise ValueError
    if len(line) > _SHORT:
        weight.check(line.decode("ascii"))
    return json.loads(line)


def _record(sealed: Sealed) -> dict[str, Any]:
    record: dict[str, Any] = {"digest": sealed.digest, "parts": list(sealed.parts)}
    if sealed.inner:
        record["inner"] = [sealed.inner.size, sealed.inner.digest, sealed.inner.header]
    return record


def _sealed(record: dict[str, Any]) -> Sealed:
    inner = _inner(record["inner"]) if record.get("inner") else None
    return Sealed(Digest(record["digest"]), tuple(map(Digest, record["parts"])), inner)


def check_idle(path: Path) -> None:
    """Raise :class:`UsageError` when a run is writing this journal."""
    with medium_errors(path), path.open("ab") as file:
        _take(file, path)


def _take(file: IO[bytes], path: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        message = f"another export is writing to {path.parent}"
        raise UsageError(message, hint="wait for it to end") from None
    except OSError as error:
        # Where a file system has no locks, nobody but the user keeps two runs apart.
        if error.errno not in {errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS}:
            raise


def keys_of(path: Path) -> str:
    """Return the name of the keys' folder in a journal that is given up; empty when it has none."""
    try:
        found = re.findall(
            rb'^\{"keys": "(%s)"\}$' % KEYS.encode(), path.read_bytes(), re.MULTILINE
        )
    except OSError:
        return ""
    return found[-1].decode() if found else ""


def _inner(row: list[Any]) -> Inner:
    size, digest, header = row
    return Inner(int(size), Digest(digest), Digest(header))


def _part(row: list[Any]) -> Part:
    chunk, offset, size, digest = row
    return Part(int(chunk), int(offset), int(size), Digest(digest))
