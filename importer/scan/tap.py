"""The bytes of one blob on their way to a target, given to the scanner as well: read once."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING

from bundle.errors import PartlyDone

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from importer.scan.inside import Verdict

BLOCKS = 4
"""Blocks of a megabyte that may wait: the scanner's pace is the target's, and memory is flat."""


class Tap:
    """Runs ``scan`` in a thread of its own over the blocks that :meth:`feed` is given."""

    def __init__(self, scan: Callable[[Iterator[bytes]], Verdict]) -> None:
        self._scan = scan
        self._waiting: queue.Queue[bytes | None] = queue.Queue(BLOCKS)
        self._is_given_up, self._is_ended = False, False
        self._verdict: Verdict | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="scan", daemon=True)
        self._thread.start()

    def feed(self, block: bytes) -> None:
        """Give the next block; waits for the scanner when it is behind."""
        self._waiting.put(block)

    def finish(self) -> Verdict:
        """Return the verdict on what was fed; raise what the scan has raised."""
        self._end()
        if self._error:
            raise self._error
        assert self._verdict is not None  # noqa: S101  (one of the two is there)
        return self._verdict

    def give_up(self) -> None:
        """End it without a verdict: not all of the blob came."""
        self._is_given_up = True
        self._end()

    def _end(self) -> None:
        self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        blocks = self._blocks()
        try:
            self._verdict = self._scan(blocks)
        except BaseException as error:
            self._error = error
        for _unread in self._rest():  # nobody who feeds may wait for ever
            pass

    def _blocks(self) -> Iterator[bytes]:
        for block in self._rest():
            if self._is_given_up:
                break
            yield block
        if self._is_given_up:
            raise PartlyDone("the rest of the blob did not come")

    def _rest(self) -> Iterator[bytes]:
        while not self._is_ended:
            block = self._waiting.get()
            if block is None:
                self._is_ended = True
                return
            yield block
