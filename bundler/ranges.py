"""Which bytes of one blob are fetched by which connection: pure bookkeeping, for several threads.

A blob is given out from its beginning on, in claims. As long as one connection fetches it, its
claim goes to the end. As soon as a second one asks, claims are cut to a few seconds' worth, and no
byte is given out far ahead of what is hashed: what is written ahead is read again in its turn, and
should still be in the page cache then.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Extents = tuple[tuple[int, int], ...]

LEAST = 16 << 20
"""Bytes of a claim at least: a request costs a few round trips."""
MOST = 64 << 20
"""Bytes of a claim at most, where there are several."""
SPLIT = 64 << 20
"""Bytes; a claim that has more left is cut, which costs its connection: only the first has."""
AHEAD = 1 << 30
"""Bytes behind the hashed ones within which claims begin."""
SILENT = 5.0
"""Seconds without a byte after which another connection may take over what a claim has left."""


class Claim:
    """The bytes of ``ranges`` from ``position`` to ``end`` are fetched by one connection."""

    def __init__(self, ranges: Ranges, position: int, end: int, now: float) -> None:
        self.ranges, self.position, self.end, self.heard = ranges, position, end, now
        self.writing = False

    @property
    def left(self) -> int:
        """The bytes that are still to come."""
        return self.end - self.position


class Ranges:
    """What of a blob of ``size`` bytes is written, and what is claimed."""

    def __init__(self, size: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.size = size
        self.ended = False
        self.changed = threading.Condition()
        self._clock = clock
        self._written: list[tuple[int, int]] = []
        self._claims: list[Claim] = []

    @property
    def extents(self) -> Extents:
        """What is written: first and end of each stretch, in order."""
        with self.changed:
            return tuple(self._written)

    @property
    def count(self) -> int:
        """How many bytes are written."""
        return sum(end - start for start, end in self.extents)

    def front(self, position: int = 0) -> int:
        """Return the end of what is written from ``position`` on without a gap."""
        with self.changed:
            ends = [end for start, end in self._written if start <= position < end]
        return ends[0] if ends else position

    def add(self, extents: Iterable[tuple[int, int]]) -> None:
        """Take stretches as written."""
        with self.changed:
            for start, end in extents:
                self._add(max(start, 0), min(end, self.size))

    def take(self, hashed: int = 0, connections: int = 1) -> Claim | None:
        """Claim what comes next, or nothing when there is nothing for one more connection.

        ``connections`` is how many share what is left, this one included; one takes all of it up to
        what is written already.
        """
        with self.changed:
            if self.ended:
                return None
            step = min(max(self._open // connections, LEAST), MOST)
            limit = hashed + AHEAD if connections > 1 else self.size
            gap = self._gap()
            if gap is None or gap[0] >= limit:
                gap = self._split(step)
            if gap is None:
                return None
            start, end = gap
            last = min(end, start + step) if connections > 1 else end
            claim = Claim(self, start, last, self._clock())
            self._claims.append(claim)
            return claim

    def begin(self, claim: Claim, count: int) -> int:
        """Return how many of the next ``count`` bytes are to be written, none for a lost claim."""
        with self.changed:
            if self.ended:
                return 0
            claim.heard = self._clock()
            wanted = max(0, min(count, claim.left))
            claim.writing = wanted > 0
            return wanted

    def wrote(self, claim: Claim, count: int) -> None:
        """Take ``count`` bytes of a claim as written; 0 when they could not be."""
        with self.changed:
            self._add(claim.position, claim.position + count)
            claim.position += count
            claim.writing = False
            self.changed.notify_all()

    def leave(self, claim: Claim) -> None:
        """Give back what a claim has left."""
        with self.changed:
            self._claims.remove(claim)
            self.changed.notify_all()

    def widen(self) -> None:
        """Let the first claim go on up to what is written, or claimed by others.

        Its connection may be the one of a server that can't begin in the middle.
        """
        with self.changed:
            if self._claims:
                first = min(self._claims, key=lambda claim: claim.position)
                ends = [start for start, _end in self._written if start >= first.end]
                ends += [other.position for other in self._claims if other.position >= first.end]
                first.end = min(ends, default=self.size)

    def end(self) -> None:
        """Give nothing out any more, and return when nobody is writing."""
        with self.changed:
            self.ended = True
            while any(claim.writing for claim in self._claims):
                self.changed.wait()

    @property
    def _open(self) -> int:
        return self.size - sum(end - start for start, end in self._written)

    def _gap(self) -> tuple[int, int] | None:
        """Return the first stretch that is neither written nor claimed."""
        claimed = [(claim.position, claim.end) for claim in self._claims]
        position = 0
        for start, end in sorted([*self._written, *claimed]):
            if start > position:
                return position, start
            position = max(position, end)
        return (position, self.size) if position < self.size else None

    def _split(self, step: int) -> tuple[int, int] | None:
        """Take from the claim that has most left, and from one that nothing is heard of all."""
        now = self._clock()
        for claim in self._claims:
            if claim.left and not claim.writing and now - claim.heard > SILENT:
                return self._cut(claim, claim.position)
        if not self._claims:
            return None
        claim = max(self._claims, key=lambda claim: claim.left)
        if claim.left <= SPLIT:
            return None
        return self._cut(claim, claim.position + min(step, claim.left // 2))

    def _cut(self, claim: Claim, where: int) -> tuple[int, int]:
        end, claim.end = claim.end, where
        gap = self._gap()
        assert gap is not None  # noqa: S101  (what was cut off)
        return gap if gap[0] == where else (where, end)

    def _add(self, start: int, end: int) -> None:
        if start >= end:
            return
        apart = [known for known in self._written if known[1] < start or known[0] > end]
        joined = [known for known in self._written if known not in apart]
        first = min([start, *(known[0] for known in joined)])
        last = max([end, *(known[1] for known in joined)])
        self._written = sorted([*apart, (first, last)])
