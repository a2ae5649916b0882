"""A chunk made again out of its parts: with them at hand, every byte follows from the manifest."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from bundle import ustar
from bundle.chunks import prefix
from bundle.digest import verified
from bundle.errors import DrayError, PartlyDone, TransferError, VerificationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from bundle.chunks import Part, StoredBlob
    from bundle.manifest import Manifest

    Offer = tuple[str, Callable[[], Iterator[bytes]]]
    Offers = Callable[[StoredBlob, int], Iterable[Offer]]


class NoSource(VerificationError):
    """Nobody has a part of a chunk, or those who should have it have other bytes."""


class Rebuild:
    """One chunk from its first byte to its last.

    ``offers(blob, number)`` yields who may have a part: a name, and a function that opens its
    stored bytes. They are believed nothing: each part must have the digest that was signed, and so
    must the whole. ``write(offset, data)`` takes the bytes; it is called for an offset again when a
    source broke off.
    """

    def __init__(
        self, manifest: Manifest, number: int, offers: Offers, write: Callable[[int, bytes], object]
    ) -> None:
        self.manifest, self.number, self.offers, self._write = manifest, number, offers, write
        self._sha = hashlib.sha256()
        self._position = 0

    def run(self) -> None:
        """Make the chunk; raise :class:`NoSource`, or what a source failed with."""
        chunk = self.manifest.chunks[self.number - 1]
        self._put(prefix(self.manifest.index))
        for blob, number, part in self.manifest.parts_of(self.number):
            self._put(ustar.header(blob.member(number), part.size))
            self._part(blob, number, part)
            self._put(bytes(ustar.padding(part.size)))
        self._put(ustar.TRAILER)
        if self._position != chunk.size or self._sha.hexdigest() != chunk.digest.hex:
            raise NoSource(f"{chunk.name} is not the tar of its parts: it cannot be made again")

    def _put(self, data: bytes) -> None:
        self._sha.update(data)
        if data:
            self._write(self._position, data)
        self._position += len(data)

    def _part(self, blob: StoredBlob, number: int, part: Part) -> None:
        failures: list[DrayError] = []
        for who, opened in self.offers(blob, number):
            before = self._sha.copy(), self._position
            what = f"{who}: part {number + 1} of {len(blob.parts)} of {blob.digest.short}"
            failure = self._take(opened, part, what)
            if failure is None:
                return
            failures.append(failure)
            self._sha, self._position = before
        raise self._failed(blob, number, failures)

    def _take(
        self, opened: Callable[[], Iterator[bytes]], part: Part, what: str
    ) -> DrayError | None:
        """Write a part; return what the source failed with. What fails in writing is raised."""
        blocks = None
        while True:
            try:
                blocks = blocks or verified(opened(), digest=part.digest, size=part.size, what=what)
                block = next(blocks, None)
            except PartlyDone:
                raise
            except DrayError as error:
                return error
            if block is None:
                return None
            self._put(block)

    def _failed(self, blob: StoredBlob, number: int, failures: list[DrayError]) -> DrayError:
        name = self.manifest.chunks[self.number - 1].name
        users = ", ".join(self.manifest.users[blob.digest][:3])
        what = f"{name}: nobody has part {number + 1} of {blob.digest.short} of {users}"
        for kind in (TransferError, VerificationError):
            for error in reversed(failures):
                if isinstance(error, kind):
                    return type(error)(f"{what}: {error.message}", hint=error.hint)
        return NoSource(what, hint="name bundles that may have it with --from DIR")


def start_of(blob: StoredBlob, number: int) -> int:
    """Return where a part begins in the stored bytes of its blob."""
    return sum(part.size for part in blob.parts[:number])


def cut(blocks: Iterable[bytes], start: int, size: int) -> Iterator[bytes]:
    """Yield ``size`` bytes of a stream from ``start`` on, and ask for no more of it."""
    for block in blocks:
        if start >= len(block):
            start -= len(block)
            continue
        piece = block[start : start + size]
        start, size = 0, size - len(piece)
        yield piece
        if not size:
            return
