"""A group of chunks and its parities: which blocks come back, and what they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bundle import stripe
from bundle.errors import VerificationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bundle.manifest import Manifest
    from importer.repair.survey import Item, Survey

_CHANGED = (
    "the medium answers otherwise than a moment ago: run again, or copy it while it still reads"
)


@dataclass(frozen=True)
class Group:
    """Chunks in the order of their members, and parity files; without any, a chunk stands alone."""

    survey: Survey
    members: tuple[Item, ...]
    parities: tuple[Item, ...] = ()

    @property
    def items(self) -> tuple[Item, ...]:
        """All of it."""
        return (*self.members, *self.parities)

    def hopeless(self, item: Item) -> list[int]:
        """Return the blocks of ``item`` that cannot be had, from wherever."""
        return [block for block in item.lacking() if not self._is_solvable(block)]

    def _is_solvable(self, block: int) -> bool:
        return len(self._lost(block)) <= len(self._there(block))

    def _lost(self, block: int) -> list[int]:
        return [
            j
            for j, item in enumerate(self.members)
            if block < item.blocks and item.holder(block) is None
        ]

    def _there(self, block: int) -> list[int]:
        return [n for n, item in enumerate(self.parities) if item.holder(block) is not None]

    def others(self, item: Item, blocks: Sequence[int]) -> list[str]:
        """Return the names of what is damaged in the same places."""
        return [
            other.name
            for other in self.items
            if other is not item
            and any(block < other.blocks and other.holder(block) is None for block in blocks)
        ]

    def restore(self, wanted: Sequence[Item]) -> Iterator[tuple[Item, bytes]]:
        """Yield the blocks of the files wanted, each file's in their order.

        Whoever takes them compares the digest of the whole: neither parity nor hashes are believed.
        """
        for block in range(max((item.blocks for item in wanted), default=0)):
            needing = [item for item in wanted if block < item.blocks]
            solved = self._solve(block) if any(i.holder(block) is None for i in needing) else {}
            for item in needing:
                data = solved.get(item.name) or self._read(item, block)
                yield item, data[: item.length(block)]

    def _read(self, item: Item, block: int) -> bytes:
        data = self.survey.read(item, block)
        if data is None:
            raise VerificationError(f"a block of {item.name} cannot be read", hint=_CHANGED)
        return data

    def _solve(self, block: int) -> dict[str, bytes]:
        """Return the blocks of a stripe that nobody has, by file."""
        size = max(item.length(block) for item in self.items)
        lost, there = self._lost(block), self._there(block)
        known = {
            j: self._read(item, block) if block < item.blocks else b""
            for j, item in enumerate(self.members)
            if j not in lost
        }
        parities = {n: self._read(self.parities[n], block) for n in there[: len(lost)]}
        found = stripe.solve(known, lost, parities, size)
        if found is None:
            raise VerificationError("too much of a group is lost", hint=_CHANGED)
        whole = [(known | found)[j] for j in range(len(self.members))]
        made = {self.members[j].name: data for j, data in found.items()}
        for number, item in enumerate(self.parities):
            if number not in there:
                made[item.name] = stripe.parity(number, whole, size)
        return made


def of(manifest: Manifest, survey: Survey) -> list[Group]:
    """Return the groups of a bundle, and each chunk that is in none by itself."""
    made: list[Group] = []
    alone = {chunk.number for chunk in manifest.chunks}
    for group in manifest.parity:
        members = [survey.items[manifest.chunks[number - 1].name] for number in group.chunks]
        files = [survey.items[file.name] for file in group.files]
        made.append(Group(survey, tuple(members), tuple(files)))
        alone -= set(group.chunks)
    chunks = [manifest.chunks[number - 1].name for number in sorted(alone)]
    return made + [Group(survey, (survey.items[name],)) for name in chunks]
