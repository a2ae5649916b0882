"""One pass for a blob: network, hash, chunk. It goes on where a killed run stopped."""

from __future__ import annotations

import hashlib
import os
import time
import zlib
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from bundle import ustar
from bundle.chunks import member_name
from bundle.digest import BLOCK
from bundle.errors import DrayError, PartlyDone, SourceError, TransferError, VerificationError
from bundle.transfer import resume
from bundler.chunkfile import ChunkFile, medium_errors, write_all

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator, Sequence

    from bundle.digest import Digest
    from bundler.journal import Journal
    from bundler.packing import Piece
    from bundler.sources.base import OpenAt

MARK_BYTES = 32 << 20
MARK_SECONDS = 1.0
WRITE_OUT = 16 << 20
"""Bytes after which a medium is told to begin writing."""


class Stop(PartlyDone):
    """The run was told to stop."""

    def __init__(self) -> None:
        super().__init__("interrupted", hint="run the same command again: what is written is kept")


def check(stop: threading.Event) -> None:
    """Raise :class:`Stop` when the run was told to stop."""
    if stop.is_set():
        raise Stop


def pause(stop: threading.Event) -> Callable[[float], None]:
    """Return a function that sleeps some seconds, and raises :class:`Stop` as soon as told to."""

    def sleep(seconds: float) -> None:
        if stop.wait(seconds):
            raise Stop

    return sleep


class OtherBytes(SourceError):
    """The upstream has other bytes than are pinned."""


class Sink:
    """A blob's pieces in their chunks: takes its bytes in order and hashes them."""

    def __init__(
        self, digest: Digest, pieces: Sequence[Piece], chunk: Callable[[int], ChunkFile]
    ) -> None:
        self.digest, self.pieces, self._chunk = digest, pieces, chunk
        self.size = sum(piece.size for piece in pieces)
        self._open = ExitStack()
        self._handle = -1
        self.rewind()

    def rewind(self) -> None:
        """Begin, or begin again: nothing counts as written."""
        self.whole = hashlib.sha256()
        self.crcs = [0] * len(self.pieces)
        self.position = 0
        self._enter(0)

    def _enter(self, number: int) -> None:
        self._open.close()
        self._number = number
        chunk = self._chunk(self.pieces[number].chunk)
        self._path = chunk.partial
        self._handle = self._open.enter_context(chunk.writing())
        self._written_out = self.pieces[number].offset

    def recover(self, count: int, stop: threading.Event) -> None:
        """Hash the first ``count`` bytes that an earlier run wrote."""
        while self.position < count:
            check(stop)
            piece = self._piece()
            inside = self.position - piece.start
            most = min(BLOCK, piece.size - inside, count - self.position)
            with medium_errors(self._path):
                block = os.pread(self._handle, most, piece.offset + inside)
            if not block:
                break  # the file is shorter than the journal says: the rest is fetched again
            self._hash(block)

    def write(self, block: bytes) -> None:
        """Take the next bytes."""
        view = memoryview(block)
        while view:
            piece = self._piece()
            inside = self.position - piece.start
            taken = view[: piece.size - inside]
            with medium_errors(self._path):
                write_all(self._handle, taken, piece.offset + inside)
                self._start_writing_out(piece.offset + inside + len(taken))
            self._hash(taken)
            view = view[len(taken) :]

    def _start_writing_out(self, end: int) -> None:
        # On Linux this begins to write dirty pages out and does not wait: otherwise the sync at the
        # end of a chunk waits for gigabytes, and the page cache pushes out everything else.
        if end - self._written_out >= WRITE_OUT:
            count = end - self._written_out
            os.posix_fadvise(self._handle, self._written_out, count, os.POSIX_FADV_DONTNEED)
            self._written_out = end

    def _piece(self) -> Piece:
        piece = self.pieces[self._number]
        if self.position == piece.start + piece.size and self._number + 1 < len(self.pieces):
            self._enter(self._number + 1)
            piece = self.pieces[self._number]
        return piece

    def _hash(self, block: bytes | memoryview) -> None:
        self.whole.update(block)
        self.crcs[self._number] = zlib.crc32(block, self.crcs[self._number])
        self.position += len(block)

    def finish(self) -> tuple[int, ...]:
        """Write headers and padding around every piece; return the CRC-32 of each."""
        for number, piece in enumerate(self.pieces):
            self._enter(number)
            head = ustar.header(member_name(self.digest, "identity", piece.part), piece.size)
            zeros = bytes(ustar.padding(piece.size))
            with medium_errors(self._path):
                write_all(self._handle, head, piece.offset - ustar.RECORD)
                write_all(self._handle, zeros, piece.offset + piece.size)
        return tuple(self.crcs)

    def close(self) -> None:
        """Let the chunk go."""
        self._open.close()


def fetch(
    open_at: OpenAt,
    sink: Sink,
    *,
    what: str,
    journal: Journal,
    stop: threading.Event,
    on_bytes: Callable[[int], object],
) -> tuple[int, ...]:
    """Fetch a blob into its sink and return the CRC-32 of each piece, for the reading back.

    Raises :class:`SourceError` when the upstream fails, or has other bytes than are pinned: nothing
    of it is recorded as done.
    """
    sink.recover(min(journal.reached.get(sink.digest, 0), sink.size), stop)
    recovered = sink.position
    try:
        _pass(open_at, sink, what, journal, stop, on_bytes)
    except OtherBytes:
        if not recovered:
            raise
        # What an earlier run, or another upstream, has left may be what is wrong.
        sink.rewind()
        _pass(open_at, sink, what, journal, stop, on_bytes)
    return sink.finish()


def _pass(
    open_at: OpenAt,
    sink: Sink,
    what: str,
    journal: Journal,
    stop: threading.Event,
    on_bytes: Callable[[int], object],
) -> None:
    """Fetch what the sink lacks; whatever fails, the journal knows how far that came."""
    on_bytes(sink.position)
    try:
        with unpinned(what):
            for block in _marked(open_at, sink, what, journal, stop):
                sink.write(block)
                on_bytes(len(block))
        if sink.whole.hexdigest() != sink.digest.hex:
            raise other_bytes(f"{what}: upstream sent other bytes than {sink.digest}")
    except OtherBytes:
        journal.write(undone=sink.digest)
        on_bytes(-sink.position)
        raise
    except (SourceError, Stop):
        if sink.position > journal.reached.get(sink.digest, 0):
            journal.write(at=sink.digest, bytes=sink.position)
        on_bytes(-sink.position)
        raise


def other_bytes(message: str) -> OtherBytes:
    """Return the failure of an upstream that does not have what is pinned."""
    hint = "run again; if it stays so, somebody between here and the upstream changes bytes"
    return OtherBytes(message, hint=hint)


@contextmanager
def unpinned(what: str) -> Iterator[None]:
    """Turn what a source found wrong with its bytes, or its set-up, into a :class:`SourceError`.

    It is a failure of one artifact: neither of the medium, nor of what was signed.
    """
    try:
        yield
    except VerificationError as error:
        message = error.message if error.message.startswith(what) else f"{what}: {error.message}"
        raise other_bytes(message) from None
    except (PartlyDone, TransferError):
        raise
    except DrayError as error:
        raise SourceError(error.message, hint=error.hint) from None


def _marked(
    open_at: OpenAt, sink: Sink, what: str, journal: Journal, stop: threading.Event
) -> Iterator[bytes]:
    """Yield the blob's remaining blocks, and note in the journal how far they are written."""
    marked, when = sink.position, time.monotonic()
    start = sink.position
    for block in resume(open_at, size=sink.size, start=start, what=what, sleep=pause(stop)):
        yield block
        check(stop)
        late = time.monotonic() - when > MARK_SECONDS
        if sink.position - marked >= MARK_BYTES or (late and sink.position > marked):
            journal.write(at=sink.digest, bytes=sink.position)
            marked, when = sink.position, time.monotonic()
