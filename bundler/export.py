"""Export: fetch every blob into its chunk, seal the chunks, and sign when nothing is missing."""

from __future__ import annotations

from collections import deque
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bundle.chunks import Chunk, Part, StoredBlob, chunk_name, member_name
from bundle.digest import Digest
from bundle.errors import DrayError, SourceError
from bundler.chunkfile import ChunkFile, ReadBackError, Span
from bundler.encodedstage import EncodedStage
from bundler.fetch import Sink, Stop, fetch

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping

    from bundler.journal import Journal
    from bundler.lock import LockedArtifact, LockedContent
    from bundler.packing import Piece
    from bundler.plan import Plan
    from bundler.sources.base import OpenAt

    Opener = Callable[[LockedArtifact, LockedContent], OpenAt]

WORKERS = 4
ENCODED = 0
"""Stands for the encoded stage among the numbers of chunks."""


@dataclass
class Outcome:
    """What an export run did. ``failures`` maps artifacts to what went wrong; sizes in bytes."""

    failures: dict[str, DrayError] = field(default_factory=dict)
    fetched: int = 0
    kept: int = 0
    blobs: list[StoredBlob] = field(default_factory=list)
    chunks: list[Chunk] = field(default_factory=list)
    placed: list[int] = field(default_factory=list)


class Export:
    """One run over a plan: blobs and chunks are units of work, and the journal joins the runs."""

    def __init__(
        self,
        plan: Plan,
        bundle: str,
        journal: Journal,
        opener: Opener,
        *,
        stop: threading.Event,
        on_bytes: Callable[[int], object],
        on_sealed: Callable[[int], object] = lambda _count: None,
        workers: int = WORKERS,
    ) -> None:
        self.plan, self.bundle, self.journal, self.opener = plan, bundle, journal, opener
        self.stop, self.on_bytes, self.workers = stop, on_bytes, workers
        self.on_sealed = on_sealed
        self.pieces = plan.packing.pieces()
        self.outcome = Outcome()
        self.users = self._users()
        self._left: dict[int, set[Digest]] = {}
        self._again: set[Digest] = set()

    def _users(self) -> dict[Digest, list[tuple[LockedArtifact, LockedContent]]]:
        found: dict[Digest, list[tuple[LockedArtifact, LockedContent]]] = {}
        for locked in self.plan.lock.artifacts:
            for content in locked.contents:
                found.setdefault(content.content.digest, []).append((locked, content))
        return found

    def chunk(self, number: int) -> ChunkFile:
        """Return the file of a planned chunk."""
        folder = self.plan.folder(self.plan.placed[number - 1], self.bundle)
        return ChunkFile(folder / chunk_name(self.bundle, number))

    def run(self) -> Outcome:
        """Fetch and seal whatever the journal does not have; raise :class:`Stop` when told to."""
        for number in range(len(self.plan.options.media) or len(self.plan.options.folders) or 1):
            self.plan.folder(number, self.bundle).mkdir(parents=True, exist_ok=True)
        todo = self._todo()
        stage = EncodedStage(
            self.plan, self.journal, self.chunk, stop=self.stop, on_bytes=self.on_bytes
        )
        with (
            ThreadPoolExecutor(self.workers, "fetch") as fetchers,
            ThreadPoolExecutor(2, "seal") as sealers,
        ):
            running: dict[Future[None], Digest | int] = {}
            try:
                if self.plan.encode:
                    running[sealers.submit(self._encode, stage)] = ENCODED
                self._loop(todo, fetchers, sealers, running)
            except BaseException:
                self.stop.set()
                raise
        if self.stop.is_set():
            raise Stop("interrupted", hint="run the same command again: what is written is kept")
        if not self.outcome.failures:
            self._collect()
            self._collect_encoded(stage)
        return self.outcome

    def _encode(self, stage: EncodedStage) -> None:
        def open_blob(digest: Digest) -> tuple[OpenAt, str]:
            locked, content = self.users[digest][0]
            return self._open(locked, content), f"{locked.artifact.name}: {digest.short}"

        if failed := stage.run(open_blob):
            digest, error = failed
            for locked, _content in self.users[digest]:
                self.outcome.failures.setdefault(locked.artifact.name, error)
        self.outcome.fetched += sum(self.plan.lock.blobs[d] for d in self.journal.encoded)

    def _todo(self) -> deque[Digest]:
        """Return the blobs to fetch, largest first, and forget sealed chunks that have gone."""
        self._forget_lost()
        for number, pieces in enumerate(self.plan.packing.chunks, start=1):
            if number not in self.journal.sealed:
                self.chunk(number).recall()
                self._left[number] = {piece.digest for piece in pieces}
        return deque(sorted(self.pieces, key=lambda d: (-self.plan.lock.blobs[d], d)))

    def _forget_lost(self) -> None:
        """Fetch again what was sealed and is not there, and open the other chunks of its blobs."""
        lost: set[Digest] = set()
        for number in list(self.journal.sealed):
            if number > len(self.plan.packing.sizes):
                continue  # the encoded stage looks after its own
            path, size = self.chunk(number).path, self.plan.packing.sizes[number - 1]
            if not path.is_file() or path.stat().st_size != size:
                self.journal.write(unsealed=number)
                lost.update(piece.digest for piece in self.plan.packing.chunks[number - 1])
        for digest in lost:
            self.journal.write(undone=digest)
            for number in {piece.chunk for piece in self.pieces[digest]}:
                if number in self.journal.sealed:
                    self.journal.write(unsealed=number)
                    self.chunk(number).reopen()

    def _loop(
        self,
        todo: deque[Digest],
        fetchers: ThreadPoolExecutor,
        sealers: ThreadPoolExecutor,
        running: dict[Future[None], Digest | int],
    ) -> None:
        while (todo or running) and not self.stop.is_set():
            while todo and sum(isinstance(key, Digest) for key in running.values()) < self.workers:
                digest = todo.popleft()
                if digest in self.journal.done:
                    self._keep(digest)
                else:
                    running[fetchers.submit(self._fetch, digest)] = digest
                    continue
                self._seal_full(digest, sealers, running)
            done, _ = wait(running, timeout=0.2, return_when=FIRST_COMPLETED)
            for future in done:
                key = running.pop(future)
                self._settle(future, key, todo)
                if isinstance(key, Digest) and not self.stop.is_set():
                    self._seal_full(key, sealers, running)

    def _seal_full(
        self, digest: Digest, sealers: ThreadPoolExecutor, running: dict[Future[None], Digest | int]
    ) -> None:
        if digest not in self.journal.done:
            return
        for number in {piece.chunk for piece in self.pieces[digest]}:
            left = self._left.get(number)
            if left is None:
                continue
            left.discard(digest)
            if not left:
                del self._left[number]
                running[sealers.submit(self._seal, number)] = number

    def _settle(self, future: Future[None], key: Digest | int, todo: deque[Digest]) -> None:
        error = future.exception()
        if error is None or isinstance(error, Stop):
            return
        if isinstance(error, ReadBackError) and isinstance(key, int):
            self._refetch(key, error, todo)
            return
        if not isinstance(error, DrayError):
            raise error
        if key == ENCODED:
            self.stop.set()
            raise error
        concerned = [key] if isinstance(key, Digest) else self._members(key)
        for digest in concerned:
            for locked, _content in self.users[digest]:
                self.outcome.failures.setdefault(locked.artifact.name, error)
        if not isinstance(error, SourceError):
            # The medium failed: nothing else can be written there either.
            self.stop.set()
            raise error

    def _members(self, number: int) -> list[Digest]:
        return [piece.digest for piece in self.plan.packing.chunks[number - 1]]

    def _refetch(self, number: int, error: ReadBackError, todo: deque[Digest]) -> None:
        if self._again & set(error.digests):
            raise error
        self._again.update(error.digests)
        self._left[number] = set(self._members(number))
        for digest in error.digests:
            self.journal.write(undone=digest)
        todo.extend(error.digests)
        todo.extend(set(self._members(number)) - set(error.digests))

    def _keep(self, digest: Digest) -> None:
        size = self.plan.lock.blobs[digest]
        self.outcome.kept += size
        self.on_bytes(size)

    def _fetch(self, digest: Digest) -> None:
        users = self.users[digest]
        last: SourceError | None = None
        for locked, content in users:
            sink = Sink(digest, self.pieces[digest], self.chunk)
            try:
                crcs = fetch(
                    self._open(locked, content),
                    sink,
                    what=f"{locked.artifact.name}: {digest.short}",
                    journal=self.journal,
                    stop=self.stop,
                    on_bytes=self.on_bytes,
                )
            except SourceError as error:
                last = error
                continue
            finally:
                sink.close()
            self.journal.write(done=digest, crc=list(crcs))
            self.outcome.fetched += sink.size
            return
        assert last is not None  # noqa: S101  (a blob has a user)
        raise last

    def _open(self, locked: LockedArtifact, content: LockedContent) -> OpenAt:
        if content.text is not None:
            return _text(content.text.encode())
        return self.opener(locked, content)

    def _seal(self, number: int) -> None:
        spans = [self._span(piece) for piece in self.plan.packing.chunks[number - 1]]
        sealed = self.chunk(number).seal(self.plan.prefix, spans, self.on_sealed)
        self.journal.write(sealed=number, digest=sealed.digest, parts=list(sealed.parts))

    def _span(self, piece: Piece) -> Span:
        crc = self.journal.done[piece.digest][piece.part or 0]
        name = member_name(piece.digest, "identity", piece.part)
        whole = piece.digest if piece.part is None else None
        return Span(name, piece.offset, piece.size, crc, whole, piece.digest)

    def _collect_encoded(self, stage: EncodedStage) -> None:
        for digest, (encoding, parts) in self.journal.encoded.items():
            blob = StoredBlob(digest, self.plan.lock.blobs[digest], encoding, parts)
            self.outcome.blobs.append(blob)
        for number, size in sorted(stage.sizes().items()):
            name = chunk_name(self.bundle, number)
            self.outcome.chunks.append(
                Chunk(number, name, size, self.journal.sealed[number].digest)
            )
        self.outcome.placed = list(self.plan.placed[: len(self.outcome.chunks)])

    def _collect(self) -> None:
        parts: dict[Piece, Part] = {}
        for number, pieces in enumerate(self.plan.packing.chunks, start=1):
            sealed = self.journal.sealed[number]
            for piece, digest in zip(pieces, sealed.parts, strict=True):
                parts[piece] = Part(number, piece.offset, piece.size, digest)
            name, size = chunk_name(self.bundle, number), self.plan.packing.sizes[number - 1]
            self.outcome.chunks.append(Chunk(number, name, size, sealed.digest))
        for digest, found in self.pieces.items():
            stored = tuple(parts[piece] for piece in found)
            blob = StoredBlob(digest, self.plan.lock.blobs[digest], "identity", stored)
            self.outcome.blobs.append(blob)


def _text(data: bytes) -> OpenAt:
    return lambda offset: nullcontext(iter([data[offset:]]))


def remaining(plan: Plan, done: Mapping[Digest, object]) -> int:
    """Return the bytes that the journal does not have."""
    return sum(size for digest, size in plan.lock.blobs.items() if digest not in done)
