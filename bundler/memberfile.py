"""The data of one member on its way into a chunk: written and read at any place of it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Protocol

from bundle import segments, ustar
from bundle.box import Damaged
from bundle.segments import Segment

if TYPE_CHECKING:
    from bundle.box import Box
    from bundler.heldback import HeldBack
    from bundler.packing import Piece


class Member(Protocol):
    """A member that is being written by one thread. Places are in bytes from its first one."""

    def write(self, at: int, data: memoryview) -> None:
        """Write, or hold back until what belongs to it has come."""

    def read(self, at: int, count: int) -> bytes:
        """Return up to ``count`` bytes that were written; none where there are none to be used."""

    def keep(self, at: int, data: bytes) -> None:
        """Take what was read as the beginning of what will be written behind it."""

    def finish(self, name: str, size: int) -> None:
        """Write header, padding and whatever is held back of the ``size`` bytes."""

    def place(self, at: int) -> int:
        """Return where a byte lies in the file, roughly."""


class PlainMember:
    """A member that is stored as it is; ``offset`` is that of its data in the chunk."""

    def __init__(self, handle: int, offset: int) -> None:
        self._handle, self._offset = handle, offset

    def write(self, at: int, data: memoryview) -> None:
        """Write at once."""
        write_all(self._handle, data, self._offset + at)

    def read(self, at: int, count: int) -> bytes:
        """Read what is there."""
        return os.pread(self._handle, count, self._offset + at)

    def keep(self, at: int, data: bytes) -> None:
        """Nothing is held back."""

    def finish(self, name: str, size: int) -> None:
        """Write header and padding."""
        write_all(self._handle, ustar.header(name, size), self._offset - ustar.RECORD)
        write_all(self._handle, bytes(ustar.padding(size)), self._offset + size)

    def place(self, at: int) -> int:
        """Return the place in the file."""
        return self._offset + at


class EncryptedMember:
    """A member whose segments are encrypted one by one, as soon as each is whole.

    Until then they are held back in memory, by all threads that write to the blob in one place:
    nothing that is not encrypted reaches the medium. The last segment ends with the padding.
    ``piece.size`` is the most that the member will have.
    """

    def __init__(self, handle: int, box: Box, piece: Piece, held: HeldBack) -> None:
        self._handle, self._box, self._piece, self._held = handle, box, piece, held

    def _segment(self, at: int, size: int | None = None) -> tuple[Segment, int, int]:
        """Return the segment with the byte at ``at``, its first byte and how many of data."""
        size = self._piece.size if size is None else size
        index = at // segments.SEGMENT
        first = index * segments.SEGMENT
        count = min(segments.SEGMENT, size - first)
        number = self._piece.segment + 1 + index
        whole = count + ustar.padding(count)
        return Segment(self._piece.offset + first, whole, number), first, count

    def write(self, at: int, data: memoryview) -> None:
        """Encrypt each segment that is whole now, and hold the rest back."""
        while data:
            segment, first, count = self._segment(at)
            taken = data[: first + count - at]
            if len(taken) == segment.size:
                self._put(segment, taken)
            elif whole := self._hold(segment, first, count, at, taken):
                self._put(segment, whole)
                self._held.drop(self._key(segment))
            data = data[len(taken) :]
            at += len(taken)

    def _hold(
        self, segment: Segment, first: int, count: int, at: int, data: bytes | memoryview
    ) -> bytearray | None:
        start = self._piece.start + first
        return self._held.add(
            self._key(segment), (start, start + count), segment.size, at - first, data
        )

    def _key(self, segment: Segment) -> tuple[int, int]:
        return (self._piece.chunk, segment.number)

    def _put(self, segment: Segment, data: bytearray | memoryview) -> None:
        write_all(self._handle, self._box.seal(segment, data), segment.position)

    def read(self, at: int, count: int) -> bytes:
        """Return what is held back there, or open the segment; of one that is damaged, nothing."""
        if at >= self._piece.size:
            return b""
        segment, first, size = self._segment(at)
        inside = slice(at - first, min(at - first + count, size))
        held = self._held.get(self._key(segment), inside)
        if held is not None:
            return held
        stored = os.pread(self._handle, segment.stored, segment.position)
        try:
            return self._box.open(segment, stored)[inside]
        except Damaged:
            return b""

    def keep(self, at: int, data: bytes) -> None:
        """Hold back what does not end a segment: that one is written again, with what follows."""
        segment, first, count = self._segment(at)
        if data and at + len(data) < first + count:
            self._hold(segment, first, count, at, data)

    def finish(self, name: str, size: int) -> None:
        """Write what is held back, and the header in a segment of its own."""
        if size % segments.SEGMENT:
            segment, _first, count = self._segment(size - 1, size)
            data = self._held.get(self._key(segment), slice(0, count))
            if data is not None and len(data) == count:
                self._put(segment, memoryview(data + bytes(ustar.padding(count))))
                self._held.drop(self._key(segment))
        offset = self._piece.offset - ustar.RECORD
        header = Segment(offset, ustar.RECORD, self._piece.segment)
        self._put(header, memoryview(ustar.header(name, size)))

    def place(self, at: int) -> int:
        """Return about where the byte is in the file."""
        segment, first, _count = self._segment(at)
        return segment.position + segments.HEAD + at - first


def write_all(handle: int, data: bytes | bytearray | memoryview, offset: int) -> None:
    """Write all of ``data`` at ``offset``."""
    done = os.pwrite(handle, data, offset)
    while done < len(data):
        done += os.pwrite(handle, memoryview(data)[done:], offset + done)
