"""A file that is written beside its name and gets the name when its bytes are as signed."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Self

from bundle.digest import BLOCK
from bundle.durable import sync_folder
from bundle.errors import TargetError, VerificationError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bundle.digest import Digest

ENDING = ".partial"


class Beside:
    """Takes a file's bytes. What was at the name stays until the new one is verified."""

    def __init__(self, path: Path, size: int, digest: Digest) -> None:
        self.path, self.size, self.digest = path, size, digest
        self.partial = path.with_name(path.name + ENDING)
        self._done = 0
        self._handle = -1

    def __enter__(self) -> Self:
        with writing(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            self._handle = os.open(self.partial, flags, 0o644)
            try:
                self._take()
            except BaseException:
                os.close(self._handle)
                self._handle = -1
                raise
        return self

    def _take(self) -> None:
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            message = f"another repair is writing {self.partial}"
            raise TargetError(message, hint="wait for it to end") from None
        except OSError as error:
            # Where a file system has no locks, nobody but the user keeps two runs apart.
            if error.errno not in {errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS}:
                raise
        os.ftruncate(self._handle, 0)

    def write(self, data: bytes) -> None:
        """Append."""
        self.write_at(self._done, data)
        self._done += len(data)

    def write_at(self, offset: int, data: bytes) -> None:
        """Write somewhere in the file."""
        with writing(self.path):
            view = memoryview(data)
            while view:
                count = os.pwrite(self._handle, view, offset)
                offset += count
                view = view[count:]

    def finish(self) -> None:
        """Make it durable, read it back, compare it with what was signed, and rename.

        Raises :class:`VerificationError` when the bytes are others; the old file stays.
        """
        with writing(self.path):
            os.fsync(self._handle)
            os.posix_fadvise(self._handle, 0, 0, os.POSIX_FADV_DONTNEED)
            if os.fstat(self._handle).st_size != self.size or self._again() != self.digest.hex:
                raise VerificationError(
                    f"what was made for {self.path.name} is not what was signed: it is left alone",
                    hint="what it was made of is other than it should be, or the medium returns "
                    "other bytes than were written: try another, --out DIR",
                )
            self.partial.rename(self.path)
            sync_folder(self.path.parent)
        os.close(self._handle)
        self._handle = -1

    def _again(self) -> str:
        sha, done = hashlib.sha256(), 0
        while block := os.pread(self._handle, BLOCK, done):
            sha.update(block)
            done += len(block)
        return sha.hexdigest()

    def __exit__(self, *_exc: object) -> None:
        if self._handle >= 0:  # not finished: nothing of it is left
            with suppress(OSError):
                self.partial.unlink(missing_ok=True)
            os.close(self._handle)


def put(path: Path, data: bytes, digest: Digest) -> None:
    """Write a small file: whole, or not at all."""
    with Beside(path, len(data), digest) as file:
        file.write(data)
        file.finish()


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn the operating system's errors about ``path`` into :class:`TargetError`."""
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno or errno.EIO)
        hints = {
            errno.ENOSPC: "a file is written beside the old one: free as much, or write elsewhere, "
            "--out DIR",
            errno.EROFS: "write what is repaired elsewhere: --out DIR",
            errno.EACCES: "write what is repaired elsewhere: --out DIR",
            errno.EPERM: "write what is repaired elsewhere: --out DIR",
            errno.EISDIR: "move away what lies there",
            errno.ENOTEMPTY: "move away what lies there",
        }
        hint = hints.get(error.errno or 0, "write what is repaired to another medium: --out DIR")
        raise TargetError(f"{path} cannot be written: {reason}", hint=hint) from None
