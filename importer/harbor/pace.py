"""How many requests that write go to a Harbor at once: fewer when it struggles.

All pushes to a project wait for one row of its quota: whoever loses it tries again, for minutes and
up to 2.15 without a pause, until the database takes no connections (src/controller/quota/
controller.go; harbor pull request 23789). And slow disks serve many writers worse than few.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SLOW = 20.0
"""Seconds for something small, after which Harbor is taken to struggle."""
SMALL = 1 << 20
"""Bytes of a blob that is sent in a moment: what takes long is Harbor."""
_PATIENCE = 8
"""Successes in a row after which one more is tried."""


class Pace:
    """Lets up to ``most`` writers through, half as many after each failure that may pass."""

    def __init__(
        self,
        most: int,
        *,
        sleep: Callable[[float], object] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.most = most
        self.limit = most
        self._sleep, self._clock = sleep, clock
        self._condition = threading.Condition()
        self._running = self._good = 0

    def pause(self, seconds: float) -> None:
        """Sleep before another attempt, as :class:`bundle.http.Http` does, and slow down."""
        self.slow_down()
        self._sleep(seconds)

    def slow_down(self) -> None:
        """Let half as many through."""
        with self._condition:
            self.limit, self._good = max(1, self.limit // 2), 0

    @contextmanager
    def turn(self, *, small: bool = False) -> Iterator[None]:
        """Wait for one's turn, and take it; a ``small`` one that takes long slows down."""
        with self._condition:
            while self._running >= self.limit:
                self._condition.wait()
            self._running += 1
        begun = self._clock()
        try:
            yield
        finally:
            with self._condition:
                self._running -= 1
                self._good += 1
                if small and self._clock() - begun > SLOW:
                    self.limit, self._good = max(1, self.limit // 2), 0
                elif self._good >= _PATIENCE and self.limit < self.most:
                    self.limit, self._good = self.limit + 1, 0
                self._condition.notify_all()
