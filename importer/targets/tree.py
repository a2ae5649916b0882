"""A folder on the high side, whose inside is reached without ever following a symbolic link."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shutil
import stat
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from bundle.digest import BLOCK
from bundle.errors import TargetError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_HINTS = {
    errno.ENOSPC: "free some space and run again: what is there already is kept",
    errno.EDQUOT: "raise the quota and run again: what is there already is kept",
    errno.EROFS: "mount it writable, or name another folder",
    errno.EACCES: "make it writable for this user, or name another folder",
    errno.ELOOP: "nothing inside the folder may be a symbolic link",
    errno.ENOTDIR: "something there is no folder, or a symbolic link, which is not followed",
}

_NO_LINK = {errno.EEXIST, errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP, errno.ENOSYS}
"""How file systems say that a file cannot have one more name."""


class AbsentError(TargetError):
    """There is nothing at that path."""


class Tree:
    """Files below ``root``, by relative paths with slashes that were checked before.

    ``root`` itself may be a link: it is what the user named. Every method raises
    :class:`TargetError` with the path and the system's reason.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    @contextmanager
    def faults(self, path: str) -> Iterator[None]:
        """Turn the system's errors into :class:`TargetError`."""
        try:
            yield
        except OSError as error:
            kind = AbsentError if isinstance(error, FileNotFoundError) else TargetError
            reason = (error.strerror or "unknown reason").lower()
            hint = _HINTS.get(error.errno or 0, "")
            raise kind(f"cannot use {self.root / path}: {reason}", hint=hint) from None

    @contextmanager
    def folder(self, path: str, *, create: bool = False) -> Iterator[int]:
        """Yield a handle of a folder; ``""`` is the root. What is created is made durable."""
        with self.faults(path):
            handle = self._enter(path, create=create)
        try:
            yield handle
        finally:
            os.close(handle)

    def _enter(self, path: str, *, create: bool) -> int:
        if create:
            self.root.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        for name in path.split("/") if path else ():
            try:
                inner = _step(handle, name, create=create)
            finally:
                os.close(handle)
            handle = inner
        return handle

    @contextmanager
    def _parent(self, path: str, *, create: bool = False) -> Iterator[tuple[int, str]]:
        above, _, name = path.rpartition("/")
        with self.folder(above, create=create) as handle, self.faults(path):
            yield handle, name

    def status(self, path: str) -> os.stat_result | None:
        """Return what is at ``path``, or ``None`` when nothing is."""
        try:
            with self._parent(path) as (folder, name):
                return os.stat(name, dir_fd=folder, follow_symlinks=False)
        except AbsentError:
            return None

    @contextmanager
    def opened(self, path: str, flags: int = os.O_RDONLY) -> Iterator[int]:
        """Yield a handle of a regular file; with ``O_CREAT``, its folders are created too."""
        with self._parent(path, create=bool(flags & os.O_CREAT)) as (folder, name):
            handle = os.open(name, flags | _FILE, 0o666, dir_fd=folder)
        try:
            with self.faults(path):
                if not stat.S_ISREG(os.fstat(handle).st_mode):
                    raise TargetError(f"{self.root / path} is not a regular file")
                yield handle
        finally:
            os.close(handle)

    @contextmanager
    def exclusive(self, path: str) -> Iterator[int]:
        """Yield a handle to write a file that one thread of one process at a time may have.

        Others wait, and then find the file gone (moved to where it belongs) and make a new one.
        """
        while True:
            with self.opened(path, os.O_RDWR | os.O_CREAT) as handle, self.faults(path):
                fcntl.flock(handle, fcntl.LOCK_EX)
                there, here = self.status(path), os.fstat(handle)
                if there and (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino):
                    yield handle
                    return

    def read(self, path: str, limit: int) -> bytes | None:
        """Return the bytes of a small file, or ``None`` when there is none."""
        if self.status(path) is None:
            return None
        with self.opened(path) as handle:
            data = b"".join(_blocks(handle, limit + 1))
        if len(data) > limit:
            raise TargetError(f"{self.root / path} is longer than {limit} bytes")
        return data

    @contextmanager
    def blocks(self, path: str, offset: int = 0) -> Iterator[Iterator[bytes]]:
        """Yield the blocks of a file from ``offset`` on."""
        with self.opened(path) as handle:
            yield _blocks(handle, start=offset)

    def sha256(self, path: str) -> str:
        """Return the hex digest of a file's bytes."""
        sha = hashlib.sha256()
        with self.opened(path) as handle:
            for block in _blocks(handle):
                sha.update(block)
        return sha.hexdigest()

    def move(self, source: str, target: str) -> None:
        """Rename a file or folder, replacing a file; durable once this returns."""
        with (
            self._parent(source) as (before, old),
            self._parent(target, create=True) as (after, new),
        ):
            os.rename(old, new, src_dir_fd=before, dst_dir_fd=after)
            os.fsync(after)

    def link(self, source: str, target: str) -> bool:
        """Give a file a second name, durably; return whether the file system does so.

        What is at ``target`` already stays, and then it does not.
        """
        with (
            self._parent(source) as (before, old),
            self._parent(target, create=True) as (after, new),
        ):
            try:
                os.link(old, new, src_dir_fd=before, dst_dir_fd=after, follow_symlinks=False)
            except OSError as error:
                if error.errno not in _NO_LINK:
                    raise
                return False
            os.fsync(after)
        return True

    def write(self, path: str, data: bytes, *, through: str) -> None:
        """Write a file by way of another in the same tree: it is there whole, or not at all."""
        with self.exclusive(through) as handle:
            os.ftruncate(handle, 0)
            write_all(handle, data)
            os.fsync(handle)
            self.move(through, path)

    def remove(self, path: str) -> None:
        """Remove a file, if it is there."""
        with suppress(AbsentError), self._parent(path) as (folder, name):
            os.unlink(name, dir_fd=folder)
            os.fsync(folder)

    def clear(self, path: str) -> None:
        """Remove a folder with all that is in it, if it is there; links in it are not followed."""
        with suppress(AbsentError), self._parent(path) as (folder, name):
            shutil.rmtree(name, dir_fd=folder)


def write_all(handle: int, block: bytes) -> None:
    """Write a block whole: the system may take it in pieces."""
    view = memoryview(block)
    while view:
        view = view[os.write(handle, view) :]


def _blocks(handle: int, limit: int | None = None, *, start: int = 0) -> Iterator[bytes]:
    offset = start
    while limit is None or offset < limit:
        wanted = BLOCK if limit is None else min(BLOCK, limit - offset)
        block = os.pread(handle, wanted, offset)
        if not block:
            return
        offset += len(block)
        yield block


def _step(handle: int, name: str, *, create: bool) -> int:
    try:
        return os.open(name, _FOLDER, dir_fd=handle)
    except FileNotFoundError:
        if not create:
            raise
    with suppress(FileExistsError):
        os.mkdir(name, dir_fd=handle)
        os.fsync(handle)
    return os.open(name, _FOLDER, dir_fd=handle)
