"""A lock on a folder, so that two runs at once do not write into each other's work."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from bundle.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME = ".dray.lock"
"""The file that is locked. It is gone after the run, and harmless when a killed run has left it."""


@contextmanager
def held(folder: Path, *, name: str = NAME, wait: bool = False) -> Iterator[None]:
    """Hold ``folder`` for this run; raise :class:`UsageError` when another run holds it.

    The system lets go of the lock when the process ends, however it ends. On NFS it holds between
    hosts too. Runs that share a folder on purpose (shards) take a ``name`` each. ``wait`` is for
    locks that are held for an instant.
    """
    path = folder / name
    handle = _locked(path, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    try:
        with suppress(OSError):  # a full disk: the lock holds, and only nobody can say whose it is
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"{os.getpid()} {os.uname().nodename}\n".encode(), 0)
        yield
    finally:
        # Removed while it is held: whoever waits finds that its file is another one by now.
        path.unlink(missing_ok=True)
        os.close(handle)


def _locked(path: Path, mode: int) -> int:
    while True:
        handle = _open(path)
        try:
            fcntl.flock(handle, mode)
        except BlockingIOError:
            holder = _holder(handle)
            os.close(handle)
            raise UsageError(
                f"another run of dray{holder} is at work in {path.parent}",
                hint="wait for it to end, or stop it; then run the same command again",
            ) from None
        except OSError as error:
            os.close(handle)
            raise _cannot(path, error) from None
        if _is_at(handle, path):
            return handle
        os.close(handle)


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
    except OSError as error:
        raise _cannot(path, error) from None


def _is_at(handle: int, path: Path) -> bool:
    # The holder before us may have removed the file between our open and our lock.
    try:
        there = path.stat(follow_symlinks=False)
    except FileNotFoundError:
        return False
    here = os.fstat(handle)
    return (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)


def _holder(handle: int) -> str:
    number, _, host = os.pread(handle, 200, 0).decode("ascii", "replace").strip().partition(" ")
    if not number.isdigit() or not host.isprintable():
        return ""
    return f" (process {number} on {host})"


def _cannot(path: Path, error: OSError) -> UsageError:
    reason = (error.strerror or "unknown reason").lower()
    return UsageError(
        f"cannot lock the folder {path.parent}: {reason}",
        hint="it must exist, be writable, and lie on a file system with locks",
    )
