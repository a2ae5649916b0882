"""Writes a chunk at planned offsets, then seals it and reads it back before it counts."""

from __future__ import annotations

import errno
import hashlib
import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bundle import ustar
from bundle.digest import BLOCK, Digest
from bundle.errors import TransferError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

PARTIAL = ".partial"


class MediumError(TransferError):
    """The medium, or the disk, on the low side cannot be written or returns other bytes."""

    kind = "medium"
    side = "low side"


class ReadBackError(MediumError):
    """The medium returned other bytes than were written; ``digests`` are the blobs concerned."""

    def __init__(self, message: str, digests: tuple[Digest, ...]) -> None:
        hint = "they are fetched again; if it happens twice, the medium or the memory is faulty"
        super().__init__(message, hint=hint)
        self.digests = digests


@dataclass(frozen=True, slots=True)
class Span:
    """A member of a chunk as written: tar name, data offset, size in bytes, digest, its blob."""

    name: str
    offset: int
    size: int
    digest: Digest
    blob: Digest


@dataclass(frozen=True)
class ChunkFile:
    """One chunk on its way: ``path`` is its final name, before that it ends in ``.partial``."""

    path: Path

    @property
    def partial(self) -> Path:
        """The name until it is sealed."""
        return self.path.with_name(self.path.name + PARTIAL)

    @contextmanager
    def writing(self) -> Iterator[int]:
        """Open the partial file for writing anywhere in it."""
        with medium_errors(self.path):
            handle = os.open(self.partial, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                yield handle
            finally:
                os.close(handle)

    def reopen(self) -> None:
        """Take a sealed chunk back to writing: some of its blobs must be fetched again."""
        with medium_errors(self.path):
            self.path.rename(self.partial)

    def seal(
        self,
        prefix: bytes,
        spans: Sequence[Span],
        on_bytes: Callable[[int], object] = lambda _count: None,
    ) -> Digest:
        """Write prefix and trailer, make it durable, read it all back, rename; return its digest.

        Raises :class:`ReadBackError` when a span came back with other bytes than its digest.
        """
        end = len(prefix) + sum(ustar.span(span.size) for span in spans)
        with self.writing() as handle:
            os.pwrite(handle, prefix, 0)
            os.pwrite(handle, ustar.TRAILER, end)
            os.ftruncate(handle, end + len(ustar.TRAILER))
            os.fsync(handle)
            # Out of the page cache, so that what is read is what the medium holds.
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
            digest = self._read_back(handle, prefix, spans, on_bytes)
            self.partial.rename(self.path)
            sync_folder(self.path.parent)
        return digest

    def _read_back(
        self,
        handle: int,
        prefix: bytes,
        spans: Sequence[Span],
        on_bytes: Callable[[int], object],
    ) -> Digest:
        whole = hashlib.sha256(prefix)
        bad = [] if os.pread(handle, len(prefix), 0) == prefix else [span.blob for span in spans]
        for span in spans:
            head = os.pread(handle, ustar.RECORD, span.offset - ustar.RECORD)
            whole.update(head)
            digest = _hash_both(handle, span, whole, on_bytes)
            tail = os.pread(handle, ustar.padding(span.size), span.offset + span.size)
            whole.update(tail)
            if head != ustar.header(span.name, span.size) or digest != span.digest.hex or any(tail):
                bad.append(span.blob)
        whole.update(ustar.TRAILER)
        if bad:
            message = f"{self.path.name} on the medium has other bytes than were written"
            raise ReadBackError(message, tuple(dict.fromkeys(bad)))
        return Digest("sha256:" + whole.hexdigest())


def _hash_both(
    handle: int, span: Span, whole: hashlib._Hash, on_bytes: Callable[[int], object]
) -> str:
    sha, done = hashlib.sha256(), 0
    while done < span.size:
        block = os.pread(handle, min(BLOCK, span.size - done), span.offset + done)
        if not block:
            break
        sha.update(block)
        whole.update(block)
        done += len(block)
        on_bytes(len(block))
    return sha.hexdigest()


def write_all(handle: int, data: bytes | memoryview, offset: int) -> None:
    """Write all of ``data`` at ``offset``."""
    done = os.pwrite(handle, data, offset)
    while done < len(data):
        done += os.pwrite(handle, memoryview(data)[done:], offset + done)


def sync_folder(folder: Path) -> None:
    """Make renames in a folder durable, where the file system can."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.ENOTSUP}:
            raise
    finally:
        os.close(handle)


@contextmanager
def medium_errors(path: Path) -> Iterator[None]:
    """Turn the operating system's errors about ``path`` into :class:`MediumError`."""
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno or errno.EIO)
        hints = {
            errno.ENOSPC: "free some space and run again: what is written is kept",
            errno.EROFS: "the medium is mounted read-only",
            errno.EFBIG: "the file system allows no file that large: choose --chunk-size fat32",
        }
        hint = hints.get(
            error.errno or 0, "check the medium and run again: what is written is kept"
        )
        raise MediumError(f"{path} cannot be written: {reason}", hint=hint) from None
