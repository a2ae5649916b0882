"""Which bytes of which blob go into which chunk, at which offset: pure arithmetic on sizes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bundle import ustar
from bundle.errors import UsageError
from bundler.geometry import PLAIN

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bundle.digest import Digest
    from bundler.geometry import Geometry

MIN_CHUNK = 1 << 20
PRESETS = {"fat32": 4_000_000_000, "dvd": 4_700_000_000, "bd25": 25_000_000_000}
MAX_PARTS = 99_999


@dataclass(frozen=True, slots=True)
class Piece:
    """``size`` bytes of a blob from ``start`` on, in a chunk at ``offset``. ``part`` counts from 0.

    ``part`` is None for a blob that is not cut. ``segment`` is the number of its header's segment
    when the chunk is encrypted; ``offset`` is in the chunk before that.
    """

    digest: Digest
    part: int | None
    start: int
    size: int
    chunk: int
    offset: int
    segment: int = 0


@dataclass(frozen=True, slots=True)
class Packing:
    """The pieces of every chunk, in order of offset, and the exact size of every chunk in bytes."""

    chunks: tuple[tuple[Piece, ...], ...]
    sizes: tuple[int, ...]

    def pieces(self) -> dict[Digest, tuple[Piece, ...]]:
        """Return each blob's pieces, in the order of its bytes."""
        found: dict[Digest, list[Piece]] = {}
        for chunk in self.chunks:
            for piece in chunk:
                found.setdefault(piece.digest, []).append(piece)
        return {digest: tuple(sorted(p, key=lambda q: q.start)) for digest, p in found.items()}


def room(chunk_size: int, prefix: int, geometry: Geometry = PLAIN) -> int:
    """Return how many bytes of members fit a chunk's file, in whole records."""
    free, member = chunk_size - geometry.ends(prefix), geometry.cost(ustar.RECORD)
    if free < member or chunk_size < MIN_CHUNK:
        least = max(MIN_CHUNK, geometry.ends(prefix) + member)
        raise UsageError(
            f"a chunk of {chunk_size} bytes is too small",
            hint=f"with this lock, --chunk-size is {least} bytes at least",
        )
    return free // ustar.RECORD * ustar.RECORD


def pack(
    blobs: Mapping[Digest, int], *, chunk_size: int, prefix: int, geometry: Geometry = PLAIN
) -> Packing:
    """Place blobs of the given sizes, in bytes, into chunks.

    First-fit decreasing, ties by digest, so that the same blobs give the same chunks. A blob that
    fits a chunk is never cut; of a larger one all parts but the last fill a chunk each, and the
    last opens the next chunk, so that its parts lie in chunks with consecutive numbers.
    """
    free = room(chunk_size, prefix, geometry)
    shelf = _Shelf(free, geometry)
    for digest, size in sorted(blobs.items(), key=lambda item: (-item[1], item[0])):
        if geometry.cost(size) <= free:
            shelf.put(digest, None, 0, size)
            continue
        step = geometry.most(free)
        if size > step * MAX_PARTS:
            raise UsageError(
                f"{digest} of {size} bytes would be cut into more than {MAX_PARTS} parts",
                hint="choose a larger --chunk-size",
            )
        for part, start in enumerate(range(0, size, step)):
            shelf.put(digest, part, start, min(step, size - start), new=True)
    return shelf.packing(prefix)


class _Shelf:
    """Open chunks, and a tree of their free room, so that first fit takes logarithmic time."""

    def __init__(self, room: int, geometry: Geometry) -> None:
        self._room, self._geometry = room, geometry
        self._used: list[int] = []
        self._items: list[list[tuple[Digest, int | None, int, int]]] = []
        self._width = 1
        self._tree = [0, 0]

    def put(
        self, digest: Digest, part: int | None, start: int, size: int, *, new: bool = False
    ) -> None:
        span = self._geometry.cost(size)
        number = len(self._used) if new or self._tree[1] < span else self._first(span)
        if number == len(self._used):
            self._open()
        self._items[number].append((digest, part, start, size))
        self._used[number] += span
        self._update(number)

    def _first(self, span: int) -> int:
        node = 1
        while node < self._width:
            node *= 2
            if self._tree[node] < span:
                node += 1
        return node - self._width

    def _open(self) -> None:
        self._used.append(0)
        self._items.append([])
        if len(self._used) > self._width:
            self._width *= 2
            self._tree = [0] * (2 * self._width)
            for number in range(len(self._used)):
                self._tree[self._width + number] = self._room - self._used[number]
            for node in range(self._width - 1, 0, -1):
                self._tree[node] = max(self._tree[2 * node], self._tree[2 * node + 1])

    def _update(self, number: int) -> None:
        node = self._width + number
        self._tree[node] = self._room - self._used[number]
        while node > 1:
            node //= 2
            self._tree[node] = max(self._tree[2 * node], self._tree[2 * node + 1])

    def packing(self, prefix: int) -> Packing:
        chunks: list[tuple[Piece, ...]] = []
        for number, items in enumerate(self._items, start=1):
            position, pieces = prefix, []
            segment = self._geometry.segments(prefix)
            for digest, part, start, size in items:
                offset = position + ustar.RECORD
                pieces.append(Piece(digest, part, start, size, number, offset, segment))
                position += ustar.span(size)
                segment += self._geometry.member_segments(size)
            chunks.append(tuple(pieces))
        sizes = tuple(self._geometry.ends(prefix) + used for used in self._used)
        return Packing(tuple(chunks), sizes)


def place(sizes: Iterable[int], capacities: list[int], reserve: int) -> list[int]:
    """Return for each chunk the medium, counted from 0, that takes it: the first with room.

    ``capacities`` are in bytes, 0 for no limit; ``reserve`` bytes of each are kept for the files
    that every medium carries. Raises :class:`UsageError` when the media do not suffice.
    """
    free = [capacity - reserve if capacity else 1 << 62 for capacity in capacities]
    placed: list[int] = []
    lacking = 0
    for size in sizes:
        number = next((n for n, left in enumerate(free) if left >= size), None)
        if number is None:
            lacking += size
            continue
        free[number] -= size
        placed.append(number)
    if lacking:
        raise UsageError(
            f"the media are too small: {lacking} bytes of chunks find no room",
            hint="add a medium or a larger one, or choose a smaller --chunk-size",
        )
    return placed
