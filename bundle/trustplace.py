"""Where versions of a trust file lie: in a folder beside each other, or on a medium as a chain."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from bundle import trust, trustchain
from bundle.errors import NotTrusted, UsageError
from bundle.signature import MAX_BYTES as SIGNATURE_LIMIT
from bundle.signature import SIGNER
from bundle.trustchain import ENDING, FILE, Version, file_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

DEPTH = 2
"""Folders below the one that is named, as for bundles."""


def versions(places: Iterable[Path]) -> list[Version]:
    """Return the versions in these files and folders, by number; none where there are none.

    A chain on a medium, ``trust-000003.json`` with its signatures beside it, or folders with such
    files. Of a version that lies there twice, the signatures are joined when its bytes are equal.
    Raises :class:`NotTrusted` for one number with different bytes, and for files that are damaged.
    """
    found: dict[int, Version] = {}
    for place in places:
        for version in _in(place):
            known = found.get(version.number)
            if known is not None and known.data != version.data:
                raise NotTrusted(
                    f"two different trust files are version {version.number} in {place}",
                    hint="name the one that is meant",
                )
            signatures = {**version.signatures, **(known.signatures if known else {})}
            found[version.number] = Version(version.number, version.data, signatures)
    return [found[number] for number in sorted(found)]


def beside(path: Path, number: int) -> Version | None:
    """Return version ``number`` from its file beside the trust file ``path``, with signatures."""
    file = path.with_name(file_name(number))
    return _one(file, number) if file.is_file() else None


def _in(place: Path) -> Iterator[Version]:
    if place.is_dir():
        yield from _folder(place, DEPTH)
    elif place.name.endswith(f".{ENDING}"):
        yield from trustchain.read(_read(place, trustchain.MAX_BYTES), what=str(place))
    elif match := FILE.fullmatch(place.name):
        yield _one(place, int(match[1]))
    elif place.exists():
        hint = f"name a folder, {file_name(2)}, or a *.{ENDING}"
        raise UsageError(f"{place} is no version of a trust file by its name", hint=hint)
    else:
        raise UsageError(f"{place} does not exist", hint="name the medium's folder")


def _folder(folder: Path, depth: int) -> Iterator[Version]:
    try:
        with os.scandir(folder) as listed:
            entries = sorted(listed, key=lambda entry: entry.name)
    except OSError as error:
        raise _unreadable(folder, error) from None
    for entry in entries:
        if entry.name.endswith(f".{ENDING}") or FILE.fullmatch(entry.name):
            yield from _in(Path(entry.path))
    for entry in entries:
        if depth and entry.is_dir(follow_symlinks=False) and entry.name.isprintable():
            yield from _folder(Path(entry.path), depth - 1)


def _one(path: Path, number: int) -> Version:
    pattern = re.compile(re.escape(path.name) + rf"\.({SIGNER})\.sigstore\.json")
    signatures = {
        match[1]: _read(other, SIGNATURE_LIMIT)
        for other in sorted(path.parent.iterdir())
        if (match := pattern.fullmatch(other.name))
    }
    return Version(number, _read(path, trust.MAX_BYTES), signatures)


def _read(path: Path, limit: int) -> bytes:
    """Read a regular file, following no link at its name; a medium may hold anything."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        handle = os.open(path, flags)
    except OSError as error:
        raise _unreadable(path, error) from None
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise NotTrusted(f"{path} is not a regular file")
        try:
            data = file.read(limit + 1)
        except OSError as error:
            raise _unreadable(path, error) from None
    if len(data) > limit:
        raise NotTrusted(f"{path} is larger than {limit} bytes")
    return data


def _unreadable(path: Path, error: OSError) -> UsageError:
    return UsageError(f"{path} cannot be read: {(error.strerror or 'unknown reason').lower()}")
