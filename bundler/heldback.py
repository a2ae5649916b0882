"""Parts of segments that wait in memory for the rest: of one blob, for all threads that write it.

There are at most two for each connection that fetches the blob, one at either end of what it
fetches, so at most 2 MiB for each connection.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    Key = tuple[int, int]
    Extents = tuple[tuple[int, int], ...]


@dataclass
class _Part:
    """A segment of which some came: ``has`` are first and end of each stretch, in the segment."""

    blob: tuple[int, int]
    data: bytearray
    has: Extents = ()


class HeldBack:
    """The segments of one blob that are not whole yet, by chunk and number."""

    def __init__(self) -> None:
        self._parts: dict[Key, _Part] = {}
        self._lock = threading.Lock()

    def clear(self) -> None:
        """Forget all of them: the blob is begun again."""
        with self._lock:
            self._parts.clear()

    def add(
        self, key: Key, blob: tuple[int, int], size: int, at: int, data: bytes | memoryview
    ) -> bytearray | None:
        """Take bytes of a segment of ``size`` bytes with padding; return it when it is whole now.

        ``blob`` is where the segment's data begins and ends in the blob. It stays until it is
        dropped, so that it is found here until it is in the file.
        """
        with self._lock:
            part = self._parts.setdefault(key, _Part(blob, bytearray(size)))
            part.data[at : at + len(data)] = data
            part.has = joined([*part.has, (at, at + len(data))])
            return part.data if part.has == ((0, blob[1] - blob[0]),) else None

    def get(self, key: Key, inside: slice) -> bytes | None:
        """Return the bytes that came, from the slice's beginning on; None for another segment."""
        with self._lock:
            part = self._parts.get(key)
            if part is None:
                return None
            ends = [end for start, end in part.has if start <= inside.start < end]
            return bytes(part.data[inside.start : min(inside.stop, *ends)]) if ends else b""

    def drop(self, key: Key) -> None:
        """Forget a segment that is in the file."""
        with self._lock:
            self._parts.pop(key, None)

    def without(self, extents: Iterable[tuple[int, int]]) -> Extents:
        """Return stretches of the blob without what is in memory alone."""
        with self._lock:
            held = sorted(part.blob for part in self._parts.values())
        found: list[tuple[int, int]] = []
        for start, end in extents:
            position = start
            for first, last in held:
                if position < last and first < end:
                    if first > position:
                        found.append((position, first))
                    position = last
            if position < end:
                found.append((position, end))
        return tuple(found)


def joined(extents: Iterable[tuple[int, int]]) -> Extents:
    """Return the stretches in order, those that touch or overlap as one."""
    found: list[tuple[int, int]] = []
    for start, end in sorted(extents):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return tuple(found)
