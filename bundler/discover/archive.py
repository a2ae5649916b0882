"""A chart's archive as files in memory: bounded, and nothing of it is ever extracted."""

from __future__ import annotations

import gzip
import io
import tarfile
import zlib
from typing import Final

FILE_LIMIT: Final = 5 << 20
"""Bytes of one file; Helm refuses larger ones as well (Helm, pkg/chart/loader/archive)."""
UNPACKED_LIMIT: Final = 64 << 20
MEMBERS: Final = 20_000


def files(archive: bytes) -> dict[str, bytes]:
    """Return the plain files of a .tgz by their path below the chart's own folder.

    Raises ``ValueError`` with the reason for what cannot be read, for what unpacks to more than 64
    MiB, and for paths that are absolute, go up, or stand there twice. Links and devices are passed
    over: Helm does not follow them either.
    """
    found: dict[str, bytes] = {}
    try:
        with (
            gzip.GzipFile(fileobj=io.BytesIO(archive)) as unpacked,
            tarfile.open(fileobj=_Capped(unpacked), mode="r|") as members,
        ):
            for number, member in enumerate(members):
                if number >= MEMBERS:
                    raise ValueError(f"more than {MEMBERS} members")
                if member.isreg():
                    _take(members, member, found)
    except (tarfile.TarError, zlib.error, EOFError, OSError, RecursionError) as fault:
        raise ValueError(f"no .tgz that can be read: {type(fault).__name__}") from None
    return found


def _take(members: tarfile.TarFile, member: tarfile.TarInfo, found: dict[str, bytes]) -> None:
    steps = member.name.removeprefix("./").split("/")
    name = "/".join(steps[1:])
    if "\\" in member.name or "\0" in member.name or {"", ".", ".."} & set(steps):
        raise ValueError(f"a member called {member.name[:80]!r}")
    if not name:
        return
    if name in found:
        raise ValueError(f"two members called {member.name[:80]!r}")
    if member.size > FILE_LIMIT:
        raise ValueError(f"{member.name[:80]!r} is larger than {FILE_LIMIT} bytes")
    stream = members.extractfile(member)
    if stream is None:
        raise ValueError(f"{member.name[:80]!r} has no content")
    with stream:
        found[name] = stream.read()


class _Capped(io.RawIOBase):
    """The unpacked bytes, up to the limit: a header may claim any length for what follows it."""

    def __init__(self, stream: gzip.GzipFile) -> None:
        self._stream = stream
        self._left = UNPACKED_LIMIT

    def read(self, size: int = -1) -> bytes:
        block = self._stream.read(min(size, 1 << 20) if size >= 0 else 1 << 20)
        self._left -= len(block)
        if self._left < 0:
            raise ValueError(f"it unpacks to more than {UNPACKED_LIMIT} bytes")
        return block
