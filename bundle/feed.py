"""The bytes of one blob, in chunks for requests that may have to be sent again."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Blocks = Callable[..., Iterator[bytes]]


class Feed:
    """A blob that is read once, chunk after chunk; a chunk that is wanted again is read again.

    ``blocks()`` opens it anew, ``blocks(offset=, sha=)`` behind its first bytes, of which ``sha``
    is the SHA-256 state: it is kept for the beginning of each chunk.
    """

    def __init__(self, blocks: Blocks) -> None:
        self._blocks = blocks
        self._start, self._before = 0, hashlib.sha256()
        self._restart()

    def _restart(self) -> None:
        self._reader: Iterator[bytes] | None = None
        self._rest = b""
        self._position, self._sha = self._start, self._before.copy()

    def chunk(self, start: int, size: int) -> Iterator[bytes]:
        """Yield ``size`` bytes from ``start`` on, or fewer at the end of the blob.

        From where the last chunk began nothing is read that came before; for an earlier start, the
        blob is read from its beginning.
        """
        if start < self._position:
            if start < self._start:
                self._start, self._before = 0, hashlib.sha256()
            self._restart()
        for _skipped in self._take(start - self._position):
            pass
        self._start, self._before = start, self._sha.copy()
        yield from self._take(size)

    def _take(self, size: int) -> Iterator[bytes]:
        while size:
            self._rest = self._rest or self._next()
            if not self._rest:
                return
            taken, self._rest = self._rest[:size], self._rest[size:]
            size -= len(taken)
            self._position += len(taken)
            self._sha.update(taken)
            yield taken

    def _next(self) -> bytes:
        if self._reader is None:
            at = self._position
            self._reader = self._blocks(offset=at, sha=self._sha.copy()) if at else self._blocks()
        return next(self._reader, b"")
