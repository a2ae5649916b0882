"""Streams that are read forwards once: what is in a compressed one, and where in it we are."""

from __future__ import annotations

import io
import zlib
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BLOCK = 256 << 10
WINDOW = 1 << 27
"""Bytes of a Zstandard window, as `zstd --long` makes them at most."""
SLICE = 512
"""Compressed bytes at a time: a block of 128 KiB takes four, so that they become 16 MB at most."""


class Readable(Protocol):
    """What can be read."""

    def read(self, size: int = -1, /) -> bytes:
        """Return at most ``size`` bytes, none at the end."""
        ...


class Forward(io.RawIOBase):
    """A stream that remembers where it is, and its last record, which can be read again."""

    def __init__(self, stream: Readable, count: Callable[[int], object]) -> None:
        self._stream, self._count = stream, count
        self._at, self._ahead, self._last = 0, b"", b""

    def readable(self) -> bool:
        """Return that it is."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Return ``size`` bytes, fewer at the end only."""
        data = self._ahead[: size if size >= 0 else None]
        self._ahead = self._ahead[len(data) :]
        if size < 0 or len(data) < size:
            fresh = _full(self._stream, size - len(data) if size >= 0 else -1)
            self._count(len(fresh))
            data += fresh
        self._at += len(data)
        self._last = data[-512:]
        return data

    def push(self, data: bytes) -> None:
        """Have ``data``, which was read last, read again."""
        self._ahead = data + self._ahead
        self._at -= len(data)

    def rewind(self) -> None:
        """Have the last record read again: the one that tarfile took for the end."""
        self.push(self._last)

    def strip(self) -> bytes:
        """Read over zeros; return the rest of the first block that has anything else."""
        while block := self.read(BLOCK):
            if rest := block.lstrip(b"\0"):
                return rest
        return b""

    def tell(self) -> int:
        """Return how many bytes were read."""
        return self._at

    def seek(self, position: int, _whence: int = 0) -> int:
        """Read up to ``position``, or have the last few bytes read again."""
        if 0 < self._at - position <= len(self._last):
            self.push(self._last[position - self._at :])
        while self._at < position and self.read(min(BLOCK, position - self._at)):
            pass
        return self._at


class Part(io.RawIOBase):
    """The next bytes of a stream, and no more."""

    def __init__(self, stream: Readable, size: int) -> None:
        self._stream, self._left = stream, size

    def readable(self) -> bool:
        """Return that it is."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Return at most ``size`` bytes, none at the end of the part."""
        data = self._stream.read(self._left if size < 0 else min(size, self._left))
        self._left -= len(data)
        return data

    def skip(self) -> None:
        """Read what nobody wanted."""
        while self.read(BLOCK):
            pass


def _full(stream: Readable, size: int) -> bytes:
    """Read ``size`` bytes, or to the end."""
    if size < 0:
        return b"".join(iter(lambda: stream.read(BLOCK), b""))
    parts, missing = [], size
    while missing and (part := stream.read(missing)):
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)


def gunzip(stream: Readable) -> Iterator[bytes]:
    """Yield what gzip members unpack to, in blocks; zeros may follow, and nothing else."""
    data = stream.read(BLOCK)
    while data:
        decoder = zlib.decompressobj(31)
        while not decoder.eof:
            data = data or stream.read(BLOCK)
            block = decoder.decompress(data, BLOCK)
            if not (data or block or decoder.eof):
                raise EOFError("it ends in the middle")
            data = decoder.unconsumed_tail
            if block:
                yield block
        data = decoder.unused_data.lstrip(b"\0")
        while not data and (more := stream.read(BLOCK)):
            data = more.lstrip(b"\0")


def unzstd(stream: Readable) -> Iterator[bytes]:
    """Yield what Zstandard frames decode to; what is in skippable ones is nothing."""
    import zstandard  # noqa: PLC0415  (start-up time)

    data = memoryview(stream.read(BLOCK))
    while data:
        frame = zstandard.ZstdDecompressor(max_window_size=WINDOW).decompressobj()
        while not frame.eof:
            data = data or memoryview(stream.read(BLOCK))
            if not data:
                raise EOFError("it ends in the middle")
            piece, data = data[:SLICE], data[SLICE:]
            if block := frame.decompress(piece):
                yield block
        data = memoryview(frame.unused_data + bytes(data) or stream.read(BLOCK))
