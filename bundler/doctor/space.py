"""Room for the bundle: what the items will take, against what is free where it goes."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from bundle.progress import human
from bundler.doctor.findings import Finding

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


def examine(folders: Sequence[Path], sizes: Mapping[str, int], *, whole: bool) -> list[Finding]:
    """Compare what the blobs take with the room in ``folders``; ``sizes`` in bytes by digest.

    ``whole`` tells that the sizes are those of all items.
    """
    if not folders:
        return []
    need = sum(sizes.values())
    least = "" if whole else "at least "
    free, devices = 0, set[int]()
    for folder in folders:
        there = _there(folder)
        device = there.stat().st_dev
        if device not in devices:
            devices.add(device)
            free += shutil.disk_usage(there).free
    names = ", ".join(str(folder) for folder in folders)
    said = f"{least}{human(need)} to write, {human(free)} free"
    if free < need:
        hint = "make room, or name more drives: --to DIR --to DIR"
        return [Finding("disk", names, "space", "fail", said, hint, "disk")]
    return [Finding("disk", names, "space", "ok", said)]


def _there(folder: Path) -> Path:
    """Return the folder, or the nearest one above it that exists."""
    path = folder.resolve()
    while not path.exists():
        path = path.parent
    return path
