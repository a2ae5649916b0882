"""Blobs whose stored length nobody knows before: encoded frame by frame, one after another.

Every other blob has its place before a byte is read. These follow in chunks of their own, in order
of digest, each where the last one ended; so the same lock gives the same chunks, as long as the
Zstandard library is the same. Frames of one blob are compressed in parallel and written in order.
"""

from __future__ import annotations

import hashlib
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from bundle.chunks import Part, member_name
from bundle.encoding import FRAME, decode
from bundle.errors import SourceError, VerificationError
from bundle.transfer import resume
from bundler.chunkfile import Span
from bundler.fetch import OtherBytes, check, other_bytes, pause, unpinned

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator

    from bundle.digest import Digest
    from bundler.journal import Journal
    from bundler.sources.base import OpenAt
    from bundler.tape import Tape

LEVEL = 1
GAIN = 0.95
"""A blob is encoded when its first frame shrinks below this share."""
AHEAD = 3
"""Frames that are compressed at once, beyond the one that is written."""


class Encoder:
    """Fetches, encodes and writes one blob after another; satisfies the journal's resumption."""

    def __init__(
        self,
        tape: Tape,
        journal: Journal,
        stop: threading.Event,
        on_bytes: Callable[[int], object],
    ) -> None:
        self.tape, self.journal, self.stop, self.on_bytes = tape, journal, stop, on_bytes
        self._marks: deque[tuple[int, int]] = deque()

    def encode(self, digest: Digest, size: int, open_at: OpenAt, what: str) -> None:
        """Write one blob, from its first frame or from where a killed run stopped.

        Raises :class:`SourceError` when the upstream fails, or has other bytes than are pinned; the
        tape stands where it stood then.
        """
        before = self.tape.mark()
        try:
            state = self._recover(digest, size)
            try:
                self._run(digest, size, open_at, what, state)
            except OtherBytes:
                if not state[2]:
                    raise
                # What an earlier run, or another upstream, has left may be what is wrong.
                self.tape.reset(before)
                self._run(digest, size, open_at, what, self._recover(digest, size))
        except SourceError:
            self.tape.reset(before)
            raise

    def _recover(self, digest: Digest, size: int) -> tuple[str, hashlib._Hash, int, int]:
        """Return encoding, hash, bytes of the blob and stored bytes that are on the medium."""
        encoding, plain, stored = self.journal.frames.get(digest, ("", 0, 0))
        before = self.tape.mark()
        self.tape.begin()
        sha = hashlib.sha256()
        if not stored:
            return "", sha, 0, 0
        blocks, count = self.tape.recover(stored), 0
        try:
            for block in decode(blocks, encoding, size=size, what=str(digest)):
                check(self.stop)
                sha.update(block)
                count += len(block)
        except VerificationError:
            count = -1
        if count != plain:  # what a power cut left is not what the journal says
            self.tape.reset(before)
            self.tape.begin()
            return "", hashlib.sha256(), 0, 0
        return encoding, sha, plain, stored

    def _run(
        self,
        digest: Digest,
        size: int,
        open_at: OpenAt,
        what: str,
        state: tuple[str, hashlib._Hash, int, int],
    ) -> None:
        encoding, sha, plain, stored = state
        self._marks.clear()
        self.on_bytes(plain)
        try:
            with unpinned(what), ThreadPoolExecutor(2, "zstd") as pool:
                blocks = resume(open_at, size=size, start=plain, what=what, sleep=pause(self.stop))
                waiting: deque[tuple[int, Future[bytes]]] = deque()
                for frame in frames(blocks):
                    sha.update(frame)
                    encoding = encoding or _choose(frame)
                    made = pool.submit(compress if encoding == "zstd" else bytes, frame)
                    waiting.append((len(frame), made))
                    while len(waiting) > AHEAD:
                        plain, stored = self._write(digest, encoding, waiting, plain, stored)
                while waiting:
                    plain, stored = self._write(digest, encoding, waiting, plain, stored)
            if sha.hexdigest() != digest.hex:
                raise other_bytes(f"{what}: upstream sent other bytes than {digest}")
        except SourceError as error:
            self.on_bytes(-plain)
            if isinstance(error, OtherBytes):
                self.journal.write(frames=digest, encoding="", plain=0, stored=0)
            raise
        parts = self.tape.finish(digest, encoding)
        rows = [[part.chunk, part.offset, part.size, part.digest] for part in parts]
        self.journal.write(encoded=digest, encoding=encoding, parts=rows)

    def _write(
        self,
        digest: Digest,
        encoding: str,
        waiting: deque[tuple[int, Future[bytes]]],
        plain: int,
        stored: int,
    ) -> tuple[int, int]:
        count, made = waiting.popleft()
        data = made.result()
        self.tape.write(data)
        plain, stored = plain + count, stored + len(data)
        self._marks.append((plain, stored))
        settled = None
        while self._marks and self._marks[0][1] <= self.tape.settled:
            settled = self._marks.popleft()
        if settled:
            self.journal.write(
                frames=digest, encoding=encoding, plain=settled[0], stored=settled[1]
            )
        self.on_bytes(count)
        check(self.stop)
        return plain, stored


def frames(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Cut a blob into what becomes a frame each."""
    held = bytearray()
    for block in blocks:
        held += block
        while len(held) >= FRAME:
            yield bytes(held[:FRAME])
            del held[:FRAME]
    if held:
        yield bytes(held)


def _choose(frame: bytes) -> str:
    return "zstd" if len(compress(frame)) < GAIN * len(frame) else "identity"


def compress(frame: bytes) -> bytes:
    """Return one Zstandard frame, the same bytes each time with the same library."""
    import zstandard  # noqa: PLC0415  (only --compress needs it)

    return zstandard.ZstdCompressor(level=LEVEL, write_checksum=True).compress(frame)


def spans(encoded: dict[Digest, tuple[str, tuple[Part, ...]]]) -> dict[int, list[Span]]:
    """Return the members of every chunk on the tape, in order."""
    found: dict[int, list[Span]] = {}
    for digest, (encoding, parts) in encoded.items():
        for number, part in enumerate(parts):
            name = member_name(digest, encoding, number if len(parts) > 1 else None)
            span = Span(name, part.offset, part.size, None, part.digest, digest)
            found.setdefault(part.chunk, []).append(span)
    return found
