"""Notes of bundles that were verified on this host and not imported yet: for people, no evidence.

One file for each bundle, ``seen/<bundle>.json`` in the state folder. Nothing is decided by them: a
note that cannot be written or read is passed over.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bundle import instant
from bundle.decode import Fields, dump_json, parse_json
from bundle.durable import replace_file
from bundle.errors import DrayError, UsageError
from bundle.manifest import STREAM
from bundle.state import default_folder

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime
    from pathlib import Path

    from bundle.decode import Path as Place
    from bundle.digest import Digest
    from bundle.manifest import Manifest
    from bundle.unseal import Sealed

FOLDER = "seen"
LIMIT = 4 << 20
"""Bytes of a note: the numbers of about half a million chunks."""
_NAME = re.compile(r"([a-z0-9][a-z0-9-]*-[0-9]{6,12})\.json")


@dataclass(frozen=True, slots=True)
class Note:
    """A bundle that was here. ``chunks`` are the numbers of those whose every byte was verified.

    ``media`` are the numbers of the media whose chunks are all among them; ``total`` counts media.
    """

    bundle: str
    stream: str
    epoch: int
    sequence: int
    manifest: Digest
    when: datetime
    chunks: frozenset[int]
    media: tuple[int, ...]
    total: int
    whole: bool

    @property
    def place(self) -> tuple[int, int]:
        """Its place in the stream: epoch, then sequence."""
        return (self.epoch, self.sequence)

    def to_dict(self) -> dict[str, Any]:
        """Return the object of the file."""
        body: dict[str, Any] = {"bundle": self.bundle, "stream": self.stream, "epoch": self.epoch}
        body |= {"sequence": self.sequence, "manifest": str(self.manifest)}
        body |= {"when": instant.spell(self.when), "chunks": sorted(self.chunks)}
        return body | {"media": list(self.media), "total": self.total, "whole": self.whole}


def note(sealed: Sealed, good: Iterable[str]) -> None:
    """Note that the chunks of these names were verified here, besides those of earlier times."""
    manifest = sealed.manifest
    numbers = {chunk.number for chunk in manifest.chunks if chunk.name in set(good)}
    path = default_folder() / FOLDER / f"{manifest.name}.json"
    known = _load(path)
    if known and known.manifest == sealed.digest:
        numbers |= known.chunks
    made = _made(manifest, sealed, frozenset(numbers))
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, dump(made))


def _made(manifest: Manifest, sealed: Sealed, chunks: frozenset[int]) -> Note:
    return Note(
        bundle=manifest.name,
        stream=manifest.stream,
        epoch=sealed.signers.epoch,
        sequence=manifest.sequence,
        manifest=sealed.digest,
        when=instant.now(),
        chunks=chunks,
        media=tuple(medium.number for medium in manifest.media if chunks.issuperset(medium.chunks)),
        total=len(manifest.media),
        whole=len(chunks) == len(manifest.chunks),
    )


def forget(stream: str, place: tuple[int, int]) -> None:
    """Remove the notes of a stream up to a place in it: that was imported."""
    for path, found in _all():
        if found.stream == stream and found.place <= place:
            with suppress(OSError):
                path.unlink(missing_ok=True)


def notes() -> list[Note]:
    """Return what was verified here, by stream and place."""
    return sorted((found for _path, found in _all()), key=lambda n: (n.stream, n.place))


def _all() -> list[tuple[Path, Note]]:
    folder = default_folder() / FOLDER
    with suppress(OSError):
        paths = [path for path in folder.iterdir() if _NAME.fullmatch(path.name)]
        return [(path, found) for path in sorted(paths) if (found := _load(path))]
    return []


def _load(path: Path) -> Note | None:
    try:
        with path.open("rb") as file:
            return read(file.read(LIMIT + 1))
    except (OSError, DrayError):
        return None


def dump(found: Note) -> bytes:
    """Return the bytes of a note's file."""
    return dump_json(found.to_dict())


def read(data: bytes) -> Note:
    """Read a note; raise :class:`UsageError` for one that is none."""

    def fault(_path: Place, message: str, _hint: str) -> DrayError:
        return UsageError(f"no note of a bundle: {message}")

    try:
        fields = Fields(parse_json(data, limit=LIMIT), (), fault)
        return Note(
            bundle=fields.text("bundle", pattern=r"[a-z0-9][a-z0-9-]{0,60}"),
            stream=fields.text("stream", pattern=STREAM),
            epoch=fields.integer("epoch"),
            sequence=fields.integer("sequence", low=1),
            manifest=fields.digest("manifest"),
            when=instant.parse(fields.text("when")),
            chunks=frozenset(_numbers(fields, "chunks")),
            media=tuple(_numbers(fields, "media")),
            total=fields.integer("total", low=1),
            whole=fields.flag("whole"),
        )
    except ValueError as error:
        raise UsageError(f"no note of a bundle: {error}") from None


def _numbers(fields: Fields, key: str) -> list[int]:
    found = []
    for _path, item in fields.items(key, required=True):
        if not isinstance(item, int) or isinstance(item, bool) or item < 1:
            raise fields.wrong(key, "holds what is no number")
        found.append(item)
    return found
