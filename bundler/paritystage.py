"""The recovery data of an export: one parity after another while chunks are sealed, then the list.

A group is read once: that reading seals its chunks and makes its parities. Groups with chunks that
were sealed before, by a run that was killed or because their sizes were not known, are read again.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bundle.digest import Digest
from bundle.durable import sync_folder
from bundle.manifest import File
from bundle.parity import Group, ParityFile, list_name, listed, parity_name
from bundler import spread
from bundler.chunkfile import PARTIAL, medium_errors
from bundler.fetch import check
from bundler.weave import Member, ParityWriter, Rows, weave, window

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from bundle.chunks import Chunk
    from bundler.chunkfile import ChunkFile
    from bundler.journal import Journal, Woven
    from bundler.plan import Plan
    from bundler.weave import Reading

ROWS = ".rows"
"""The ending of the file that keeps the block hashes while the export lasts."""


@dataclass
class ParityStage:
    """The groups of one plan; the journal knows which of them are done."""

    plan: Plan
    bundle: str
    journal: Journal
    chunk: Callable[[int], ChunkFile]
    stop: threading.Event
    on_bytes: Callable[[int], object]
    groups: list[tuple[int, ...]] = field(init=False)

    def __post_init__(self) -> None:
        """Lay the groups out."""
        parity = self.plan.options.parity
        assert parity is not None  # noqa: S101  (else there is no stage)
        self.per_group = parity.files
        self.count = len(self.plan.placed)
        self.groups = spread.groups(self.count, parity)

    def group(self, number: int) -> int:
        """Return the group of a chunk, from 0."""
        return (number - 1) // len(self.groups[0])

    def is_planned(self, group: int) -> bool:
        """Whether all its chunks are of known size: one reading can seal them."""
        return self.groups[group][-1] <= len(self.plan.packing.sizes)

    def make(self, group: int, read: Callable[[int, int], Reading]) -> None:
        """Read a group's chunks in step and write its parities.

        ``read(number, window)`` yields the blocks of a chunk, and seals it where it is not. A chunk
        is on record as sealed when it was read to its end.
        """
        members = self._members(group)
        size = window(len(members))
        rows = self._rows()
        try:
            woven = [Member(read(number, size), rows, number - 1) for number in members]
            slots = range(group * self.per_group, (group + 1) * self.per_group)
            files = [ParityWriter(self._path(slot), rows, self.count + slot) for slot in slots]
            sealed = weave(woven, files, on_bytes=self._counted)
            digests = [file.finish() for file in files]
            rows.sync()
            self.journal.write(
                parity=group,
                members=[item.digest for item in sealed],
                sizes=[file.size for file in files],
                files=list(digests),
                rows=self._digest(rows, group),
            )
        finally:
            rows.close()

    def _counted(self, count: int) -> None:
        check(self.stop)
        self.on_bytes(count)

    def _members(self, group: int) -> list[int]:
        """Return the chunks that there are: of encoded ones it can be fewer than planned."""
        planned = len(self.plan.packing.sizes)
        return [n for n in self.groups[group] if n <= planned or n in self.journal.sealed]

    def _path(self, slot: int) -> Path:
        medium = self.plan.parity_placed[slot]
        return self.plan.folder(medium, self.bundle) / parity_name(self.bundle, slot + 1)

    def _rows(self) -> Rows:
        path = self.plan.folder(0, self.bundle) / f"{self.bundle}{ROWS}"
        return Rows(path, max(*self.plan.packing.sizes, *self.plan.tape_sizes, 0))

    def _digest(self, rows: Rows, group: int) -> Digest:
        sha = hashlib.sha256()
        for slot, size in self._slots(group):
            sha.update(rows.read(slot, size))
        return Digest("sha256:" + sha.hexdigest())

    def _slots(self, group: int) -> Iterable[tuple[int, int]]:
        """Yield the slot and the size of each file of a group, parities last."""
        sizes = []
        for number in self._members(group):
            sizes.append(self.chunk(number).path.stat().st_size)
            yield number - 1, sizes[-1]
        for file in range(self.per_group):
            yield self.count + group * self.per_group + file, max(sizes)

    # -- the end ----------------------------------------------------------------------------------

    def finish(
        self, chunks: Sequence[Chunk], again: Callable[[int, int], Reading]
    ) -> tuple[tuple[Group, ...], File]:
        """Make the groups that are not done; return them, and the block list on every medium.

        ``again`` reads a sealed chunk. All chunks are sealed by now.
        """
        made: list[Group] = []
        for group in range(len(self.groups)):
            if not (members := self._members(group)):
                break
            if not self._is_done(group, members):
                self.make(group, again)
            made.append(self._listed(group, members))
        return tuple(made), self._write_list(chunks, made)

    def _is_done(self, group: int, members: Sequence[int]) -> bool:
        woven = self.journal.woven.get(group)
        if woven is None or woven.members != tuple(
            self.journal.sealed[number].digest for number in members
        ):
            return False
        for file, size in enumerate(woven.sizes):
            path = self._path(group * self.per_group + file)
            if not path.is_file() or path.stat().st_size != size:
                return False
        rows = self._rows()
        try:
            return self._digest(rows, group) == woven.rows
        finally:
            rows.close()

    def _listed(self, group: int, members: Sequence[int]) -> Group:
        woven: Woven = self.journal.woven[group]
        files = []
        for file, (size, digest) in enumerate(zip(woven.sizes, woven.files, strict=True)):
            slot = group * self.per_group + file
            medium = self.plan.parity_placed[slot] + 1
            files.append(ParityFile(parity_name(self.bundle, slot + 1), size, digest, medium))
        return Group(tuple(members), tuple(files))

    def _write_list(self, chunks: Sequence[Chunk], groups: Sequence[Group]) -> File:
        """Write the block list on every medium, a row of one file after another."""
        folders = [self.plan.folder(n, self.bundle) for n in range(len(self.plan.media(())))]
        slots = [chunk.number - 1 for chunk in chunks]
        slots += [self.count + n for n in range(sum(len(group.files) for group in groups))]
        sha, size, rows = hashlib.sha256(), 0, self._rows()
        try:
            for folder in folders:
                path = folder / list_name(self.bundle)
                partial = path.with_name(path.name + PARTIAL)
                sha, size = hashlib.sha256(), 0
                with medium_errors(path), partial.open("wb") as file:
                    for slot, (_name, length) in zip(slots, listed(chunks, groups), strict=True):
                        check(self.stop)
                        data = rows.read(slot, length)
                        file.write(data)
                        sha.update(data)
                        size += len(data)
                    file.flush()
                    os.fsync(file.fileno())
                    partial.rename(path)
                    sync_folder(folder)
        finally:
            rows.close()
        return File(list_name(self.bundle), size, Digest("sha256:" + sha.hexdigest()))


def unlink_rows(plan: Plan, bundle: str) -> None:
    """Remove what only the export needs."""
    path = plan.folder(0, bundle) / f"{bundle}{ROWS}"
    with medium_errors(path):
        path.unlink(missing_ok=True)
