"""The receipts of this host: files that are written once, ``<bundle>.receipt-0001.json`` and on."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bundle.digest import Digest
from bundle.durable import replace_file
from bundle.errors import UsageError
from bundle.lockfile import held
from bundle.state import default_folder

if TYPE_CHECKING:
    from collections.abc import Container, Iterator
    from datetime import datetime
    from pathlib import Path

FOLDER = "receipts"
_NAME = re.compile(r"([a-z0-9][a-z0-9-]*-[0-9]{6,12})\.receipt-([0-9]{4,9})\.json")


def folder() -> Path:
    """Return the folder of the receipts."""
    return default_folder() / FOLDER


@contextmanager
def alone() -> Iterator[None]:
    """Keep other runs from writing a receipt; held until the ledger names the one that was written.

    Raises :class:`UsageError`.
    """
    place = folder()
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _cannot(place, error) from None
    with held(place, name=".writing", wait=True):
        yield


def write(bundle: str, data: bytes, known: Container[str], since: datetime | None = None) -> Path:
    """Keep a receipt under the next number of its bundle, durably; the caller is :func:`alone`.

    ``known`` are the digests that the ledger names, which was opened at ``since``. A later receipt
    that is none of them is what a run has left that was killed before the ledger had it: its number
    is used again. An earlier one is of a ledger that was set aside, and stays. Raises
    :class:`UsageError`.
    """
    place = folder()
    try:
        found = sorted(item for item in _found(place) if item[0] == bundle)
        number = found[-1][1] if found else 0
        if not found or not _is_left_over(found[-1][2], known, since):
            number += 1
        path = place / f"{bundle}.receipt-{number:04d}.json"
        replace_file(path, data)
    except OSError as error:
        raise _cannot(place, error) from None
    return path


def _is_left_over(path: Path, known: Container[str], since: datetime | None) -> bool:
    if str(Digest.of(path.read_bytes())) in known:
        return False
    return since is not None and path.stat().st_mtime >= since.timestamp()


def copy(data: bytes, path: Path) -> None:
    """Write a receipt where the user wants it; raise :class:`UsageError`."""
    try:
        if path.exists() and not path.is_file():  # /dev/stdout, a pipe
            path.write_bytes(data)
        else:
            replace_file(path, data)
    except OSError as error:
        raise _cannot(path, error) from None


def listed() -> list[Path]:
    """Return the receipts, by bundle and number; nothing where there never was one."""
    found = sorted(_found(folder()), key=lambda item: item[:2])
    return [path for _name, _number, path in found]


def _found(place: Path) -> Iterator[tuple[str, int, Path]]:
    if not place.is_dir():
        return
    for path in place.iterdir():
        if match := _NAME.fullmatch(path.name):
            yield match[1], int(match[2]), path


def _cannot(path: Path, error: OSError) -> UsageError:
    reason = (error.strerror or "unknown reason").lower()
    return UsageError(
        f"cannot write the receipt {path}: {reason}",
        hint="what was loaded is there: run the same command again, and it is written",
    )
