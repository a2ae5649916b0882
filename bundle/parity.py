"""Recovery data as the manifest lists it: groups of chunks, their parity files, the block list.

A chunk's file is what is protected, byte for byte as it lies on the medium, whatever is in it.
Nothing that is made from recovery data counts before it has the chunk's digest, so neither parity
nor block list has to be believed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bundle.stripe import MEMBERS, PARITIES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from bundle.chunks import Chunk
    from bundle.decode import Fields, Path
    from bundle.digest import Digest
    from bundle.errors import DrayError

    Fault = Callable[[Path, str, str], DrayError]

BLOCK = 256 << 10
"""Bytes of a block: what is lost with one bad sector, and what a stripe has of each file."""
DIGEST = 32
"""Bytes of a block's SHA-256 in the block list."""


@dataclass(frozen=True, slots=True)
class ParityFile:
    """A parity file: name, size in bytes, digest, and the number of its medium."""

    name: str
    size: int
    digest: Digest
    medium: int


@dataclass(frozen=True, slots=True)
class Group:
    """Chunks, by number and in the order of their members, and the parities over them."""

    chunks: tuple[int, ...]
    files: tuple[ParityFile, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the object of the manifest."""
        files = [
            {"name": f.name, "size": f.size, "digest": str(f.digest), "medium": f.medium}
            for f in self.files
        ]
        return {"chunks": list(self.chunks), "files": files}

    @classmethod
    def read(cls, fields: Fields) -> Group:
        """Read what :meth:`to_dict` wrote."""
        numbers: list[int] = []
        for path, item in fields.items("chunks", required=True):
            if not isinstance(item, int) or isinstance(item, bool):
                raise fields.fault(path, "must be a chunk's number", "")
            numbers.append(item)
        files = tuple(
            ParityFile(
                f.text("name", pattern=r"[a-z0-9][a-z0-9._-]{0,99}"),
                f.integer("size"),
                f.digest("digest"),
                f.integer("medium", low=1),
            )
            for f in fields.objects("files", required=True)
        )
        return cls(tuple(numbers), files)


def parity_name(bundle: str, number: int) -> str:
    """Return the name of a parity file; they are numbered through all groups, from 1."""
    return f"{bundle}.parity-{number:05d}"


def list_name(bundle: str) -> str:
    """Return the name of the block list."""
    return f"{bundle}.blocks"


def blocks_of(size: int) -> int:
    """Return how many blocks a file of ``size`` bytes has; the last one may be shorter."""
    return -(-size // BLOCK)


def listed(chunks: Sequence[Chunk], groups: Sequence[Group]) -> Iterator[tuple[str, int]]:
    """Yield name and size of each file whose blocks are listed, in the list's order."""
    for chunk in chunks:
        yield chunk.name, chunk.size
    for group in groups:
        for file in group.files:
            yield file.name, file.size


def list_size(chunks: Sequence[Chunk], groups: Sequence[Group]) -> int:
    """Return the bytes of the block list."""
    return DIGEST * sum(blocks_of(size) for _name, size in listed(chunks, groups))


def check(
    bundle: str,
    groups: Sequence[Group],
    chunks: Sequence[Chunk],
    files: Mapping[str, int],
    media: int,
    fault: Fault,
) -> None:
    """Refuse groups that no arithmetic fits; ``files`` are the sizes of the bundle's small files.

    ``media`` is how many media there are.
    """
    seen: set[int] = set()
    number = 0
    for place, group in enumerate(groups):
        path: Path = ("parity", place)
        if not 0 < len(group.chunks) <= MEMBERS or not 0 < len(group.files) <= PARITIES:
            raise fault(path, "has too few or too many chunks or files", "")
        for member in group.chunks:
            if not 0 < member <= len(chunks) or member in seen:
                raise fault(path, f"has chunk {member}, which is not listed, or in two groups", "")
            seen.add(member)
        size = max(chunks[member - 1].size for member in group.chunks)
        for file in group.files:
            number += 1
            if file.name != (name := parity_name(bundle, number)):
                raise fault(path, f"has {file.name!r}, not {name!r}", "")
            if file.size != size or file.medium > media:
                raise fault(
                    path, f"has {file.name} of another size, or on a medium that is not there", ""
                )
    if groups and files.get(list_name(bundle)) != list_size(chunks, groups):
        raise fault(("parity",), "needs a block list of its size among the files", "")
