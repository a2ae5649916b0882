"""Digests, descriptors, and the reader through which every foreign byte passes."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bundle.errors import VerificationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

BLOCK = 1 << 20
"""Bytes per read: large, so that the interpreter lock is crossed rarely."""

_SHA256 = re.compile(r"sha256:[0-9a-f]{64}")


class Digest(str):
    """An OCI digest, ``sha256:`` and 64 lower-case hex digits; nothing else can be one.

    Source: OCI image-spec, descriptor.md, "Digests". Only SHA-256 is accepted: registries that are
    built on distribution 2.x store any other algorithm under its SHA-256 anyway.
    """

    __slots__ = ()

    def __new__(cls, text: str) -> Digest:
        """Return ``text`` as a digest; raise ``ValueError`` when it is not one."""
        if not _SHA256.fullmatch(text):
            msg = f"not a sha256 digest: {text[:100]!r}"
            raise ValueError(msg)
        return super().__new__(cls, text)

    @property
    def hex(self) -> str:
        """The 64 hex digits."""
        return self[7:]

    @property
    def short(self) -> str:
        """The digest as people read it in a list: ``sha256:`` and twelve digits."""
        return self[:19]

    @classmethod
    def of(cls, data: bytes) -> Digest:
        """Return the digest of ``data``."""
        return cls("sha256:" + hashlib.sha256(data).hexdigest())


def is_digest(text: str) -> bool:
    """Whether ``text`` is a digest that :class:`Digest` accepts."""
    return _SHA256.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What a blob is, before a byte of it is read (OCI image-spec, descriptor.md).

    ``size`` is in bytes.
    """

    media_type: str
    digest: Digest
    size: int


def verified(
    blocks: Iterable[bytes],
    *,
    digest: Digest,
    size: int,
    what: str,
    start: int = 0,
    sha: hashlib._Hash | None = None,
) -> Iterator[bytes]:
    """Yield ``blocks`` unchanged, and hold the last one back until the digest has matched.

    Whoever sends on what this yields has sent fewer than ``size`` bytes when a byte was wrong, so
    an upload with a declared length can never be completed with bytes that nobody vouched for. When
    the blocks begin at ``start``, ``sha`` is the SHA-256 state over the bytes before.

    Raises :class:`VerificationError` when the bytes are too few, too many, or others. ``what``
    names the thing in the message.
    """
    sha = sha or hashlib.sha256()
    seen, held = start, b""
    for block in blocks:
        if not block:
            continue
        seen += len(block)
        if seen > size:
            raise VerificationError(f"{what} is longer than the {size} bytes that are pinned")
        sha.update(block)
        if held:
            yield held
        held = block
    if seen < size:
        raise VerificationError(f"{what} ends after {seen} of {size} bytes")
    if sha.hexdigest() != digest.hex:
        got = f"sha256:{sha.hexdigest()}"
        raise VerificationError(f"{what} has other bytes than {digest} (got {got})")
    if held:
        yield held
