"""What an import has put into a folder, to be served: vouched for by receipts, read by digest.

A receipt says which artifacts an import verified, with every digest of them, and where it put them.
Nothing is served that no receipt names: not by the word of the folder's own index, and not bytes of
another digest. A name is served while the folder still has it for the same content.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bundle import fileset
from bundle.errors import MediaIncomplete, TargetError
from importer.targets import layout, marker
from importer.targets.folder import OCI
from importer.targets.held import Held
from importer.targets.tree import AbsentError, Tree

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from bundle.artifact import Artifact, Content
    from bundle.digest import Digest
    from bundle.receipt import Entry, Receipt

_WORK = ".dray"
_HINT = "import the bundle again that brought it: what is missing or rotted is put there anew"


def is_one(folder: Path) -> bool:
    """Whether an import has put something there."""
    return (folder / _WORK).is_dir() or (folder / OCI / "oci-layout").is_file()


@dataclass(frozen=True)
class Lot(Held):
    """One blob of the folder: :class:`Held`, and bytes that whoever takes them compares.

    ``path`` is below the root; empty for what was made out of the names of files.
    """

    path: str = ""

    def plain_blocks(self, offset: int = 0) -> Iterator[bytes]:
        """Yield the bytes from ``offset`` on, not verified."""
        with self.open_at(offset) as blocks:
            yield from blocks


@dataclass
class Warehouse:
    """A folder's artifacts and their blobs; satisfies :class:`importer.serve.store.Blobs`.

    ``names`` are repositories by artifact name, where the import gave them. ``left`` says what a
    receipt names and is not served, with the reason.
    """

    root: Path
    artifacts: list[Artifact] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)
    _lots: dict[Digest, Lot] = field(default_factory=dict)

    @classmethod
    def open(cls, root: Path, receipts: Iterable[Receipt]) -> Warehouse:
        """Find what of the ``receipts``, the last first, is in the folder.

        Sizes are compared; digests are when the bytes are read. Raises :class:`TargetError`.
        """
        house = cls(root)
        tree = Tree(root)
        index = layout.names(tree, OCI)
        seen: set[str] = set()
        for entry in (entry for receipt in receipts for entry in receipt.held):
            key = f"{entry.artifact.name} {entry.artifact.root}"
            if key in seen:
                continue
            if reason := house._take(tree, index, entry):
                house.left.append(f"{entry.artifact.name}: {reason}")
            seen.add(key)
        unknown = sorted(set(index) - {name for one in house.artifacts for name in house._of(one)})
        house.left += [f"{root / OCI}: {name[:200]}: no receipt names it" for name in unknown]
        return house

    def blob(self, digest: Digest) -> Lot:
        """Return one blob, to be read."""
        if digest not in self._lots:
            raise MediaIncomplete(f"{digest.short} is not in {self.root}", hint=_HINT)
        return self._lots[digest]

    def _of(self, artifact: Artifact) -> Iterator[str]:
        repository = self.names.get(artifact.name, "")
        return map(layout.name_of, layout.entries(artifact, repository) if repository else ())

    def _take(self, tree: Tree, index: dict[str, str], entry: Entry) -> str:
        """Take an artifact in, or return why not; nothing for one that is in another target."""
        artifact, place = entry.artifact, entry.place.removeprefix(f"oci:{entry.target}/")
        if place != entry.place and place.startswith(f"{OCI}:"):
            return self._image(tree, index, artifact, place.removeprefix(f"{OCI}:"))
        place = entry.place.removeprefix(f"{entry.target}/")
        if place == entry.place or "://" in entry.target or not any(artifact.files):
            return ""
        return self._files(tree, artifact, place)

    def _image(self, tree: Tree, index: dict[str, str], artifact: Artifact, name: str) -> str:
        repository = name.partition("@")[0].rpartition(":")[0] or name.partition("@")[0]
        wanted = layout.entries(artifact, repository)
        named = [entry for entry in wanted if layout.name_of(entry)]
        if not named or any(index.get(layout.name_of(one)) != one["digest"] for one in named):
            return ""  # never here, or another import has the names by now
        for content in artifact.contents:
            path = f"{OCI}/blobs/sha256/{content.digest.hex}"
            self._lots[content.digest] = self._lot(tree, content, path)
        self.names[artifact.name] = repository
        return self._taken(tree, artifact)

    def _files(self, tree: Tree, artifact: Artifact, folder: str) -> str:
        try:
            data = tree.read(f"{folder}/{marker.NAME}", marker.LIMIT)
            if data is None or marker.read(data, folder).root != artifact.root:
                return ""
        except TargetError as error:
            return error.message
        derived = fileset.derived(artifact)
        for content in artifact.contents:
            if content.digest in derived:
                self._lots[content.digest] = _written(content, derived[content.digest])
            elif content.path or artifact.is_signature(content):
                beside = f"{folder}/{content.path}" if content.path else f"{folder}.sigstore"
                self._lots[content.digest] = self._lot(tree, content, beside)
            else:
                return "its manifest is not kept in a folder, and is not made of its files alone"
        return self._taken(tree, artifact)

    def _taken(self, tree: Tree, artifact: Artifact) -> str:
        self.artifacts.append(artifact)
        lots = (self._lots[content.digest] for content in artifact.contents)
        for lot in lots:
            there = tree.status(lot.path) if lot.path else None
            if lot.path and (there is None or there.st_size != lot.size):
                what = "is missing" if there is None else f"has {there.st_size} bytes"
                return f"{lot.place} {what}: what needs it is not served"
        return ""

    def _lot(self, tree: Tree, content: Content, path: str) -> Lot:
        @contextmanager
        def open_at(offset: int) -> Iterator[Iterator[bytes]]:
            try:
                with tree.blocks(path, offset) as blocks:
                    yield blocks
            except AbsentError as error:
                raise MediaIncomplete(error.message, hint=_HINT) from None

        return Lot(content.digest, content.size, str(self.root / path), open_at, path)


def _written(content: Content, data: bytes) -> Lot:
    @contextmanager
    def open_at(offset: int) -> Iterator[Iterator[bytes]]:
        yield iter([data[offset:]])

    return Lot(content.digest, content.size, content.digest.short, open_at)
