"""The tar headers that dray writes and expects: POSIX ustar, every field fixed but name and size.

Source: POSIX.1-1988 ustar; sizes of 8 GiB and more in GNU base-256, which GNU tar, bsdtar and
Python read. Nothing here parses a tar: a reader computes the 512 bytes that must be there, and
compares.
"""

from __future__ import annotations

RECORD = 512
TRAILER = bytes(2 * RECORD)
"""The two zero records that end an archive."""
_OCTAL_LIMIT = 8**11


def header(name: str, size: int) -> bytes:
    """Return the 512 bytes before a member of ``size`` bytes called ``name``.

    Mode 0644, owner and group 0 without names, time 0: the same bytes on every machine.
    """
    raw = name.encode("ascii")
    if not 0 < len(raw) < 100:
        msg = f"a member's name is 1 to 99 ASCII characters: {name!r}"
        raise ValueError(msg)
    fields = b"".join(
        (
            raw.ljust(100, b"\0"),
            b"0000644\0" + b"0000000\0" * 2,
            _size(size),
            b"00000000000\0",
            b" " * 8,
            b"0".ljust(101, b"\0"),
            b"ustar\x0000",
            bytes(64),
            b"0000000\0" * 2,
            bytes(167),
        )
    )
    checksum = b"%06o\0 " % sum(fields)
    return fields[:148] + checksum + fields[156:]


def _size(size: int) -> bytes:
    if size < _OCTAL_LIMIT:
        return b"%011o\0" % size
    return (size | 1 << 95).to_bytes(12, "big")


def padding(size: int) -> int:
    """Return how many zero bytes follow ``size`` bytes of data."""
    return -size % RECORD


def span(size: int) -> int:
    """Return the bytes that a member of ``size`` bytes takes: header, data, padding."""
    return RECORD + size + padding(size)


def member(name: str, data: bytes) -> bytes:
    """Return a whole member."""
    return header(name, len(data)) + data + bytes(padding(len(data)))
