"""Tars of foreign make as streams: never sought backwards, never more in memory than a header."""

from __future__ import annotations

import io
import re
import tarfile
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

HEADER_LIMIT: Final = 1 << 20
"""Bytes of an extended header, which tarfile reads whole into memory, and of all global ones."""
_MOST_HEADERS: Final = 8
"""Headers of one member: tarfile keeps each while it reads the next."""
_MOST_GLOBAL: Final = 100
_SPARSE = "a sparse file in it, whose map may be as long as it likes"
_RECORD = re.compile(rb"([1-9][0-9]{0,6}) [^=]+=", re.DOTALL)
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
    """A header that is refused when it asks for a lot of memory or time.

    ``ValueError`` is raised for long headers, many in a row, many global ones, records of pax that
    are not as POSIX has them (tarfile searches through them in quadratic time), and sparse files,
    whose maps tarfile keeps: images and charts have none (OCI image-spec, layer.md).
    """

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Member:
        """Read a header; raise ``ValueError`` for one that is followed by too long a name."""
        found = super().frombuf(buf, encoding, errors)
        if found.type in _EXTENDED and found.size > HEADER_LIMIT:
            raise ValueError(f"a header in it has more than {HEADER_LIMIT} bytes")
        if found.type == tarfile.GNUTYPE_SPARSE:
            raise ValueError(_SPARSE)
        return found

    @classmethod
    def fromtarfile(cls, tarfile: tarfile.TarFile) -> Member:
        """Read a member, with all the headers that it has."""
        state = vars(tarfile)
        depth = state.get("_headers", 0)
        if depth >= _MOST_HEADERS:
            raise ValueError(f"a file in it has more than {_MOST_HEADERS} headers")
        state["_headers"] = depth + 1
        try:
            found = super().fromtarfile(tarfile)
        finally:
            state["_headers"] = depth
        shared = tarfile.pax_headers
        if len(shared) > _MOST_GLOBAL or sum(map(len, shared.values())) > HEADER_LIMIT:
            raise ValueError("its global headers have no end")
        return found

    def _proc_pax(self, tarfile: tarfile.TarFile) -> Any:
        stream: Any = tarfile.fileobj
        data = stream.read(-(-self.size // 512) * 512)
        _check_records(data[: self.size])
        vars(tarfile)["fileobj"] = _Again(data, stream)
        try:
            return super()._proc_pax(tarfile)  # type: ignore[misc]
        finally:
            vars(tarfile)["fileobj"] = stream


def _check_records(data: bytes) -> None:
    """Refuse records that are not as long as they say, and the maps of sparse files."""
    at = 0
    while at < len(data) and data[at]:
        length = int(found[1]) if (found := _RECORD.match(data, at, at + 200)) else 0
        if not found or data[at + length - 1 : at + length] != b"\n" or at + length < found.end():
            raise ValueError("a header in it is damaged")
        if found[0].partition(b" ")[2].startswith(b"GNU.sparse."):
            raise ValueError(_SPARSE)
        at += length


class _Again:
    """A stream whose last bytes are read again."""

    def __init__(self, data: bytes, stream: Any) -> None:
        self._data, self._stream = data, stream

    def read(self, size: int) -> bytes:
        """Read from what is there again, then from the stream."""
        if not self._data:
            return bytes(self._stream.read(size))
        taken, self._data = self._data[:size], self._data[size:]
        return taken

    def tell(self) -> int:
        """Return where the next byte lies."""
        return int(self._stream.tell()) - len(self._data)


class Passing(tarfile.TarFile):
    """An archive that forgets each member when the next one is read: a layer has a million."""

    tarinfo = Member

    def next(self) -> Any:
        """Return the next member."""
        found = super().next()
        vars(self)["members"].clear()
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
