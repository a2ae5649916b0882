"""The bytes of blobs for a server: none leaves that a signature does not vouch for.

A whole blob is hashed while it is sent, and its last block waits for the digest. A range has no
such end: the blob is read once to its end before, and the SHA-256 of each segment is kept in
memory. A segment is compared with that each time it is read for a range, so a medium that answers
otherwise the second time is found out as well; names, times and inodes count for nothing.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from bundle.digest import BLOCK
from bundle.errors import VerificationError
from bundle.reader import MANIFEST_LIMIT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from bundle.digest import Digest

SEGMENT = BLOCK
_SIZE = 32
"""Bytes of a segment's digest."""
KEPT = 32 << 20
"""Bytes of digests that are kept: enough for ranges of a terabyte of blobs."""


class Segments:
    """The digests of segments of verified blobs; those that were used last stay."""

    def __init__(self, limit: int = KEPT) -> None:
        self._limit, self._held = limit, 0
        self._found: OrderedDict[Digest, bytes] = OrderedDict()
        self._lock = threading.Lock()
        self._reading: dict[Digest, threading.Lock] = {}

    def get(self, digest: Digest) -> bytes | None:
        """Return the digests of a blob's segments, one after the other."""
        with self._lock:
            if digest in self._found:
                self._found.move_to_end(digest)
            return self._found.get(digest)

    def keep(self, digest: Digest, table: bytes) -> None:
        """Keep the digests of a blob that was verified to its end."""
        with self._lock:
            self._held += len(table) - len(self._found.pop(digest, b""))
            self._found[digest] = table
            while self._held > self._limit and len(self._found) > 1:
                self._held -= len(self._found.popitem(last=False)[1])

    @contextmanager
    def alone(self, digest: Digest) -> Iterator[None]:
        """Let one thread read a blob to its end, whose result the others wait for."""
        with self._lock:
            lock = self._reading.setdefault(digest, threading.Lock())
        try:
            with lock:
                yield
        finally:
            with self._lock:
                self._reading.pop(digest, None)


class Blob(Protocol):
    """A blob to be read, as often as clients ask for it."""

    @property
    def digest(self) -> Digest:
        """What a verified signature, or a receipt, says that it is."""
        ...

    @property
    def size(self) -> int:
        """Bytes, decoded."""
        ...

    def blocks(self) -> Iterator[bytes]:
        """Yield all of it; the last block only after the digest matched."""
        ...

    def plain_blocks(self, offset: int = 0) -> Iterator[bytes]:
        """Yield the bytes from ``offset`` on, not verified: the taker compares."""
        ...

    def read(self) -> bytes:
        """Return all of it, verified."""
        ...


class Blobs(Protocol):
    """Where blobs lie: the media of a bundle, or a folder that an import has filled."""

    def blob(self, digest: Digest) -> Blob:
        """Return one of them."""
        ...


class Store:
    """The blobs of one bundle or one folder, for several threads.

    ``stopping`` is asked between blocks: a server that ends does not first read a blob to its end.
    """

    def __init__(self, blobs: Blobs, stopping: Callable[[], bool] = lambda: False) -> None:
        self._blobs = blobs
        self._segments = Segments()
        self._stopping = stopping

    def check(self, digest: Digest) -> None:
        """Raise :class:`bundle.errors.MediaIncomplete` for a blob that is left out, unread."""
        self._blobs.blob(digest)

    def whole(self, digest: Digest) -> Iterator[bytes]:
        """Yield a blob; the last block only after all of it was verified.

        One that was read before is compared segment by segment: half the hashing, and nothing wrong
        leaves at all. Raises :class:`VerificationError`, or :class:`bundle.errors.MediaIncomplete`.
        """
        blob, table = self._blobs.blob(digest), self._segments.get(digest)
        if table is None:
            yield from self._learning(digest, blob)
        else:
            yield from self._compared(blob, table, 0, blob.size)

    def small(self, digest: Digest) -> bytes:
        """Return a manifest, verified."""
        blob = self._blobs.blob(digest)
        if blob.size > MANIFEST_LIMIT:
            raise VerificationError(f"{digest.short} is too large for a manifest")
        return blob.read()

    def ranged(self, digest: Digest, start: int, end: int) -> Iterator[bytes]:
        """Yield the bytes from ``start`` up to ``end``, each out of a segment that was verified."""
        blob = self._blobs.blob(digest)
        if self._segments.get(digest) is None and end == blob.size:
            # What a download that goes on asks for: the blob's end waits for the digest anyway.
            yield from _from(self._learning(digest, blob), start)
            return
        yield from self._compared(blob, self._table(digest, blob), start, end)

    def _table(self, digest: Digest, blob: Blob) -> bytes:
        with self._segments.alone(digest):
            if (table := self._segments.get(digest)) is None:
                for _block in self._learning(digest, blob):
                    pass
                table = self._segments.get(digest)
        if table is None:  # crowded out by others meanwhile: only a limit that is far too low
            raise VerificationError(f"{digest.short} cannot be served in ranges")
        return table

    def _learning(self, digest: Digest, blob: Blob) -> Iterator[bytes]:
        """Yield a whole blob, and keep the digests of its segments when it was good to the end."""
        table = bytearray()
        for segment in _cut(blob.blocks(), SEGMENT):
            if self._stopping():
                return
            table += hashlib.sha256(segment).digest()
            if len(table) // _SIZE * SEGMENT >= blob.size:
                self._segments.keep(digest, bytes(table))
            yield segment

    def _compared(self, blob: Blob, table: bytes, start: int, end: int) -> Iterator[bytes]:
        number = start // SEGMENT
        position = number * SEGMENT
        for segment in _cut(blob.plain_blocks(position), SEGMENT):
            if self._stopping():
                return
            if hashlib.sha256(segment).digest() != table[number * _SIZE : (number + 1) * _SIZE]:
                raise _changed(blob)
            yield segment[max(start - position, 0) : end - position]
            number, position = number + 1, position + len(segment)
            if position >= end:
                return
        if not self._stopping():
            raise _changed(blob)  # it has become shorter


def _changed(blob: Blob) -> VerificationError:
    """Return the fault of a blob that was good before, or raise the one that names the bytes."""
    for _block in blob.blocks():
        pass
    return VerificationError(
        f"{blob.digest.short} was good when it was read before, and is not now",
        hint="the medium, its cable or its reader fails",
    )


def _cut(blocks: Iterable[bytes], size: int) -> Iterator[bytes]:
    """Yield the same bytes in blocks of ``size``; the last may be shorter."""
    held = b""
    for block in blocks:
        held = held + block if held else block
        while len(held) >= size:
            yield held[:size]
            held = held[size:]
    if held:
        yield held


def _from(blocks: Iterable[bytes], start: int) -> Iterator[bytes]:
    for block in blocks:
        if start < len(block):
            yield block[start:]
        start = max(start - len(block), 0)
