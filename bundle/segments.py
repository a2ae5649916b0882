"""Where the segments of an encrypted chunk are: pure arithmetic on the sizes of its members.

A chunk is cut where its prefix, each header, each member's data and its trailer begin, and from
there every MiB; so every segment belongs to one member, and all offsets follow from the manifest.
Format: ``schemas/README.md``, "Encrypted chunks".
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from bundle import ustar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

FEATURE = "aes256gcm-hpke-p256"
"""The name of encryption among a manifest's features."""
MAX_RECIPIENTS = 20
SEGMENT = 1 << 20
"""The most plain bytes of a segment."""
HEADER = 4096
"""Bytes of the header before the first segment, whatever it holds."""
NONCE = 12
HEAD = 4 + NONCE
"""Bytes before a segment's ciphertext: its plain length, and its nonce."""
OVERHEAD = HEAD + 16
"""Bytes that a segment has in the file beyond its plain ones: head and tag."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment: where its plain bytes are in the chunk, how many, and which one it is, from 0."""

    offset: int
    size: int
    number: int
    last: bool = False

    @property
    def position(self) -> int:
        """Where it begins in the file."""
        return HEADER + self.offset + self.number * OVERHEAD

    @property
    def stored(self) -> int:
        """Bytes that it has in the file."""
        return self.size + OVERHEAD


def count(size: int) -> int:
    """Return how many segments a stretch of ``size`` bytes is cut into."""
    return -(-size // SEGMENT)


def member_segments(size: int) -> int:
    """Return how many segments a member with ``size`` bytes of data has: one is its header."""
    return 1 + count(size + ustar.padding(size))


def member_cost(size: int) -> int:
    """Return the bytes that a member with ``size`` bytes of data takes in the file."""
    return ustar.span(size) + member_segments(size) * OVERHEAD


def ends_cost(prefix: int) -> int:
    """Return the bytes in the file of header, prefix and trailer."""
    return HEADER + prefix + count(prefix) * OVERHEAD + len(ustar.TRAILER) + OVERHEAD


def most_data(room: int) -> int:
    """Return the most bytes of data, in whole records, of a member that takes ``room`` bytes."""
    left = room - ustar.RECORD - OVERHEAD
    full, rest = divmod(left, SEGMENT + OVERHEAD)
    return full * SEGMENT + max(0, rest - OVERHEAD) // ustar.RECORD * ustar.RECORD


class Cuts:
    """All segments of one chunk. ``size`` and ``file_size`` are in bytes: plain, and encrypted."""

    def __init__(self, prefix: int, members: Iterable[tuple[int, int]]) -> None:
        """Cut a chunk with these members, given as offset and size of their data, in order."""
        self._starts, self._before = [0], [0]
        end = prefix
        for offset, size in members:
            self._begin(offset - ustar.RECORD)
            if size:
                self._begin(offset)
            end = offset + size + ustar.padding(size)
        self._begin(end)
        self.size = end + len(ustar.TRAILER)
        self._starts.append(self.size)
        self.segments = self._before[-1] + 1
        self.file_size = HEADER + self.size + self.segments * OVERHEAD

    def _begin(self, offset: int) -> None:
        self._before.append(self._before[-1] + count(offset - self._starts[-1]))
        self._starts.append(offset)

    def at(self, offset: int) -> Segment:
        """Return the segment that holds the plain byte at ``offset``."""
        stretch = bisect_right(self._starts, offset, hi=len(self._before)) - 1
        start, end = self._starts[stretch], self._starts[stretch + 1]
        inside = (offset - start) // SEGMENT
        begin = start + inside * SEGMENT
        number = self._before[stretch] + inside
        return Segment(begin, min(SEGMENT, end - begin), number, number + 1 == self.segments)

    def __iter__(self) -> Iterator[Segment]:
        """Yield all segments, in order."""
        for start, end in pairwise(self._starts):
            for offset in range(start, end, SEGMENT):
                yield self.at(offset)
