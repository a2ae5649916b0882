"""Other bundles at hand, as places where parts of blobs may be had."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bundle.errors import DrayError, UsageError
from bundle.media import Media
from bundle.reader import Reader
from bundle.rebuild import cut, start_of
from bundle.unseal import opened

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from bundle.chunks import StoredBlob
    from bundle.rebuild import Offer
    from bundle.trust import Trust


class Shelf:
    """Bundles whose manifests a trusted key signed; what they hold is compared when it is used."""

    def __init__(self, folders: Sequence[Path], trust: Trust) -> None:
        self.readers: list[Reader] = []
        for folder in folders:
            try:
                media = Media.find([folder])
                self.readers.append(Reader(opened(media, trust).manifest, media))
            except DrayError as error:
                raise UsageError(f"--from {folder}: {error.message}", hint=error.hint) from None

    def offers(self, blob: StoredBlob, number: int) -> Iterator[Offer]:
        """Yield the bundles that have the blob, and how to read a part of it there."""
        for reader in self.readers:
            if (other := reader.manifest.blob.get(blob.digest)) is None:
                continue
            start, size = start_of(blob, number), blob.parts[number].size
            if other.encoding == blob.encoding:
                yield reader.manifest.name, _later(reader, other, start, size, stored=True)
            elif blob.encoding == "identity":
                yield reader.manifest.name, _later(reader, other, start, size, stored=False)


def _later(
    reader: Reader, blob: StoredBlob, start: int, size: int, *, stored: bool
) -> Callable[[], Iterator[bytes]]:
    def read() -> Iterator[bytes]:
        medium = reader.blob(blob.digest)
        if stored:
            return cut(medium.stored_blocks(start), 0, size)
        return cut(medium.plain_blocks(), start, size)

    return lambda: read() if size else iter(())
