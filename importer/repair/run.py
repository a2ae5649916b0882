"""One repair: what lies here is read, and what is damaged or lost is written, group by group."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from bundle.digest import BLOCK
from bundle.errors import (
    DrayError,
    MediaIncomplete,
    PartlyDone,
    TransferError,
    VerificationError,
)
from bundle.media import read_at
from bundle.rebuild import Rebuild
from importer.repair import groups, places
from importer.repair.beside import Beside
from importer.repair.survey import Copy, Survey

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from bundle.chunks import StoredBlob
    from bundle.manifest import Manifest
    from bundle.media import Media
    from bundle.rebuild import Offer
    from bundle.shelf import Shelf
    from importer.repair.groups import Group
    from importer.repair.papers import Papers
    from importer.repair.places import Places
    from importer.repair.survey import Item

    Count = Callable[[int], object]


@dataclass(frozen=True, slots=True)
class Mended:
    """A file that was written: ``blocks`` of its ``total`` blocks were damaged or missing."""

    path: Path
    how: str
    blocks: int
    total: int

    def to_dict(self) -> dict[str, Any]:
        """Return the object that ``--json`` prints."""
        body: dict[str, Any] = {"path": str(self.path), "from": self.how}
        return {**body, "blocks": self.blocks, "of": self.total}


@dataclass
class Outcome:
    """What a repair did. ``failed`` maps names of files to why they are not as signed.

    ``absent`` are the files of media that are not here, by the medium's number, and whether each
    could be made again; ``papers`` are the small files written.
    """

    mended: list[Mended] = field(default_factory=list)
    papers: list[Path] = field(default_factory=list)
    failed: dict[str, DrayError] = field(default_factory=dict)
    absent: dict[int, dict[str, bool]] = field(default_factory=dict)


class Repair:
    """The parts of one repair. With ``plan_only`` nothing is written."""

    def __init__(
        self,
        manifest: Manifest,
        media: Media,
        papers: Papers,
        where: Places,
        *,
        shelf: Shelf | None,
        stop: threading.Event,
        plan_only: bool = False,
    ) -> None:
        self.manifest, self.media, self.papers, self.where = manifest, media, papers, where
        self.shelf, self.stop, self.plan_only = shelf, stop, plan_only
        self.survey = Survey(manifest, media)
        self._tried: set[str] = set()
        self.outcome = Outcome()

    def look(self, on_bytes: Count) -> None:
        """Read everything that is here."""
        self.survey.run(on_bytes, self.check)

    def check(self) -> None:
        """Raise :class:`PartlyDone` when the run was told to stop."""
        if self.stop.is_set():
            raise PartlyDone("interrupted", hint="run the same command again")

    def to_write(self) -> int:
        """Return the bytes that there are to write."""
        items = self.survey.items.values()
        return sum(item.size for item in items if self._targets(item))

    def run(self, on_bytes: Count) -> Outcome:
        """Write what is damaged or lost, as far as it can be had."""
        items = self.survey.items.values()
        if swapped := [item for item in items if item.elsewhere and self._targets(item)]:
            # All of them are written before the first is renamed over another one's bytes.
            self._restore(groups.Group(self.survey, tuple(swapped)), swapped, on_bytes)
        for group in groups.of(self.manifest, self.survey):
            self._mend(group, on_bytes)
        self._write_papers()
        if not self.plan_only:
            places.sweep(self.media, {*self.survey.items, *self.papers.known})
        return self.outcome

    # -- a group ----------------------------------------------------------------------------------

    def _mend(self, group: Group, on_bytes: Count) -> None:
        left = [item for item in group.items if self._targets(item)]
        while left:
            ready = [item for item in left if not group.hopeless(item)]
            if ready:
                self._restore(group, ready, on_bytes)
            elif not (ready := self._made_of_parts(left, on_bytes)):
                break
            left = [item for item in left if item not in ready]
        for item in left:
            self.outcome.failed.setdefault(item.name, self._hopeless(group, item))
        for item in group.items:
            if not item.copies and not self._targets(item) and item.name not in self.outcome.failed:
                absent = self.outcome.absent.setdefault(item.medium, {})
                absent[item.name] = not group.hopeless(item)

    def _targets(self, item: Item) -> list[Path]:
        bad = [copy.path for copy in item.copies if not item.is_whole(copy)]
        return self.where.targets(item, bad)

    def _restore(self, group: Group, items: Sequence[Item], on_bytes: Count) -> None:
        """Write files out of good blocks and parity."""
        how = {item.name: "parity" if item.lacking() else "another copy" for item in items}
        with ExitStack() as stack:
            try:
                files = {item.name: self._files(item, stack) for item in items}
                if not self.plan_only:
                    for item, data in group.restore(items):
                        self.check()
                        for file in files[item.name]:
                            file.write(data)
                        on_bytes(len(data))
            except PartlyDone:
                raise
            except DrayError as error:
                self.outcome.failed |= {item.name: error for item in items}
                return
            for item in items:
                self._finish(item, files[item.name], how[item.name])

    def _files(self, item: Item, stack: ExitStack) -> list[Beside]:
        if self.plan_only:
            return []
        made = [Beside(path, item.size, item.digest) for path in self._targets(item)]
        return [stack.enter_context(file) for file in made]

    def _finish(self, item: Item, files: Sequence[Beside], how: str) -> None:
        try:
            for file in files:
                file.finish()
        except DrayError as error:
            self.outcome.failed[item.name] = error
            return
        self._mended(item, how)

    def _mended(self, item: Item, how: str) -> None:
        for path in self._targets(item):
            copy = next((copy for copy in item.copies if copy.path == path), None)
            lacking = copy.good.count(0) if copy else item.blocks
            self.outcome.mended.append(Mended(path, how, lacking, item.blocks))
            if copy:
                item.copies.remove(copy)
            item.copies.append(Copy(path, b"\1" * item.blocks, item.digest.hex))
        self.outcome.failed.pop(item.name, None)

    # -- a chunk out of its parts -----------------------------------------------------------------

    def _made_of_parts(self, items: Iterable[Item], on_bytes: Count) -> list[Item]:
        """Make one chunk out of parts that are good, here or in other bundles; return it."""
        for item in items:
            # What is encrypted is no tar of parts: only its own bytes will do.
            if not item.number or self.manifest.recipients or item.name in self._tried:
                continue
            self._tried.add(item.name)
            try:
                self._rebuild(item, on_bytes)
            except TransferError as error:
                self.outcome.failed[item.name] = error
            except (VerificationError, MediaIncomplete):
                continue  # nobody has all of it: why, is said of its blocks
            else:
                return [item]
        return []

    def _rebuild(self, item: Item, on_bytes: Count) -> None:
        def offers(blob: StoredBlob, number: int) -> Iterator[Offer]:
            for copy in item.copies:
                yield str(copy.path), partial(self._own, copy.path, blob, number)
            if self.shelf:
                yield from self.shelf.offers(blob, number)

        with ExitStack() as stack:
            files = self._files(item, stack)

            def write(offset: int, data: bytes) -> None:
                self.check()
                for file in files:
                    file.write_at(offset, data)
                on_bytes(len(data))

            Rebuild(self.manifest, item.number, offers, write).run()
            for file in files:
                file.finish()
        self._mended(item, "parts")

    def _own(self, path: Path, blob: StoredBlob, number: int) -> Iterator[bytes]:
        part, done = blob.parts[number], 0
        with self.media.open(path) as handle:
            while done < part.size:
                block = read_at(handle, path, min(BLOCK, part.size - done), part.offset + done)
                if not block:
                    return
                done += len(block)
                yield block

    def _hopeless(self, group: Group, item: Item) -> DrayError:
        """Say why a file cannot be made again."""
        lost = group.hopeless(item)
        kind = VerificationError if item.copies else MediaIncomplete
        amount, also = "it is not here", "nor is"
        if item.copies:
            amount = item.copies[0].reason or f"{len(lost)} of {item.blocks} blocks are damaged"
            also = "and so is"
        if self.shelf and item.number:
            amount += ", no bundle of --from has all of it"
        if not group.parities:
            return kind(f"{amount}, and there is no parity over it")
        others = group.others(item, lost)
        place = f"{', '.join(others[:3])} in the same place" if others else "its parity"
        return kind(f"{amount}, {also} {place}: that is more than parity restores")

    # -- small files ------------------------------------------------------------------------------

    def _write_papers(self) -> None:
        for name in self.papers.lost():
            message = f"{name} is as signed on none of the media"
            self.outcome.failed[name] = MediaIncomplete(message)
        for folder in self.where.papered(self.outcome.mended):
            for paper in self.papers.damaged(folder):
                self.check()
                try:
                    if not self.plan_only:
                        paper.write(folder / paper.name)
                    self.outcome.papers.append(folder / paper.name)
                except DrayError as error:
                    self.outcome.failed[paper.name] = error
