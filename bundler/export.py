"""Export: fetch every blob into its chunk, seal the chunks, and sign when nothing is missing."""

from __future__ import annotations

from collections import deque
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bundle.chunks import Chunk, Part, StoredBlob, member_name
from bundle.digest import Digest
from bundle.errors import DrayError, SourceError
from bundler.blobs import CONNECTIONS, WORKERS, Blobs
from bundler.chunkfile import PARTIAL, ChunkFile, ReadBackError, Span, medium_errors
from bundler.chunkkeys import keys_of
from bundler.encodedstage import EncodedStage
from bundler.encryptedfile import EncryptedFile
from bundler.fetch import Ended, Stop, check
from bundler.paritystage import ParityStage

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from bundle.manifest import File
    from bundle.parity import Group
    from bundler.blobs import Opener
    from bundler.journal import Journal
    from bundler.packing import Piece
    from bundler.plan import Plan
    from bundler.weave import Reading

ENCODED = 0
"""Stands for the encoded stage among the numbers of chunks."""


@dataclass
class Outcome:
    """What an export run did. ``failures`` maps artifacts to what went wrong; sizes in bytes.

    ``papers`` are small files that travel along, by what follows ``<bundle>.`` in their names.
    """

    failures: dict[str, DrayError] = field(default_factory=dict)
    fetched: int = 0
    kept: int = 0
    blobs: list[StoredBlob] = field(default_factory=list)
    chunks: list[Chunk] = field(default_factory=list)
    placed: list[int] = field(default_factory=list)
    parity: tuple[Group, ...] = ()
    lists: tuple[File, ...] = ()
    papers: dict[str, bytes] = field(default_factory=dict)


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
        connections: tuple[int, int] = (WORKERS, CONNECTIONS),
    ) -> None:
        """Prepare it; ``connections`` is how many are opened to begin with, and at most."""
        self.plan, self.bundle, self.journal, self.stop = plan, bundle, journal, stop
        self.on_sealed = on_sealed
        self.pieces = plan.packing.pieces()
        self.outcome = Outcome()
        self._keys = keys_of(plan.options.recipients, journal)
        self.blobs = Blobs(
            plan.lock,
            self.pieces,
            opener,
            journal=journal,
            chunk=self.chunk,
            stop=stop,
            on_bytes=on_bytes,
            connections=connections,
        )
        self._left: dict[int, set[Digest]] = {}
        self._again: set[tuple[int, Digest]] = set()
        self._running: dict[Future[None], Digest | int] = {}
        self._early: dict[int, Future[None]] = {}
        self.parity: ParityStage | None = None
        if plan.options.parity:
            self.parity = ParityStage(plan, bundle, journal, self.chunk, stop, on_sealed)

    def chunk(self, number: int) -> ChunkFile:
        """Return the file of a planned chunk."""
        folder = self.plan.folder(self.plan.placed[number - 1], self.bundle)
        name = self.plan.chunk_name(self.bundle, number)
        if self._keys is None:
            return ChunkFile(folder / name)
        return EncryptedFile(folder / name, self._keys.of(name))

    def folders(self) -> list[Path]:
        """Return the folders of all media."""
        count = len(self.plan.options.media) or len(self.plan.options.folders) or 1
        return [self.plan.folder(number, self.bundle) for number in range(count)]

    def run(self) -> Outcome:
        """Fetch and seal whatever the journal does not have; raise :class:`Stop` when told to."""
        for folder in self.folders():
            with medium_errors(folder):
                folder.mkdir(parents=True, exist_ok=True)
        todo = self._todo()
        encoded = set(self.journal.encoded)
        with self.blobs, ThreadPoolExecutor(2, "seal") as sealers:
            try:
                if self.plan.encode:
                    self._running[sealers.submit(self._encode)] = ENCODED
                self._loop(todo, sealers)
            except BaseException:
                self.stop.set()
                raise
        check(self.stop)
        if not self.outcome.failures:
            self._collect()
            self._collect_encoded(encoded)
            self._sweep()
            self._protect()
        return self.outcome

    def _stage(self) -> EncodedStage:
        return EncodedStage(
            self.plan, self.journal, self.chunk, stop=self.stop, on_bytes=self.blobs.count
        )

    def _encode(self) -> None:
        try:
            failed = self._stage().run(self.blobs.sources)
        except ReadBackError:
            # Its blobs are forgotten by now, with all that was written after them: once more.
            failed = self._stage().run(self.blobs.sources)
        for digest, error in failed.items():
            self._fail([digest], error)

    def _fail(self, digests: Iterable[Digest], error: DrayError) -> None:
        for digest in digests:
            for locked, _content in self.blobs.users[digest]:
                self.outcome.failures.setdefault(locked.artifact.name, error)

    def _sweep(self) -> None:
        """Remove what cut runs left unfinished: all that the bundle has is sealed."""
        for folder in self.folders():
            for path in folder.glob(f"{self.bundle}.*{PARTIAL}"):
                with medium_errors(path):
                    path.unlink()

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
        planned = [n for n in self.journal.sealed if n <= len(self.plan.packing.sizes)]
        for number in planned:  # the encoded stage looks after its own
            path, size = self.chunk(number).path, self.plan.packing.sizes[number - 1]
            if not path.is_file() or path.stat().st_size != size:
                self.journal.write(unsealed=number)
                lost.update(self._members(number))
            else:  # a run that was killed had begun to open it
                lost.update(d for d in self._members(number) if d not in self.journal.done)
        self._undo(lost)

    def _undo(self, digests: Iterable[Digest]) -> None:
        """Forget blobs, and take sealed chunks that hold something of them back to writing."""
        for digest in digests:
            self.journal.write(undone=digest)
            for number in {piece.chunk for piece in self.pieces[digest]}:
                if number in self.journal.sealed:
                    self.journal.write(unsealed=number)
                    self.chunk(number).reopen()

    def _loop(self, todo: deque[Digest], sealers: ThreadPoolExecutor) -> None:
        running = self._running
        while (todo or running) and not self.stop.is_set():
            while todo and self.blobs.room:
                digest = todo.popleft()
                if digest in self.journal.done:
                    self._keep(digest)
                else:
                    running[self.blobs.begin(digest)] = digest
                    continue
                self._seal_full(digest, sealers)
            self.blobs.share(idle=not todo)
            self._prove_parts(sealers)
            done, _ = wait(running, timeout=0.2, return_when=FIRST_COMPLETED)
            for future in done:
                if future not in running:
                    continue  # settled with another one
                key = running.pop(future)
                self._settle(future, key, todo)
                if isinstance(key, Digest) and not self.stop.is_set():
                    self._seal_full(key, sealers)

    def _seal_full(self, digest: Digest, sealers: ThreadPoolExecutor) -> None:
        if digest not in self.journal.done:
            return
        for number in {piece.chunk for piece in self.pieces[digest]}:
            left = self._left.get(number)
            if left is None:
                continue
            left.discard(digest)
            if not left:
                del self._left[number]
                self._submit_seal(number, sealers)

    def _prove_parts(self, sealers: ThreadPoolExecutor) -> None:
        """Have chunks read back that hold one part of a blob, as soon as that part is there.

        Else all the chunks of a large blob would be read back after its last byte.
        """
        for ended in self.blobs.ended():
            number = ended.piece.chunk
            alone = len(self.plan.packing.chunks[number - 1]) == 1
            known = number in self.journal.proven or number in self._early
            # One that is being sealed is read for that, and waits for no other.
            if alone and number in self._left and not known and not self._woven(number):
                self._early[number] = sealers.submit(self._prove, ended)

    def _prove(self, ended: Ended) -> None:
        check(self.stop)
        piece = ended.piece
        chunk, span = self.chunk(piece.chunk), self._span(piece, ended.crc)
        try:
            sealed = chunk.prove(self.plan.prefix, [span], self._read_back)
        except ReadBackError:
            if self.journal.turns[piece.digest] == ended.turn:
                raise
            return  # it was being written again
        self.journal.prove(piece.chunk, piece.digest, sealed, ended.turn)

    def _woven(self, number: int) -> bool:
        """Whether the chunk is read together with the others of its group."""
        return self.parity is not None and self.parity.is_planned(self.parity.group(number))

    def _submit_seal(self, number: int, sealers: ThreadPoolExecutor) -> None:
        """Seal a chunk that is complete; with parity, when its whole group is, in one reading."""
        if self.parity is None or not self.parity.is_planned(group := self.parity.group(number)):
            self._running[sealers.submit(self._seal, number)] = number
        elif not self._left.keys() & set(self.parity.groups[group]):
            self._running[sealers.submit(self.parity.make, group, self._reading)] = number

    def _reading(self, number: int, buffer: int) -> Reading:
        """Yield a chunk's blocks: in sealing it, or where it is sealed, again."""
        if known := self.journal.sealed.get(number):
            return self.chunk(number).reading_again(known, buffer)
        return self._sealing(number, buffer)

    def _sealing(self, number: int, buffer: int) -> Reading:
        pieces = self.plan.packing.chunks[number - 1]
        spans = [self._span(piece, self._crc(piece)) for piece in pieces]
        try:
            sealed = yield from self.chunk(number).sealing(self.plan.prefix, spans, buffer)
        except ReadBackError as error:
            error.chunk = number
            raise
        self.journal.seal(number, sealed)
        return sealed

    def _protect(self) -> None:
        """Make what parity there is not, and the block list."""
        if self.parity is not None:
            made, blocks = self.parity.finish(self.outcome.chunks, self._reading)
            self.outcome.parity, self.outcome.lists = made, (blocks,)

    def _settle(self, future: Future[None], key: Digest | int, todo: deque[Digest]) -> None:
        error = future.exception()
        if error is None:
            if isinstance(key, Digest):
                self.outcome.fetched += self.plan.lock.blobs[key]
            return
        if isinstance(error, Stop):
            return
        if isinstance(error, ReadBackError) and isinstance(key, int) and key != ENCODED:
            self._refetch(error.chunk or key, error, todo)
            return
        if not isinstance(error, SourceError):
            # The medium failed: nothing else can be written there either.
            self.stop.set()
            raise error
        self._fail([key] if isinstance(key, Digest) else [], error)

    def _members(self, number: int) -> list[Digest]:
        return [piece.digest for piece in self.plan.packing.chunks[number - 1]]

    def _refetch(self, number: int, error: ReadBackError, todo: deque[Digest]) -> None:
        """Fetch again what a chunk has lost; a blob that is cut, into all its chunks.

        Nothing is written to a chunk while it is being sealed: those are waited for.
        """
        pairs = {(number, digest) for digest in error.digests}
        if self._again & pairs:
            raise error
        self._again |= pairs
        self._left.setdefault(number, set())
        others = {piece.chunk for digest in error.digests for piece in self.pieces[digest]}
        sealing = [future for future, key in self._running.items() if self._sealed_by(key) & others]
        for future in sealing:
            wait([future])
            if key := self._running.pop(future, None):
                self._settle(future, key, todo)
        self._undo(error.digests)
        for digest in error.digests:
            for piece in self.pieces[digest]:
                self._left.setdefault(piece.chunk, set()).add(digest)
            if digest not in todo:
                todo.append(digest)

    def _sealed_by(self, key: Digest | int) -> set[int]:
        """Return the chunks that a unit of work seals."""
        if isinstance(key, Digest) or key == ENCODED:
            return set()
        if self.parity is None or not self.parity.is_planned(group := self.parity.group(key)):
            return {key}
        return set(self.parity.groups[group])

    def _keep(self, digest: Digest) -> None:
        size = self.plan.lock.blobs[digest]
        self.outcome.kept += size
        self.blobs.count(size)

    def _seal(self, number: int) -> None:
        check(self.stop)
        if early := self._early.pop(number, None):
            early.result()
        chunk, size = self.chunk(number), self.plan.packing.sizes[number - 1]
        if (known := self.journal.proven.get(number)) and chunk.accept(size):
            self.journal.seal(number, known.sealed)
            return
        pieces = self.plan.packing.chunks[number - 1]
        spans = [self._span(piece, self._crc(piece)) for piece in pieces]
        self.journal.seal(number, chunk.seal(self.plan.prefix, spans, self._read_back))

    def _crc(self, piece: Piece) -> int:
        return self.journal.done[piece.digest][piece.part or 0]

    def _read_back(self, count: int) -> None:
        check(self.stop)
        self.on_sealed(count)

    def _span(self, piece: Piece, crc: int) -> Span:
        name = member_name(piece.digest, "identity", piece.part)
        whole = piece.digest if piece.part is None else None
        return Span(name, piece.offset, piece.size, crc, whole, piece.digest)

    def _collect_encoded(self, before: set[Digest]) -> None:
        for digest, (encoding, parts) in self.journal.encoded.items():
            size = self.plan.lock.blobs[digest]
            self.outcome.blobs.append(StoredBlob(digest, size, encoding, parts))
            self.outcome.kept += size if digest in before else 0
            self.outcome.fetched += 0 if digest in before else size
        for number, size in sorted(self._stage().sizes().items()):
            self._add(number, size)
        self.outcome.placed = list(self.plan.placed[: len(self.outcome.chunks)])

    def _add(self, number: int, size: int) -> None:
        sealed, name = self.journal.sealed[number], self.plan.chunk_name(self.bundle, number)
        self.outcome.chunks.append(Chunk(number, name, size, sealed.digest, sealed.inner))

    def _collect(self) -> None:
        parts: dict[Piece, Part] = {}
        for number, pieces in enumerate(self.plan.packing.chunks, start=1):
            sealed = self.journal.sealed[number]
            for piece, digest in zip(pieces, sealed.parts, strict=True):
                parts[piece] = Part(number, piece.offset, piece.size, digest)
            self._add(number, self.plan.packing.sizes[number - 1])
        for digest, found in self.pieces.items():
            stored = tuple(parts[piece] for piece in found)
            blob = StoredBlob(digest, self.plan.lock.blobs[digest], "identity", stored)
            self.outcome.blobs.append(blob)


def remaining(plan: Plan, done: Mapping[Digest, object]) -> int:
    """Return the bytes that the journal does not have."""
    return sum(size for digest, size in plan.blobs.items() if digest not in done)
