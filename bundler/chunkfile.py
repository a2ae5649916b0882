"""Writes a chunk at planned offsets, then seals it and reads it back before it counts."""

from __future__ import annotations

import errno
import hashlib
import os
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bundle import ustar
from bundle.digest import Digest
from bundle.durable import sync_folder
from bundle.errors import TransferError
from bundler.memberfile import PlainMember, write_all
from bundler.readback import BUFFER, reading_back

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence
    from pathlib import Path

    from bundle.chunks import Inner
    from bundler.heldback import HeldBack
    from bundler.memberfile import Member
    from bundler.packing import Piece

PARTIAL = ".partial"


class MediumError(TransferError):
    """The medium, or the disk, on the low side cannot be written or returns other bytes."""

    kind = "medium"
    side = "low side"


class ReadBackError(MediumError):
    """The medium returned other bytes than were written; ``digests`` are the blobs concerned."""

    chunk = 0
    """The chunk's number, where whoever seals it has said so."""

    def __init__(self, message: str, digests: tuple[Digest, ...]) -> None:
        hint = "they are fetched again; if it happens twice, the medium or the memory is faulty"
        super().__init__(message, hint=hint)
        self.digests = digests


@dataclass(frozen=True, slots=True)
class Span:
    """A member of a chunk as written: tar name, data offset, size in bytes, and its blob.

    What is read back must have ``crc``, the CRC-32 of the bytes that were hashed and written, or,
    where that is None, ``digest``. A CRC finds what a medium does by accident, at a tenth of the
    cost; the digests find what anybody does on purpose. ``digest`` is None for a part of a blob
    that is cut, whose digest is computed in reading back.
    """

    name: str
    offset: int
    size: int
    crc: int | None
    digest: Digest | None
    blob: Digest


@dataclass(frozen=True, slots=True)
class Sealed:
    """A sealed chunk: its file's digest, those of its members, in order, and what is encrypted."""

    digest: Digest
    parts: tuple[Digest, ...]
    inner: Inner | None = None


@dataclass(frozen=True)
class ChunkFile:
    """One chunk on its way: ``path`` is its final name, before that it ends in ``.partial``."""

    path: Path

    @property
    def partial(self) -> Path:
        """The name until it is sealed."""
        return self.path.with_name(self.path.name + PARTIAL)

    @contextmanager
    def writing(self) -> Iterator[int]:
        """Open the partial file for writing anywhere in it."""
        with medium_errors(self.path):
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            handle = os.open(self.partial, flags, 0o644)
            try:
                yield handle
            finally:
                os.close(handle)

    def member(self, handle: int, piece: Piece, held: HeldBack) -> Member:
        """Return what writes a piece's data, through the handle of ``writing``.

        ``held`` is where all that write to its blob hold bytes back, if they do.
        """
        return PlainMember(handle, piece.offset)

    def reopen(self) -> None:
        """Take a sealed chunk back to writing: some of its blobs must be fetched again."""
        with medium_errors(self.path):
            self.path.rename(self.partial)

    def recall(self) -> None:
        """Take back a chunk that was renamed by a run that was killed before it noted so."""
        if self.path.is_file() and not self.partial.exists():
            self.reopen()

    def seal(
        self,
        prefix: bytes,
        spans: Sequence[Span],
        on_bytes: Callable[[int], object] = lambda _count: None,
    ) -> Sealed:
        """Write prefix and trailer, make it durable, read it all back, and rename.

        Raises :class:`ReadBackError` when a span came back with other bytes than were written.
        """
        return _drained(self.sealing(prefix, spans), on_bytes)

    def prove(
        self, prefix: bytes, spans: Sequence[Span], on_bytes: Callable[[int], object]
    ) -> Sealed:
        """Do as :meth:`seal`, but leave the name: :meth:`accept` changes that when it may be."""
        return _drained(self._proving(prefix, spans, BUFFER), on_bytes)

    def accept(self, size: int) -> bool:
        """Give a chunk that was proven its name; return whether it is there in its size."""
        with medium_errors(self.path):
            if not self.partial.is_file() or self.partial.stat().st_size != size:
                return False
            self._rename()
        return True

    def sealing(
        self, prefix: bytes, spans: Sequence[Span], buffer: int = BUFFER
    ) -> Generator[memoryview, None, Sealed]:
        """Do as :meth:`seal`, and yield what is read back, ``buffer`` bytes at a time."""
        sealed = yield from self._proving(prefix, spans, buffer)
        with medium_errors(self.path):
            self._rename()
        return sealed

    def _proving(
        self, prefix: bytes, spans: Sequence[Span], buffer: int
    ) -> Generator[memoryview, None, Sealed]:
        with self.writing() as handle:
            self._write_ends(handle, prefix, spans)
            os.fsync(handle)
        with medium_errors(self.path):
            return (yield from self._read_back(prefix, spans, buffer))

    def _rename(self) -> None:
        self.partial.rename(self.path)
        sync_folder(self.path.parent)

    def reading_again(
        self, known: Sealed, buffer: int = BUFFER
    ) -> Generator[memoryview, None, Sealed]:
        """Yield the bytes of a chunk that is sealed; raise when they are others than then."""
        whole = hashlib.sha256()
        with medium_errors(self.path), reading_back(self.path, buffer) as blocks:
            for block in blocks:
                whole.update(block)
                yield block
        if whole.hexdigest() != known.digest.hex:
            message = f"{self.path.name} on the medium has other bytes than when it was sealed"
            hint = "remove this file and run again: what was in it is fetched again"
            raise MediumError(message, hint=hint)
        return known

    def _write_ends(self, handle: int, prefix: bytes, spans: Sequence[Span]) -> None:
        """Write what no member has, and cut the file off behind it."""
        end = end_of(prefix, spans)
        write_all(handle, prefix, 0)
        write_all(handle, ustar.TRAILER, end)
        os.ftruncate(handle, end + len(ustar.TRAILER))

    def _comparison(self, prefix: bytes, spans: Sequence[Span]) -> Comparison:
        return Comparison(prefix, spans)

    def _read_back(
        self, prefix: bytes, spans: Sequence[Span], buffer: int
    ) -> Generator[memoryview, None, Sealed]:
        whole, comparison = hashlib.sha256(), self._comparison(prefix, spans)
        with reading_back(self.partial, buffer) as blocks:
            for block in blocks:
                whole.update(block)
                comparison.take(block)
                yield block
        parts = comparison.parts(self.path.name)
        return Sealed(Digest("sha256:" + whole.hexdigest()), parts, comparison.inner())


def _drained(
    blocks: Generator[memoryview, None, Sealed], on_bytes: Callable[[int], object]
) -> Sealed:
    while True:
        try:
            on_bytes(len(next(blocks)))
        except StopIteration as end:
            sealed: Sealed = end.value
            return sealed


def end_of(prefix: bytes, spans: Sequence[Span]) -> int:
    """Return where a chunk's trailer begins."""
    return len(prefix) + sum(ustar.span(span.size) for span in spans)


class Comparison:
    """A chunk's bytes as they come back, in order, against those that were written."""

    def __init__(self, prefix: bytes, spans: Sequence[Span]) -> None:
        self._spans, self._end = spans, end_of(prefix, spans)
        self._checks = [_Check(prefix, 0), *_checks(spans), _Check(ustar.TRAILER, self._end)]
        self._position = self._current = 0

    def inner(self) -> Inner | None:
        """Return what the chunk is in clear, where it is encrypted."""
        return None

    def take(self, block: memoryview, *, damaged: bool = False) -> None:
        """Take the next bytes; ``damaged`` ones count as wrong, whatever they are."""
        checks = self._checks
        while self._current < len(checks):
            check = checks[self._current]
            check.damaged |= damaged and check.start < self._position + len(block)
            if not check.take(block, self._position):
                break
            self._current += 1
        self._position += len(block)

    def parts(self, name: str) -> tuple[Digest, ...]:
        """Return the members' digests; raise :class:`ReadBackError` when anything is wrong."""
        bad = [check for check in self._checks if not check.good()]
        if bad or self._position != self._end + len(ustar.TRAILER):
            message = f"{name} on the medium has other bytes than were written"
            digests = [check.blob for check in bad if check.blob] or [s.blob for s in self._spans]
            raise ReadBackError(message, tuple(dict.fromkeys(digests)))
        return tuple(check.digest() for check in self._checks if check.span)


class _Check:
    """A stretch of the file while it is read back: literal bytes, or a span's data.

    ``blob`` is what has to be written again when the stretch is bad: None for what sealing writes.
    """

    def __init__(
        self, literal: bytes, start: int, span: Span | None = None, blob: Digest | None = None
    ) -> None:
        self.span, self.start, self.damaged = span, start, False
        self.blob = span.blob if span else blob
        self.size = span.size if span else len(literal)
        self._expected = zlib.crc32(literal) if span is None else span.crc
        hashing = span is not None and (span.digest is None or span.crc is None)
        self._own = hashlib.sha256() if hashing else None
        self._crc = self._seen = 0

    def take(self, block: memoryview, position: int) -> bool:
        """Take what of ``block``, at ``position``, is of it; return whether it ends there."""
        first = max(self.start, position) - position
        last = min(self.start + self.size, position + len(block)) - position
        if first < last:
            with block[first:last] as mine:
                self._seen += len(mine)
                if self._expected is not None:
                    self._crc = zlib.crc32(mine, self._crc)
                if self._own:
                    self._own.update(mine)
        return self.start + self.size <= position + len(block)

    def good(self) -> bool:
        same = self._expected in {None, self._crc} and self._seen == self.size and not self.damaged
        known = self.span.digest if self.span else None
        return same and (known is None or self._own is None or known == self.digest())

    def digest(self) -> Digest:
        assert self.span is not None  # noqa: S101  (literals have none)
        if self._own:
            return Digest("sha256:" + self._own.hexdigest())
        assert self.span.digest is not None  # noqa: S101  (else it is hashed)
        return self.span.digest


def _checks(spans: Sequence[Span]) -> Iterator[_Check]:
    for span in spans:
        head = ustar.header(span.name, span.size)
        yield _Check(head, span.offset - ustar.RECORD, blob=span.blob)
        yield _Check(b"", span.offset, span)
        if padding := ustar.padding(span.size):
            yield _Check(bytes(padding), span.offset + span.size, blob=span.blob)


@contextmanager
def medium_errors(path: Path) -> Iterator[None]:
    """Turn the operating system's errors about ``path`` into :class:`MediumError`."""
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno or errno.EIO)
        hints = {
            errno.ENOSPC: "free some space and run again: what is written is kept",
            errno.EROFS: "the medium is mounted read-only",
            errno.EFBIG: "the file system allows no file that large: choose --chunk-size fat32",
        }
        hint = hints.get(
            error.errno or 0, "check the medium and run again: what is written is kept"
        )
        raise MediumError(f"{path} cannot be written: {reason}", hint=hint) from None
