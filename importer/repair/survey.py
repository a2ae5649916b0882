"""What lies on the media, block by block: each file read once, whatever of it can be read."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bundle.errors import DrayError
from bundle.parity import BLOCK, DIGEST, blocks_of, list_name, listed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from bundle.digest import Digest
    from bundle.manifest import Manifest
    from bundle.media import Media


@dataclass(frozen=True, slots=True)
class Copy:
    """A file on a medium: which of its blocks are good (1 for each that is), and its digest.

    ``sha256`` is of all its bytes, empty when they cannot be read or are too few or too many;
    ``reason`` is what keeps it from being opened.
    """

    path: Path
    good: bytes
    sha256: str
    reason: str = ""


@dataclass
class Item:
    """A chunk or a parity file: what was signed of it, where it belongs, and what there is of it.

    ``number`` is the chunk's, 0 for a parity file. ``start`` is where its hashes begin in the block
    list.
    """

    name: str
    size: int
    digest: Digest
    medium: int
    number: int
    start: int
    copies: list[Copy] = field(default_factory=list)
    elsewhere: Path | None = None

    @property
    def blocks(self) -> int:
        """How many blocks it has."""
        return blocks_of(self.size)

    def length(self, block: int) -> int:
        """Return the bytes of a block, 0 behind the end of the file."""
        return max(0, min(BLOCK, self.size - block * BLOCK))

    def is_whole(self, copy: Copy) -> bool:
        """Whether a copy is as it was signed."""
        return copy.sha256 == self.digest.hex

    @property
    def here(self) -> bool:
        """Whether a copy under the right name is as it was signed."""
        return any(self.is_whole(copy) for copy in self.copies)

    def holder(self, block: int) -> Path | None:
        """Return a file that has the block; it may lie under another name."""
        if self.elsewhere:
            return self.elsewhere
        return next((copy.path for copy in self.copies if copy.good[block]), None)

    def lacking(self) -> list[int]:
        """Return the blocks that nobody has."""
        return [block for block in range(self.blocks) if self.holder(block) is None]


class Survey:
    """All chunks and parity files of a bundle, by name, and how to read blocks of them."""

    def __init__(self, manifest: Manifest, media: Media) -> None:
        self.manifest, self.media = manifest, media
        self.items = dict(_items(manifest))
        self._lengths = {item.size for item in self.items.values()}
        self._hashes = self._block_list()

    def _block_list(self) -> Path | None:
        """Return a copy of the block list that is as it was signed."""
        name = list_name(self.manifest.name)
        file = next((file for file in self.manifest.files if file.name == name), None)
        for path in self.media.places(name) if file else ():
            copy = self._scan(path, file.size, b"") if file else None
            if file and copy and copy.sha256 == file.digest.hex:
                return path
        return None

    def run(self, on_bytes: Callable[[int], object], check: Callable[[], None]) -> None:
        """Read every file of the bundle that is here."""
        work = [
            (item, path) for item in self.items.values() for path in self.media.places(item.name)
        ]

        def look(pair: tuple[Item, Path]) -> Copy:
            check()
            item, path = pair
            copy = self._scan(path, item.size, self._rows(item))
            on_bytes(item.size)
            return copy

        with ThreadPoolExecutor(os.cpu_count() or 2) as pool:
            for (item, _path), copy in zip(work, pool.map(look, work), strict=True):
                whole = item.is_whole(copy)
                good = b"\1" * item.blocks if whole else copy.good
                item.copies.append(Copy(copy.path, good, copy.sha256, copy.reason))
        self._find_swapped()

    def _find_swapped(self) -> None:
        """Find what lies under the name of another chunk."""
        found = {
            copy.sha256: copy.path
            for item in self.items.values()
            for copy in item.copies
            if copy.sha256
        }
        for item in self.items.values():
            if not item.here:
                item.elsewhere = found.get(item.digest.hex)

    def _rows(self, item: Item) -> bytes:
        if self._hashes is None:
            return b""
        try:
            with self.media.open(self._hashes) as handle:
                return os.pread(handle, item.blocks * DIGEST, item.start)
        except (DrayError, OSError):
            return b""

    def _scan(self, path: Path, size: int, rows: bytes) -> Copy:
        """Read a file of ``size`` bytes; a block counts as good when its hash is in ``rows``."""
        good, sha, whole = bytearray(blocks_of(size)), hashlib.sha256(), True
        try:
            with self.media.open(path) as handle:
                length = os.fstat(handle).st_size
                whole = length == size
                for block in range(len(good)):
                    data = _read(handle, block, min(BLOCK, size - block * BLOCK))
                    whole = whole and data is not None
                    if data is not None:
                        sha.update(data)
                        row = rows[block * DIGEST : (block + 1) * DIGEST]
                        good[block] = hashlib.sha256(data).digest() == row if row else 0
                if length != size and length in self._lengths:
                    sha, whole = _hash(handle, length), True  # another chunk, under this one's name
        except (DrayError, OSError) as error:
            return Copy(path, bytes(len(good)), "", getattr(error, "message", str(error)))
        return Copy(path, bytes(good), sha.hexdigest() if whole else "")

    def read(self, item: Item, block: int) -> bytes | None:
        """Return a block of which :meth:`Item.holder` knows a place; None when nobody has it."""
        path = item.holder(block)
        if path is None:
            return None
        try:
            with self.media.open(path) as handle:
                return _read(handle, block, item.length(block))
        except DrayError:
            return None


def _hash(handle: int, size: int) -> hashlib._Hash:
    sha = hashlib.sha256()
    for block in range(blocks_of(size)):
        sha.update(os.pread(handle, min(BLOCK, size - block * BLOCK), block * BLOCK))
    return sha


def _read(handle: int, block: int, count: int) -> bytes | None:
    """Return a block; None where the medium fails or the file ends before."""
    data = b""
    try:
        while len(data) < count:
            more = os.pread(handle, count - len(data), block * BLOCK + len(data))
            if not more:
                return None
            data += more
    except OSError:
        return None
    return data


def _items(manifest: Manifest) -> Iterator[tuple[str, Item]]:
    homes = {number: medium.number for medium in manifest.media for number in medium.chunks}
    known = {
        chunk.name: (chunk.digest, homes[chunk.number], chunk.number) for chunk in manifest.chunks
    }
    for group in manifest.parity:
        known |= {file.name: (file.digest, file.medium, 0) for file in group.files}
    start = 0
    for name, size in listed(manifest.chunks, manifest.parity):
        digest, medium, number = known[name]
        yield name, Item(name, size, digest, medium, number, start)
        start += blocks_of(size) * DIGEST
