"""Fetches the blobs of a plan: each from an artifact that has it, by the connections there are."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING, Self

from bundle.errors import SourceError
from bundler.fetch import Ended, Fetching, unpinned
from bundler.growth import Growth
from bundler.sink import Sink

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from bundle.digest import Digest
    from bundler.chunkfile import ChunkFile
    from bundler.journal import Journal
    from bundler.lock import Lock, LockedArtifact, LockedContent
    from bundler.packing import Piece
    from bundler.sources.base import OpenAt

    Opener = Callable[[LockedArtifact, LockedContent], OpenAt]

WORKERS = 4
"""Connections to begin with; two saturate two cores, the others hide latency."""
CONNECTIONS = 16
"""Connections at most, if nobody says otherwise."""


class Blobs:
    """The blobs of an export: begun one by one, and shared by connections that are left over.

    One thread uses it; ``with`` ends its threads. ``pieces`` are where each blob goes, and
    ``connections`` is how many are opened to begin with, and at most.
    """

    def __init__(
        self,
        lock: Lock,
        pieces: Mapping[Digest, Sequence[Piece]],
        opener: Opener,
        *,
        journal: Journal,
        chunk: Callable[[int], ChunkFile],
        stop: threading.Event,
        on_bytes: Callable[[int], object],
        connections: tuple[int, int],
    ) -> None:
        self._pieces, self._opener, self._journal, self._chunk = pieces, opener, journal, chunk
        self._stop, self._told = stop, on_bytes
        self._least = min(connections)
        self._growth = Growth(*connections)
        self._pool = ThreadPoolExecutor(sum(connections), "fetch")
        self._under_way: dict[Digest, Fetching] = {}
        self._fetches: set[Future[None]] = set()
        self._helpers: set[Future[None]] = set()
        self._moved = 0
        self._ended: SimpleQueue[Ended] = SimpleQueue()
        self.users = _users(lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._pool.shutdown()

    @property
    def room(self) -> bool:
        """Whether another blob may be begun."""
        self._fetches = {future for future in self._fetches if not future.done()}
        self._helpers = {future for future in self._helpers if not future.done()}
        free = self._growth.wanted - len(self._helpers)
        return len(self._fetches) < max(self._least, free)

    def begin(self, digest: Digest) -> Future[None]:
        """Begin to fetch a blob; the journal has it as done when the future ends well.

        Else it ends with the :class:`SourceError` of the first artifact that has the blob.
        """
        future = self._pool.submit(self._fetch, digest)
        self._fetches.add(future)
        return future

    def ended(self) -> Iterator[Ended]:
        """Yield pieces that are in their chunks by now, of blobs that are not."""
        while not self._ended.empty():
            yield self._ended.get()

    def share(self, *, idle: bool) -> None:
        """Have connections that no blob waits for fetch ranges of those that are under way."""
        more = self.room
        used = len(self._fetches) + len(self._helpers)
        self._growth.observe(self._moved, busy=used >= self._growth.wanted)
        while idle and more and used < self._growth.wanted:
            more = self._help()
            used += more

    def _help(self) -> bool:
        jobs = list(self._under_way.values())
        for fetching in jobs:
            if claim := fetching.claim(self._growth.wanted // len(jobs)):
                self._helpers.add(self._pool.submit(fetching.help, claim))
                return True
        return False

    def count(self, count: int) -> None:
        """Count bytes that came, or, when negative, that have to come again."""
        self._moved += max(count, 0)  # approximate under threads; it only steers
        self._told(count)

    def _fetch(self, digest: Digest) -> None:
        last: SourceError | None = None
        pieces, proven = self._pieces[digest], self._journal.proven
        closed = {number for number, piece in enumerate(pieces) if piece.chunk in proven}
        for opened, what in self.sources(digest):
            sink = Sink(digest, pieces, self._chunk, closed)
            try:
                with unpinned(what):
                    open_at = opened()
                self._under_way[digest] = fetching = Fetching(
                    open_at,
                    sink,
                    what=what,
                    journal=self._journal,
                    stop=self._stop,
                    on_bytes=self.count,
                    on_piece=self._ended.put,
                )
                crcs = fetching.run()
            except SourceError as error:
                last = last or error
                continue
            finally:
                self._under_way.pop(digest, None)
                sink.close()
            self._journal.write(done=digest, crc=list(crcs))
            return
        assert last is not None  # noqa: S101  (a blob has a user)
        raise last

    def sources(self, digest: Digest) -> Iterator[tuple[Callable[[], OpenAt], str]]:
        """Yield what opens a blob, and what to call it, for each artifact that has it."""
        for locked, content in self.users[digest]:
            yield partial(self._open, locked, content), f"{locked.artifact.name}: {digest.short}"

    def _open(self, locked: LockedArtifact, content: LockedContent) -> OpenAt:
        if content.text is not None:
            return _text(content.text.encode())
        return self._opener(locked, content)


def _users(lock: Lock) -> dict[Digest, list[tuple[LockedArtifact, LockedContent]]]:
    found: dict[Digest, list[tuple[LockedArtifact, LockedContent]]] = {}
    for locked in lock.artifacts:
        for content in locked.contents:
            found.setdefault(content.content.digest, []).append((locked, content))
    return found


def _text(data: bytes) -> OpenAt:
    return lambda offset, end=None: nullcontext(iter([data[offset:end]]))
