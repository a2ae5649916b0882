"""Reads a file back from the medium itself, past the page cache, in blocks of one buffer."""

from __future__ import annotations

import errno
import mmap
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

BUFFER = 2 << 20
"""Bytes for each read; a multiple of every device's block."""


@contextmanager
def reading_back(path: Path, size: int = BUFFER) -> Iterator[Iterator[memoryview]]:
    """Yield the file's blocks of ``size`` bytes; each is only good until the next is asked for.

    ``path`` was synced before. Where the file system has no direct reads, its pages are dropped
    from the cache first, as far as the kernel does that.
    """
    handle, direct = _open(path)
    buffer = mmap.mmap(-1, size)  # direct reads need memory that begins at a page
    view = memoryview(buffer)
    blocks = _blocks(handle, view, direct=direct)
    try:
        yield blocks
    finally:
        blocks.close()  # whoever stops early holds a part of the buffer until then
        view.release()
        buffer.close()
        os.close(handle)


def _open(path: Path) -> tuple[int, bool]:
    flags = os.O_RDONLY | os.O_CLOEXEC
    try:
        return os.open(path, flags | getattr(os, "O_DIRECT", 0)), hasattr(os, "O_DIRECT")
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    return _cached(path, flags), False


def _cached(path: Path, flags: int) -> int:
    handle = os.open(path, flags)
    os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
    return handle


def _blocks(handle: int, view: memoryview, *, direct: bool) -> Generator[memoryview]:
    offset = 0
    while True:
        try:
            count = _fill(handle, view, offset)
        except OSError as error:
            if not direct or error.errno != errno.EINVAL:
                raise
            # Some file systems accept the flag and refuse the read.
            _undirect(handle)
            direct = False
            continue
        if not count:
            return
        offset += count
        with view[:count] as block:
            yield block
        if direct and count % 512:
            return  # the end of the file: the next direct read would not be aligned


def _fill(handle: int, view: memoryview, offset: int) -> int:
    count = os.preadv(handle, [view], offset)
    while 0 < count < len(view) and count % 4096 == 0:  # a read that was cut short, not the end
        more = os.preadv(handle, [view[count:]], offset + count)
        if not more:
            break
        count += more
    return count


def _undirect(handle: int) -> None:
    import fcntl  # noqa: PLC0415  (only where direct reads fail)

    flags = fcntl.fcntl(handle, fcntl.F_GETFL)
    fcntl.fcntl(handle, fcntl.F_SETFL, flags & ~os.O_DIRECT)
    os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
