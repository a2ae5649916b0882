"""Reads blobs out of the chunks on the media: every byte compared or hashed before it is used."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from bundle import remedy, ustar
from bundle.digest import BLOCK, verified
from bundle.encoding import decode
from bundle.errors import DrayError, MediaIncomplete, VerificationError
from bundle.media import RECOPY
from bundle.required import LEFT_OUT, REQUIRED, WHOLE, named
from bundle.view import Views

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bundle.chunks import Part, StoredBlob
    from bundle.digest import Digest
    from bundle.envelope import Recipient
    from bundle.manifest import Manifest
    from bundle.media import Media

MANIFEST_LIMIT = 4 << 20
"""Bytes of an image manifest or index (OCI distribution-spec, "Pushing manifests")."""


@dataclass(frozen=True)
class Reader:
    """The blobs of a verified manifest, on media that are not trusted.

    ``recipient`` is whose private key opens an encrypted bundle's chunks, if any is at hand.
    """

    manifest: Manifest
    media: Media
    recipient: Recipient | None = None

    @cached_property
    def views(self) -> Views:
        """What opens the chunks."""
        return Views(self.manifest, self.media, self.recipient)

    def blob(self, digest: Digest) -> MediumBlob:
        """Return one blob, to be read."""
        stored = self.manifest.blob[digest]
        if stored.encoding == REQUIRED:
            user = self.manifest.users[digest][0]
            raise MediaIncomplete(
                f"{digest.short} of {user} is left out of {self.manifest.name}, which builds on "
                + named(self.manifest.bases),
                hint=WHOLE,
                case=LEFT_OUT,
            )
        return MediumBlob(self, stored)

    def chunk_path(self, number: int) -> Path:
        """Return where a chunk lies; the first of several copies."""
        name = self.manifest.chunks[number - 1].name
        places = self.media.places(name)
        if not places:
            raise MediaIncomplete(
                f"{name} is on none of the media given", hint=self.missing_hint(number)
            )
        return places[0]

    def missing_hint(self, number: int) -> str:
        """Say on which medium a chunk belongs."""
        for medium in self.manifest.media:
            if number in medium.chunks:
                return self.medium_hint(medium.number)
        return ""

    def medium_hint(self, number: int) -> str:
        """Say that something belongs on a medium."""
        return f"it belongs on medium {number} of {len(self.manifest.media)}"

    def part_blocks(self, blob: StoredBlob, number: int, offset: int = 0) -> Iterator[bytes]:
        """Yield the bytes of one part from ``offset`` on; header and padding are compared too."""
        part = blob.parts[number]
        path = self.chunk_path(part.chunk)
        with self.views.open(self.manifest.chunks[part.chunk - 1], path) as view:
            expected = ustar.header(blob.member(number), part.size)
            if view.read(ustar.RECORD, part.offset - ustar.RECORD) != expected:
                raise part_fault(path, part, "its tar header is not the one that was signed")
            while offset < part.size:
                block = view.read(min(BLOCK, part.size - offset), part.offset + offset)
                if not block:
                    raise part_fault(path, part, "the file ends there")
                offset += len(block)
                yield block
            zeros = bytes(ustar.padding(part.size))
            if zeros and view.read(len(zeros), part.offset + part.size) != zeros:
                raise part_fault(path, part, "what follows is not the padding that was signed")

    def check_part(self, blob: StoredBlob, number: int) -> None:
        """Hash one part; raise :class:`VerificationError` naming file and byte range."""
        part, sha = blob.parts[number], hashlib.sha256()
        for block in self.part_blocks(blob, number):
            sha.update(block)
        if sha.hexdigest() != part.digest.hex:
            raise part_fault(self.chunk_path(part.chunk), part, "other bytes than were signed")


def part_fault(path: Path, part: Part, reason: str) -> VerificationError:
    """Return the fault that names a part's file and byte range."""
    last = part.offset + part.size - 1
    return VerificationError(
        f"{path}: bytes {part.offset}-{max(last, part.offset)}: {reason}", hint=RECOPY
    )


@dataclass(frozen=True)
class MediumBlob:
    """One blob on the media; satisfies :class:`importer.targets.base.Blob`."""

    reader: Reader
    stored: StoredBlob

    @property
    def digest(self) -> Digest:
        """The blob's digest."""
        return self.stored.digest

    @property
    def size(self) -> int:
        """The blob's size in bytes, decoded."""
        return self.stored.size

    def blocks(self, *, offset: int = 0, sha: hashlib._Hash | None = None) -> Iterator[bytes]:
        """Yield the blob from ``offset`` on; the last block only after the digest matched."""
        what = f"{self.digest.short} of {self.reader.manifest.users[self.digest][0]}"
        try:
            yield from verified(
                self._plain(offset, what),
                digest=self.digest,
                size=self.size,
                what=what,
                start=offset,
                sha=sha,
            )
        except VerificationError as error:
            raise self._located(error) from None

    def read(self) -> bytes:
        """Return all bytes, verified."""
        if self.size > MANIFEST_LIMIT:
            raise VerificationError(f"{self.digest.short} is too large for a manifest")
        return b"".join(self.blocks())

    def stored_blocks(self, offset: int) -> Iterator[bytes]:
        """Yield the bytes of the parts from ``offset`` on; only the tar around them is compared."""
        return self._stored(offset)

    def plain_blocks(self, offset: int = 0) -> Iterator[bytes]:
        """Yield the bytes from ``offset`` on, decoded, not verified: the taker compares."""
        return self._plain(offset, self.digest.short)

    def _plain(self, offset: int, what: str) -> Iterator[bytes]:
        if self.stored.encoding == "identity":
            yield from self._stored(offset)
            return
        for block in decode(self._stored(0), self.stored.encoding, size=self.size, what=what):
            if offset >= len(block):
                offset -= len(block)
                continue
            yield block[offset:]
            offset = 0

    def _stored(self, offset: int) -> Iterator[bytes]:
        for number, part in enumerate(self.stored.parts):
            if offset and offset >= part.size:
                offset -= part.size
                continue
            yield from self.reader.part_blocks(self.stored, number, offset)
            offset = 0

    def _located(self, error: VerificationError) -> DrayError:
        # Only on the way out: read the parts again, to say which file and which bytes are bad.
        for number in range(len(self.stored.parts)):
            try:
                self.reader.check_part(self.stored, number)
            except DrayError as found:
                if found.hint == RECOPY:
                    chunk = self.stored.parts[number].chunk
                    found.hint = remedy.of_chunk(self.reader.manifest, chunk)
                return found
        return error
