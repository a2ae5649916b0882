"""The output folder: made beside its place, then moved there; what others put in it stays.

A crash between the two renames leaves no folder at the place, and the old one beside it; the next
run writes a whole one.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from bundle.durable import make_folder, sync_folder
from bundle.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SUMS = "sha256sums"
_LINE = re.compile(r"([0-9a-f]{64})  (\S.*)")
_LIMIT = 16 << 20
_RUN = frozenset({"verify"})
"""Files that are programs."""


def write(folder: Path, files: Mapping[str, bytes]) -> bool:
    """Make ``folder`` hold these files and nothing else; return whether it changed.

    ``sha256sums`` is added. Raises :class:`UsageError`, with nothing changed, when the folder holds
    what an earlier run has not written, or what was changed since.
    """
    whole = {**files, SUMS: sums(files)}
    try:
        there = _read(folder)
        if there == whole:
            return False
        if there is not None:
            _check_ours(folder, there)
        _replace(folder, whole, old=there is not None)
    except OSError as error:
        reason = (error.strerror or "unknown reason").lower()
        raise UsageError(f"cannot write {folder}: {reason}") from None
    return True


def sums(files: Mapping[str, bytes]) -> bytes:
    """Return what ``sha256sum -c`` reads."""
    rows = sorted((path, hashlib.sha256(data).hexdigest()) for path, data in files.items())
    return "".join(f"{digest}  {path}\n" for path, digest in rows).encode()


def _read(folder: Path) -> dict[str, bytes] | None:
    """Return the files below a folder by path, nothing for an absent or empty one."""
    if not folder.exists():
        return None
    found = {str(path.relative_to(folder)): data for path, data in _files(folder)}
    return found or None


def _files(folder: Path) -> Iterator[tuple[Path, bytes]]:
    if not folder.is_dir():
        raise _foreign(folder, f"{folder} is no folder")
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise _foreign(folder, f"{path} was not written by dray")
        if path.is_file():
            if path.stat().st_size > _LIMIT:
                raise _foreign(folder, f"{path} was not written by dray")
            yield path, path.read_bytes()


def _check_ours(folder: Path, there: Mapping[str, bytes]) -> None:
    text = there.get(SUMS, b"").decode("utf-8", "replace")
    known = {m[2]: m[1] for line in text.splitlines() if (m := _LINE.fullmatch(line))}
    for path, data in there.items():
        if path == SUMS:
            continue
        if path not in known:
            raise _foreign(folder, f"{folder / path} was not written by dray")
        if hashlib.sha256(data).hexdigest() != known[path]:
            raise _foreign(folder, f"{folder / path} was changed since dray wrote it")


def _foreign(folder: Path, message: str) -> UsageError:
    return UsageError(
        message, hint=f"keep your own files elsewhere: all of {folder} is written anew by each run"
    )


def _replace(folder: Path, files: Mapping[str, bytes], *, old: bool) -> None:
    folder = folder.absolute()
    make_folder(folder.parent)
    made = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        for path, data in files.items():
            _write(made / path, data)
        made.chmod(0o755)
        sync_folder(made)
        away = made.with_name(made.name + ".old")
        if folder.exists():
            folder.rename(away)
        try:
            made.rename(folder)
        except BaseException:
            if old:
                away.rename(folder)
            raise
        sync_folder(folder.parent)
        shutil.rmtree(away, ignore_errors=True)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fchmod(file.fileno(), 0o755 if path.name in _RUN else 0o644)
        os.fsync(file.fileno())
