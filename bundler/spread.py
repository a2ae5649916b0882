"""Which chunks share a parity, and which medium takes what: no medium two of a group, if it can."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bundle.errors import UsageError
from bundle.stripe import MEMBERS, PARITIES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@dataclass(frozen=True, slots=True)
class Parity:
    """What was asked for: so many chunks in a group, and so many parity files for each group."""

    chunks: int
    files: int = 1

    def __str__(self) -> str:
        return f"{self.chunks}+{self.files}" if self.files > 1 else str(self.chunks)


@dataclass(frozen=True, slots=True)
class Spread:
    """The medium, counted from 0, of each chunk and of each parity file."""

    chunks: tuple[int, ...]
    files: tuple[int, ...]


def parse(text: str) -> Parity:
    """Read ``K`` or ``K+P``: K chunks in a group, P parity files for it."""
    match = re.fullmatch(r"([0-9]{1,3})(?:\+([0-9]))?", text.strip())
    made = Parity(int(match[1]), int(match[2] or 1)) if match else Parity(0)
    if not 0 < made.chunks <= MEMBERS or not 0 < made.files <= PARITIES:
        raise UsageError(
            f"not a parity: {text!r}",
            hint="write 20 for one parity file for every 20 chunks, 20+2 for two of them",
        )
    return made


def groups(count: int, parity: Parity) -> list[tuple[int, ...]]:
    """Return the numbers of each group's chunks: as many as a group has, in their order."""
    return [
        tuple(range(first, min(first + parity.chunks, count + 1)))
        for first in range(1, count + 1, parity.chunks)
    ]


def parity_sizes(sizes: Sequence[int], parity: Parity) -> list[int]:
    """Return the size of each parity file, given those of the chunks."""
    return [
        max(sizes[number - 1] for number in group)
        for group in groups(len(sizes), parity)
        for _ in range(parity.files)
    ]


def spread(sizes: Sequence[int], parity: Parity, capacities: Sequence[int], reserve: int) -> Spread:
    """Place chunks and parity files so that a medium holds as few of a group as there is room for.

    ``capacities`` are in bytes, 0 for no limit; ``reserve`` bytes of each are kept. Raises
    :class:`UsageError` when the media do not suffice.
    """
    free = [capacity - reserve if capacity else 1 << 62 for capacity in capacities]
    chunks, files, lacking = [0] * len(sizes), [], 0
    parities = iter(parity_sizes(sizes, parity))
    for group in groups(len(sizes), parity):
        members = [(sizes[number - 1], number) for number in group]
        members += [(next(parities), 0) for _ in range(parity.files)]
        taken: Counter[int] = Counter()
        for size, number in sorted(members, key=lambda member: -member[0]):
            fitting = [medium for medium, left in enumerate(free) if left >= size]
            if not fitting:
                lacking += size
                continue
            medium = min(fitting, key=lambda m: (taken[m], -free[m], m))
            taken[medium] += 1
            free[medium] -= size
            if number:
                chunks[number - 1] = medium
            else:
                files.append(medium)
    if lacking:
        raise UsageError(
            f"the media are too small: {lacking} bytes of chunks and parity find no room",
            hint="add a medium or a larger one, or choose more chunks for each parity: --parity",
        )
    return Spread(tuple(chunks), tuple(files))


def is_medium_covered(placed: Spread, parity: Parity) -> bool:
    """Whether what any one medium holds can be made again of what the others hold."""
    return max(_crowds(placed, parity), default=0) <= parity.files


def advice(media: int, parity: Parity) -> str:
    """Return the ``--parity`` with the most chunks that covers a lost medium; empty if none does.

    Group and parities lie on ``media`` media; each may hold as many of them as there are parities.
    """
    most = parity.files * (media - 1)
    return str(Parity(most, parity.files)) if most else ""


def _crowds(placed: Spread, parity: Parity) -> Iterator[int]:
    """Yield for each group the most of its members that one medium holds."""
    homes = iter(placed.files)
    for group in groups(len(placed.chunks), parity):
        taken = Counter(placed.chunks[number - 1] for number in group)
        taken.update(next(homes) for _ in range(parity.files))
        yield max(taken.values())
