"""Opens a gzip-compressed tar in memory for one pass, with a bound on what it unpacks to."""

from __future__ import annotations

import gzip
import io
import tarfile
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bundle.tarstream import Passing

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def members(archive: bytes, limit: int) -> Iterator[tarfile.TarFile]:
    """Open the members, to be read once and in order; ``limit`` is in unpacked bytes.

    Raises ``ValueError`` with the reason, there or while the members are read, for what is no such
    archive and for what unpacks to more.
    """
    try:
        with (
            gzip.GzipFile(fileobj=io.BytesIO(archive)) as unpacked,
            Passing.open(fileobj=_Capped(unpacked, limit), mode="r|") as found,
        ):
            yield found
    except (tarfile.TarError, zlib.error, EOFError, OSError, RecursionError) as fault:
        raise ValueError(f"no .tgz that can be read: {type(fault).__name__}") from None


class _Capped(io.RawIOBase):
    """The unpacked bytes, up to the limit: a header may claim any length for what follows it."""

    def __init__(self, stream: gzip.GzipFile, limit: int) -> None:
        self._stream = stream
        self._limit = self._left = limit

    def read(self, size: int = -1) -> bytes:
        block = self._stream.read(min(size, 1 << 20) if size >= 0 else 1 << 20)
        self._left -= len(block)
        if self._left < 0:
            raise ValueError(f"it unpacks to more than {self._limit} bytes")
        return block
