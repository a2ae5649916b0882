"""The header of an encrypted chunk: its file key, wrapped to each recipient.

Format: ``schemas/README.md``, "Encrypted chunks". The manifest pins the header's digest, and each
segment is bound to it, so a header is compared before it is parsed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from bundle import hpke, segments
from bundle.digest import Digest
from bundle.segments import HEADER, MAX_RECIPIENTS

if TYPE_CHECKING:
    from collections.abc import Sequence

MAGIC = b"DRAYENC1"
KEY = 32
"""Bytes of a file key."""
_START = 32
_ROW = 32 + hpke.POINT + KEY + hpke.TAG


class Recipient(Protocol):
    """Who can open: the digest of the public key's SubjectPublicKeyInfo, its point, and ECDH."""

    @property
    def fingerprint(self) -> Digest:
        """The digest of the public key."""

    @property
    def point(self) -> bytes:
        """The public key as an uncompressed point."""

    def agree(self, point: bytes) -> bytes:
        """Return the shared x-coordinate; raise ``ValueError`` for what is no point."""


@dataclass(frozen=True, slots=True)
class Wrapped:
    """A file key for one recipient: HPKE's encapsulated point, and ciphertext with tag."""

    recipient: Digest
    sender: bytes
    sealed: bytes


def info(name: str) -> bytes:
    """Return what binds a wrapped key to its chunk: HPKE's ``info`` for the file of this name."""
    return b"dray chunk key v1\0" + name.encode("ascii")


def encode(rows: Sequence[Wrapped]) -> bytes:
    """Return the header with these rows, which are sorted by recipient."""
    sizes = {(len(row.sender), len(row.sealed)) for row in rows}
    if sizes != {(hpke.POINT, KEY + hpke.TAG)} or len(rows) > MAX_RECIPIENTS:
        msg = f"{len(rows)} recipients, or rows that are none"
        raise ValueError(msg)
    head = MAGIC + segments.SEGMENT.to_bytes(4, "big") + len(rows).to_bytes(4, "big")
    body = b"".join(
        bytes.fromhex(row.recipient.hex) + row.sender + row.sealed
        for row in sorted(rows, key=lambda row: row.recipient)
    )
    return (head.ljust(_START, b"\0") + body).ljust(HEADER, b"\0")


def decode(header: bytes) -> dict[Digest, Wrapped]:
    """Return the rows of a header by recipient; raise ``ValueError`` for any other bytes."""
    number = int.from_bytes(header[12:16], "big")
    if len(header) != HEADER or not 0 < number <= MAX_RECIPIENTS:
        msg = "no header of an encrypted chunk"
        raise ValueError(msg)
    rows = [_row(header[at : at + _ROW]) for at in range(_START, _START + number * _ROW, _ROW)]
    found = {row.recipient: row for row in rows}
    if len(found) != number or encode(rows) != header:  # one spelling only
        msg = "no header that dray writes"
        raise ValueError(msg)
    return found


def _row(data: bytes) -> Wrapped:
    return Wrapped(Digest("sha256:" + data[:32].hex()), data[32 : 32 + hpke.POINT], data[97:])


def file_key(header: bytes, name: str, recipient: Recipient) -> bytes:
    """Return the file key of the chunk called ``name``; raise ``ValueError`` when it is not there.

    ``LookupError`` says that the header has nothing for this recipient.
    """
    row = decode(header)[recipient.fingerprint]
    return hpke.unseal(
        row.sealed,
        recipient.agree,
        sender=row.sender,
        recipient=recipient.point,
        info=info(name),
        aad=b"",
    )
