"""The part of an export whose stored lengths are not known before: encode, seal, in order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bundle.errors import SourceError
from bundle.transfer import resume
from bundler.chunkfile import ReadBackError
from bundler.encode import Encoder, spans
from bundler.fetch import check, unpinned
from bundler.packing import room
from bundler.tape import Tape

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable

    from bundle.digest import Digest
    from bundler.chunkfile import ChunkFile
    from bundler.journal import Journal
    from bundler.plan import Plan
    from bundler.sources.base import OpenAt

    Sources = Iterable[tuple[Callable[[], OpenAt], str]]
    Use = Callable[[Digest, int, OpenAt, str], None]


class EncodedStage:
    """Writes the blobs that ``--compress`` chose into chunks of their own, one after another.

    After a blob that fails nothing more is written: it would lie elsewhere than in a run without
    the failure, and the same lock must give the same chunks. The others are only tried, so that
    one run tells of all that are out of reach.
    """

    def __init__(
        self,
        plan: Plan,
        journal: Journal,
        chunk: Callable[[int], ChunkFile],
        *,
        stop: threading.Event,
        on_bytes: Callable[[int], object],
    ) -> None:
        self.plan, self.journal, self.chunk = plan, journal, chunk
        self.stop, self.on_bytes = stop, on_bytes
        start = len(plan.prefix)
        free = room(plan.options.chunk_size, start, plan.geometry)
        self.tape = Tape(chunk, len(plan.packing.sizes) + 1, start, free, plan.geometry)

    def run(self, sources: Callable[[Digest], Sources]) -> dict[Digest, SourceError]:
        """Write what the journal does not have; return the blobs that failed."""
        try:
            return self._run(sources)
        finally:
            self.tape.close()

    def _run(self, sources: Callable[[Digest], Sources]) -> dict[Digest, SourceError]:
        self._forget_lost()
        encoder = Encoder(self.tape, self.journal, self.stop, self.on_bytes)
        failures: dict[Digest, SourceError] = {}
        for digest in self.plan.encode:
            known = self.journal.encoded.get(digest)
            if known:
                self.tape.seek(known[1])
                self.on_bytes(self.plan.lock.blobs[digest])
                continue
            if not failures:
                self._seal(self.tape.number - 1)
            use: Use = self._probe if failures else encoder.encode
            if error := self._use(use, digest, sources(digest)):
                failures[digest] = error
        if not failures:
            self._seal(self.tape.number)
        return failures

    def _probe(self, _digest: Digest, size: int, open_at: OpenAt, what: str) -> None:
        """Read the first block of a blob, and leave it."""
        check(self.stop)
        blocks = resume(open_at, size=size, what=what)
        next(blocks, b"")
        blocks.close()  # which lets the connection go

    def _use(self, use: Use, digest: Digest, sources: Sources) -> SourceError | None:
        """Write, or probe, a blob at the first artifact that has it."""
        failed: SourceError | None = None
        for opened, what in sources:
            try:
                with unpinned(what):
                    open_at = opened()
                use(digest, self.plan.lock.blobs[digest], open_at, what)
            except SourceError as error:
                failed = failed or error
                continue
            return None
        return failed

    def _seal(self, last: int) -> None:
        """Seal the finished chunks up to ``last``."""
        members = spans(self.journal.encoded)
        for number in range(self.tape.first, last + 1):
            if number in members and number not in self.journal.sealed:
                try:
                    sealed = self.chunk(number).seal(
                        self.plan.prefix, members[number], lambda _count: check(self.stop)
                    )
                except ReadBackError as error:
                    self._rewind(error.digests[0])
                    raise
                self.journal.seal(number, sealed)

    def _forget_lost(self) -> None:
        sizes = self.sizes()
        for number, found in spans(self.journal.encoded).items():
            chunk = self.chunk(number)
            if number not in self.journal.sealed:
                chunk.recall()
            elif not chunk.path.is_file() or chunk.path.stat().st_size != sizes[number]:
                self._rewind(found[0].blob)
                return

    def _rewind(self, digest: Digest) -> None:
        """Forget a blob and all after it, and take their chunks back to writing."""
        first = self.journal.encoded[digest][1][0].chunk
        opened = [number for number in list(self.journal.sealed) if number >= first]
        self.journal.write(rewound=digest)
        for number in opened:
            if number >= self.tape.first and self.chunk(number).path.is_file():
                self.chunk(number).reopen()

    def sizes(self) -> dict[int, int]:
        """Return the size in bytes of every chunk written, by number."""
        geometry = self.plan.geometry
        return {
            number: geometry.ends(len(self.plan.prefix))
            + sum(geometry.cost(span.size) for span in found)
            for number, found in spans(self.journal.encoded).items()
        }
