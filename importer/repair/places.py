"""Where repaired files go: over the damaged ones, onto a new medium, or into a folder beside."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bundle.errors import UsageError
from importer.repair.beside import ENDING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from bundle.manifest import Manifest
    from bundle.media import Media
    from importer.repair.run import Mended
    from importer.repair.survey import Item


@dataclass(frozen=True)
class Places:
    """The folder of each medium, by number; of lost ones a new one. ``out`` takes everything."""

    manifest: Manifest
    folders: dict[int, Path]
    out: Path | None

    def targets(self, item: Item, bad: Sequence[Path]) -> list[Path]:
        """Return where a file has to be written; ``bad`` are its copies that are not as signed."""
        if self.out:
            is_ours = item.copies or item.medium in self.folders
            return [self.out / item.name] if is_ours and not item.here else []
        if item.copies:
            return list(bad)
        folder = self.folders.get(item.medium)
        return [folder / item.name] if folder else []

    def papered(self, mended: Iterable[Mended]) -> list[Path]:
        """Return the folders that must have all small files."""
        if self.out:
            return [self.out] if any(m.path.parent == self.out for m in mended) else []
        return list(dict.fromkeys(self.folders.values()))


def inside(folder: Path, name: str) -> Path:
    """Return where the bundle's files go in a new folder: in one of its name, as an export has it.

    That is ``folder`` itself where it is called so, or lies in one: ``prod-000001/medium-2``.
    """
    here = folder.absolute()
    return folder if name in {here.name, here.parent.name} else folder / name


def find(
    manifest: Manifest, media: Media, to: Sequence[Path], out: Path | None, given: Sequence[Path]
) -> Places:
    """Find which folder is which medium, by what is in it, and give the lost ones those of ``to``.

    ``given`` are the folders that hold something of the bundle and are neither ``to`` nor ``out``.
    """
    names: dict[int, set[str]] = {
        medium.number: {manifest.chunks[number - 1].name for number in medium.chunks}
        for medium in manifest.media
    }
    for group in manifest.parity:
        for file in group.files:
            names[file.medium].add(file.name)
    new = [inside(folder, manifest.name) for folder in to]
    folders: dict[int, Path] = {}
    for number, wanted in names.items():
        counts = {
            folder: sum(folder / name in media.places(name) for name in wanted)
            for folder in (*given, *new)
        }
        best = max(counts, key=lambda folder: counts[folder], default=None)
        if best is not None and counts[best]:
            folders[number] = best
    lost = [number for number, wanted in names.items() if wanted and number not in folders]
    idle = [folder for folder in given if folder not in folders.values()]
    if len(lost) == 1 and len(idle) == 1:
        folders[lost.pop()] = idle[0]
    fresh = [folder for folder in new if folder not in folders.values()]
    if to and len(lost) > len(fresh):
        numbers = ", ".join(map(str, lost))
        raise UsageError(
            f"media {numbers} of {len(manifest.media)} are not here, and --to names {len(to)}",
            hint="give a --to DIR for each of them, or the folders of those that are at hand",
        )
    folders |= dict(zip(lost, fresh, strict=False))
    return Places(manifest, folders, inside(out, manifest.name) if out else None)


def sweep(media: Media, names: set[str]) -> None:
    """Remove what a repair that was killed has left."""
    for name, found in media.listing.items():
        if name.endswith(ENDING) and name.removesuffix(ENDING) in names:
            for path in found:
                with suppress(OSError):
                    _remove(path)


def _remove(path: Path) -> None:
    handle = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)  # not while another run is writing it
        path.unlink()
    finally:
        os.close(handle)
