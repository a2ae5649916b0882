"""A chart's archive as files in memory: bounded, and nothing of it is ever extracted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bundle import tgz

if TYPE_CHECKING:
    import tarfile

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
    with tgz.members(archive, UNPACKED_LIMIT) as members:
        for number, member in enumerate(members):
            if number >= MEMBERS:
                raise ValueError(f"more than {MEMBERS} members")
            if member.isreg():
                _take(members, member, found)
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
