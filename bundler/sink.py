"""A blob's place in the chunks: written at any offset, hashed in the order of its bytes."""

from __future__ import annotations

import hashlib
import os
import zlib
from bisect import bisect_right
from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

from bundle.chunks import member_name
from bundle.digest import BLOCK
from bundler.chunkfile import ChunkFile, medium_errors
from bundler.heldback import HeldBack

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bundle.digest import Digest
    from bundler.heldback import Extents
    from bundler.memberfile import Member
    from bundler.packing import Piece

WRITE_OUT = 16 << 20
"""Bytes after which a medium is told to begin writing."""


class Cursor:
    """A position in a blob that moves on over its pieces; close it, or use ``with``.

    Each has files of its own, so that threads with cursors of their own need no lock.
    """

    def __init__(
        self,
        pieces: Sequence[Piece],
        chunk: Callable[[int], ChunkFile],
        held: HeldBack,
        position: int = 0,
    ) -> None:
        self._pieces, self._chunk, self._held = pieces, chunk, held
        self._member: Member
        self._starts = [piece.start for piece in pieces]
        self._open = ExitStack()
        self._number = -1
        self.position = position

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Let the chunk go."""
        self._open.close()
        self._number = -1

    def write(self, block: bytes | memoryview) -> None:
        """Write the next bytes."""
        view = memoryview(block)
        while view:
            inside, room = self._enter()
            with medium_errors(self._path):
                self._member.write(inside, view[:room])
            self.position += len(view[:room])
            view = view[room:]

    def read(self, most: int) -> bytes:
        """Return up to ``most`` of the next bytes; none where the file ends early."""
        inside, room = self._enter()
        with medium_errors(self._path):
            block = self._member.read(inside, min(most, room))
        self.position += len(block)
        return block

    def write_out(self, start: int, count: int) -> None:
        """Have ``count`` bytes from ``start`` on, of one piece, written to the medium soon.

        On Linux this begins to write dirty pages out and does not wait: otherwise the sync at the
        end of a chunk waits for gigabytes, and the page cache pushes out everything else.
        """
        self.position = start
        inside, _room = self._enter()
        with medium_errors(self._path):
            offset = self._member.place(inside)
            os.posix_fadvise(self._handle, offset, count, os.POSIX_FADV_DONTNEED)

    def _enter(self) -> tuple[int, int]:
        """Open the chunk of the position; return the place in its piece, and the bytes left."""
        number = max(bisect_right(self._starts, self.position) - 1, 0)
        if number != self._number:
            self._open.close()
            chunk = self._chunk(self._pieces[number].chunk)
            self._path = chunk.partial
            self._handle = self._open.enter_context(chunk.writing())
            self._member = chunk.member(self._handle, self._pieces[number], self._held)
            self._number = number
        piece = self._pieces[number]
        inside = self.position - piece.start
        return inside, piece.size - inside


class Sink:
    """A blob's pieces in their chunks. Its hash runs behind what is written, up to ``position``.

    What is written right at the position is hashed from memory; what came before its turn is read
    again when it is, mostly from the page cache.
    """

    def __init__(
        self,
        digest: Digest,
        pieces: Sequence[Piece],
        chunk: Callable[[int], ChunkFile],
        closed: set[int] | None = None,
    ) -> None:
        """Prepare it; ``closed`` are the pieces that need nothing more, and must be left alone."""
        self.digest, self.pieces, self._chunk = digest, pieces, chunk
        self.size = sum(piece.size for piece in pieces)
        self._ends = [piece.start + piece.size for piece in pieces]
        self._held = HeldBack()
        self._front = Cursor(pieces, chunk, self._held)
        self._closed = set() if closed is None else closed
        self.on_end: Callable[[int], object] = lambda _number: None
        """Called with the number of each piece but the last when all of it was hashed."""
        self._begin()

    def rewind(self) -> None:
        """Begin again: nothing counts as written."""
        self.reopen()
        self._begin()

    def reopen(self) -> None:
        """Take no piece as closed: they will be written again."""
        self._closed.clear()

    def _begin(self) -> None:
        self._held.clear()
        self.whole = hashlib.sha256()
        self.crcs = [0] * len(self.pieces)
        self.position = 0
        self._number = 0
        self._written_out = 0

    def cursor(self, position: int) -> Cursor:
        """Return a cursor for one thread to write with."""
        return Cursor(self.pieces, self._chunk, self._held, position)

    def settled(self, extents: Extents) -> Extents:
        """Return what of the stretches written a run that goes on will find in the chunks."""
        return self._held.without(extents)

    def hash(self, block: bytes | memoryview) -> None:
        """Take the bytes at the position, which are written."""
        view = memoryview(block)
        while view:
            if self.position == self._ends[self._number]:
                self._number += 1
                self._written_out = self.position
            taken = view[: self._ends[self._number] - self.position]
            self.whole.update(taken)
            self.crcs[self._number] = zlib.crc32(taken, self.crcs[self._number])
            self.position += len(taken)
            view = view[len(taken) :]
            last = self._number + 1 == len(self.pieces)
            if not last and self.position == self._ends[self._number]:
                self.on_end(self._number)
        if self.position - self._written_out >= WRITE_OUT:
            self._front.write_out(self._written_out, self.position - self._written_out)
            self._written_out = self.position

    def read_on(self, most: int) -> bool:
        """Read up to ``most`` bytes at the position and hash them; return whether there were any.

        They are fewer than were written when another run's files are shorter than its journal says.
        """
        self._front.position = self.position
        block = self._front.read(min(most, BLOCK)) if most else b""
        self.hash(block)
        return bool(block)

    def close_piece(self, number: int) -> None:
        """Write header and padding around a piece that is not closed yet."""
        if number in self._closed:
            return
        piece = self.pieces[number]
        name = member_name(self.digest, "identity", piece.part)
        chunk = self._chunk(piece.chunk)
        with chunk.writing() as handle, medium_errors(chunk.partial):
            chunk.member(handle, piece, self._held).finish(name, piece.size)
        self._closed.add(number)

    def finish(self) -> tuple[int, ...]:
        """Close every piece that is still open; return the CRC-32 of each."""
        for number in range(len(self.pieces)):
            self.close_piece(number)
        return tuple(self.crcs)

    def close(self) -> None:
        """Let the chunks go."""
        self._front.close()
