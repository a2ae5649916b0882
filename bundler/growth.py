"""How many connections an export opens: more where each is slow, as long as more bring more."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

PERIOD = 2.0
"""Seconds over which a rate is measured: new connections need some round trips to get going."""
SLOW = 50_000_000
"""Bytes a second of one connection below which a second one may help: content networks throttle
each to about 25 MB/s, and one that is faster keeps a core busy."""
GAIN = 1.1
"""What more connections have to bring, times the rate before, to be kept."""
HOLD = 30.0
"""Seconds until it is tried again after it did not help."""


class Growth:
    """The number ``wanted``, between ``least`` and ``most``; one thread asks and tells."""

    def __init__(self, least: int, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.wanted = min(least, most)
        self._most, self._clock = most, clock
        self._before, self._rate = self.wanted, 0.0
        self._trying = False
        self._hold = self._since = clock()
        self._moved = 0

    def observe(self, moved: int, *, busy: bool) -> None:
        """Take note of the bytes that came so far; ``busy`` when all connections are in use.

        A rate that was reached with fewer connections than are wanted says nothing.
        """
        now = self._clock()
        if not busy:
            self._since, self._moved = now, moved
            return
        if now - self._since < PERIOD:
            return
        rate = (moved - self._moved) / (now - self._since)
        self._since, self._moved = now, moved
        if self._trying and rate < GAIN * self._rate:
            self.wanted, self._hold = self._before, now + HOLD
        self._trying = False
        if rate < SLOW * self.wanted and self.wanted < self._most and now >= self._hold:
            self._before, self._rate, self._trying = self.wanted, rate, True
            self.wanted = min(2 * self.wanted, self._most)
