"""Tars of foreign make as streams: never sought backwards, never more in memory than a header."""

from __future__ import annotations

import io
import tarfile
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

HEADER_LIMIT: Final = 1 << 20
"""Bytes of an extended header, which tarfile reads whole into memory."""
_EXTENDED = frozenset(
    {
        tarfile.XHDTYPE,
        tarfile.XGLTYPE,
        tarfile.SOLARIS_XHDTYPE,
        tarfile.GNUTYPE_LONGNAME,
        tarfile.GNUTYPE_LONGLINK,
    }
)


class Member(tarfile.TarInfo):
    """A header that is refused when it asks for a lot of memory."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Member:
        """Read a header; raise ``ValueError`` for one that is followed by too long a name."""
        found = super().frombuf(buf, encoding, errors)
        if found.type in _EXTENDED and found.size > HEADER_LIMIT:
            raise ValueError(f"a header in it has more than {HEADER_LIMIT} bytes")
        return found


class Blocks(io.RawIOBase):
    """Blocks of bytes as a stream."""

    def __init__(self, blocks: Iterable[bytes]) -> None:
        self._blocks, self._rest = iter(blocks), memoryview(b"")

    def readable(self) -> bool:
        """Return that it is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill ``buffer`` with what comes next, or a part of it."""
        while not self._rest:
            block = next(self._blocks, None)
            if block is None:
                return 0
            self._rest = memoryview(block)
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count
