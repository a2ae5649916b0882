"""The files of a bundle, in whichever folders they lie: found, and opened without following."""

from __future__ import annotations

import errno
import os
import re
import stat
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bundle.errors import MediaIncomplete, UsageError, VerificationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_MANIFEST = re.compile(r"([a-z0-9][a-z0-9-]*-[0-9]{6,12})\.manifest\.json")
_CHUNK = re.compile(r"([a-z0-9][a-z0-9-]*-[0-9]{6,12})\.chunk-[0-9]{5,}\.tar(?:\.enc)?")
_SIGNATURE = re.compile(r"\.manifest\.json\.[a-z0-9][a-z0-9-]{0,31}\.(?:sigstore\.json|sig)")
_LITTER = re.compile(
    r"\._.*|\.DS_Store|\.Trash.*|\.Spotlight-V100|\.fseventsd|\.TemporaryItems|lost\+found|"
    r"desktop\.ini|Thumbs\.db|System Volume Information|\$RECYCLE\.BIN"
)
"""What operating systems drop on media unasked; noted, not refused."""
SIGNATURE_LIMIT = 64 << 10
DEPTH = 2
"""A bundle may lie in the folder named, or this many folders below it (``<bundle>/medium-1``)."""


@dataclass(frozen=True)
class Media:
    """One bundle's folders. ``name`` is ``<stream>-<sequence>``."""

    name: str
    folders: tuple[Path, ...]
    listing: dict[str, tuple[Path, ...]] = field(repr=False)

    @classmethod
    def find(cls, paths: Sequence[Path]) -> Media:
        """Find the one bundle in ``paths``; raise when there is none, or more than one.

        Chunks of a bundle whose manifest is nowhere are foreign to the one whose manifest is there.
        """
        chunks: dict[str, dict[Path, None]] = {}
        manifests: dict[str, None] = {}
        for path in paths:
            if not path.is_dir():
                what = "is not a folder" if path.exists() else "does not exist"
                raise UsageError(f"{path} {what}", hint="name the folder of the bundle")
            for name, folder, sealed in _bundles(path, DEPTH):
                chunks.setdefault(name, {})[folder] = None
                if sealed:
                    manifests[name] = None
        found = manifests or chunks
        if len(found) > 1:
            names = ", ".join(sorted(found))
            raise UsageError(f"more than one bundle here: {names}", hint="name one bundle's folder")
        if not found:
            where = ", ".join(str(path) for path in paths)
            raise MediaIncomplete(
                f"no bundle in {where}",
                hint="a bundle's folder holds <stream>-<sequence>.manifest.json and chunks; "
                "an export that was cut leaves *.partial files: run it again",
            )
        (name,) = found
        folders = dict.fromkeys(folder for there in chunks.values() for folder in there)
        return cls(name, tuple(folders), _list(folders))

    @classmethod
    def of_manifest(cls, path: Path) -> Media:
        """Return the bundle of this manifest file, with what else of it lies in its folder."""
        match = _MANIFEST.fullmatch(path.name)
        if match is None:
            message = f"{path} is not called as a manifest: <stream>-<sequence>.manifest.json"
            raise UsageError(message, hint="give it its name back, or name the folder it lies in")
        return cls(match[1], (path.parent,), _list({path.parent: None}))

    def places(self, name: str) -> tuple[Path, ...]:
        """Return every folder's file of this name."""
        return self.listing.get(name, ())

    @contextmanager
    def open(self, path: Path) -> Iterator[int]:
        """Open a regular file for reading; anything else at that name is refused."""
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            handle = os.open(path, flags)
        except OSError as error:
            raise _unreadable(path, error) from None
        try:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise VerificationError(f"{path} is not a regular file", hint=RECOPY)
            yield handle
        finally:
            os.close(handle)

    def read(self, path: Path, limit: int) -> bytes:
        """Return a small file's bytes; more than ``limit`` is refused."""
        with self.open(path) as handle:
            size = os.fstat(handle).st_size
            if size > limit:
                raise VerificationError(f"{path} is larger than {limit} bytes", hint=RECOPY)
            blocks = bytearray()
            while len(blocks) <= size and (block := read_at(handle, path, size, len(blocks))):
                blocks += block
            return bytes(blocks)

    def manifests(self) -> list[tuple[Path, bytes]]:
        """Return every copy of the manifest."""
        from bundle.manifest import MAX_BYTES  # noqa: PLC0415  (manifest imports what media needs)

        places = self.places(f"{self.name}.manifest.json")
        if not places:
            raise MediaIncomplete(
                f"{self.name}.manifest.json is on none of the media given",
                hint="every medium carries it: copy it again from the low side, or name its folder",
            )
        return [(path, self.read(path, MAX_BYTES)) for path in places]

    def signatures(self) -> dict[str, bytes]:
        """Return the signature files by name; copies that differ come under their path.

        Of those that nobody will look at, being too many, none is read: they come empty.
        """
        from bundle.trust import MAX_SIGNATURES  # noqa: PLC0415  (its imports cost start-up time)

        names = [name for name in self.listing if self.is_signature(name)]
        names = sorted(name for name in names if name.endswith(".sigstore.json"))
        found = dict.fromkeys(names[MAX_SIGNATURES:], b"")
        for name in names[:MAX_SIGNATURES]:
            for path in self.places(name):
                data = self.read(path, SIGNATURE_LIMIT)
                key = name if found.get(name, data) == data else str(path)
                found[key] = data
        return found

    def is_signature(self, name: str) -> bool:
        """Whether a file of this name is a signature of this bundle."""
        return name.startswith(self.name) and bool(_SIGNATURE.fullmatch(name[len(self.name) :]))


RECOPY = (
    "copy this file again from the low side; if it is bad there too, dray repair says what to do"
)


def read_at(handle: int, path: Path, count: int, offset: int) -> bytes:
    """Read up to ``count`` bytes at ``offset``; a medium that fails is named."""
    try:
        return os.pread(handle, count, offset)
    except OSError as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: OSError) -> Exception:
    reason = os.strerror(error.errno or errno.EIO)
    if error.errno == errno.ENXIO and path.is_socket():
        return VerificationError(f"{path} is not a regular file", hint=RECOPY)
    if error.errno in {errno.ENOENT, errno.ENODEV, errno.ENXIO, errno.ESTALE}:
        return MediaIncomplete(f"{path} is gone: {reason}", hint="insert the medium and run again")
    if error.errno == errno.ELOOP:
        return VerificationError(f"{path} is a link, not a file", hint=RECOPY)
    return VerificationError(f"{path} cannot be read: {reason}", hint=RECOPY)


def litter(name: str) -> bool:
    """Whether a file of this name was dropped by an operating system."""
    return _LITTER.fullmatch(name) is not None


def _bundles(folder: Path, depth: int) -> Iterator[tuple[str, Path, bool]]:
    """Yield the bundles of which something is in ``folder``, and whether their manifest is."""
    names: dict[str, bool] = {}
    below: list[Path] = []
    for entry in _entries(folder):
        if match := _MANIFEST.fullmatch(entry.name):
            names[match[1]] = True
        elif match := _CHUNK.fullmatch(entry.name):
            names.setdefault(match[1], False)
        # A name that could deceive whoever reads it in a message is none that dray has given.
        elif depth and entry.name.isprintable() and not litter(entry.name) and _is_folder(entry):
            below.append(Path(entry.path))
    for name, sealed in names.items():
        yield name, folder, sealed
    if not names:
        for path in below:
            yield from _bundles(path, depth - 1)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise _unreadable(folder, error) from None


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError as error:
        raise _unreadable(Path(entry.path), error) from None


def _list(folders: dict[Path, None]) -> dict[str, tuple[Path, ...]]:
    found: dict[str, tuple[Path, ...]] = {}
    for folder in folders:
        for entry in _entries(folder):
            found[entry.name] = (*found.get(entry.name, ()), Path(entry.path))
    return found
