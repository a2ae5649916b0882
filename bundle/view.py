"""The plain bytes of a chunk file, whether it is encrypted or not."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from bundle.digest import Digest
from bundle.errors import UsageError, VerificationError
from bundle.media import RECOPY, read_at
from bundle.segments import HEADER, Cuts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bundle.box import Box
    from bundle.chunks import Chunk
    from bundle.envelope import Recipient
    from bundle.manifest import Manifest
    from bundle.media import Media
    from bundle.segments import Segment


class SegmentFault(VerificationError):
    """A segment of an encrypted chunk is damaged; the others may be good."""


class View(Protocol):
    """A chunk that is open: reads from any offset of its plain bytes."""

    def read(self, count: int, offset: int) -> bytes:
        """Return ``count`` bytes at ``offset``, fewer where the chunk ends."""


@dataclass(frozen=True, slots=True)
class PlainView:
    """A chunk that is stored as it is."""

    handle: int
    path: Path

    def read(self, count: int, offset: int) -> bytes:
        """Return what the file has there."""
        return read_at(self.handle, self.path, count, offset)


class SealedView:
    """An encrypted chunk: of each segment nothing is returned before all of it is authentic."""

    def __init__(self, handle: int, path: Path, cuts: Cuts, box: Box) -> None:
        self._handle, self._path, self._cuts, self._box = handle, path, cuts, box
        self._segment: Segment | None = None
        self._plain = b""

    def read(self, count: int, offset: int) -> bytes:
        """Return plain bytes; raise :class:`SegmentFault` for a segment that is damaged."""
        found: list[bytes] = []
        end = min(offset + count, self._cuts.size)
        while offset < end:
            segment = self._open(offset)
            inside = offset - segment.offset
            found.append(self._plain[inside : inside + end - offset])
            offset += len(found[-1])
        return found[0] if len(found) == 1 else b"".join(found)

    def _open(self, offset: int) -> Segment:
        from bundle.box import Damaged  # noqa: PLC0415  (only encrypted bundles need it)

        segment = self._cuts.at(offset)
        if segment != self._segment:
            self._segment = None
            stored = read_at(self._handle, self._path, segment.stored, segment.position)
            try:
                self._plain = self._box.open(segment, stored)
            except Damaged:
                last = segment.position + segment.stored - 1
                what = "not the segment that was encrypted here"
                message = f"{self._path}: bytes {segment.position}-{last}: {what}"
                raise SegmentFault(message, hint=RECOPY) from None
            self._segment = segment
        return segment


@dataclass(frozen=True)
class Views:
    """Opens the chunks of a verified manifest; ``recipient`` is whose private key is at hand."""

    manifest: Manifest
    media: Media
    recipient: Recipient | None = None
    _keys: dict[int, bytes] = field(default_factory=dict, repr=False)
    _cuts: dict[int, Cuts] = field(default_factory=dict, repr=False)

    @property
    def blind(self) -> bool:
        """Whether the chunks are encrypted and nobody's key is at hand."""
        return bool(self.manifest.recipients) and self.recipient is None

    @cached_property
    def _prefix(self) -> int:
        from bundle.chunks import prefix  # noqa: PLC0415  (computed once)

        return len(prefix(self.manifest.index))

    @contextmanager
    def open(self, chunk: Chunk, path: Path) -> Iterator[View]:
        """Open a chunk file. Raises :class:`UsageError` when there is no key for an encrypted one,
        and :class:`VerificationError` when its header is not the one that was signed.
        """
        with self.media.open(path) as handle:
            if chunk.inner is None:
                yield PlainView(handle, path)
                return
            header = read_header(handle, path, chunk)
            box = self._box(chunk, header, path)
            yield SealedView(handle, path, self._cuts_of(chunk.number), box)

    def _cuts_of(self, number: int) -> Cuts:
        if number not in self._cuts:
            members = [(part.offset, part.size) for _, _, part in self.manifest.parts_of(number)]
            self._cuts[number] = Cuts(self._prefix, members)
        return self._cuts[number]

    def _box(self, chunk: Chunk, header: bytes, path: Path) -> Box:
        from bundle import box, envelope  # noqa: PLC0415  (only encrypted bundles need it)

        recipient = self.require()
        if chunk.number not in self._keys:
            try:
                key = envelope.file_key(header, chunk.name, recipient)
            except (ValueError, LookupError):
                message = f"{path}: bytes 0-{HEADER - 1}: no key for {recipient.fingerprint.short}"
                hint = "the low side made it so: ask there for another export"
                raise VerificationError(message, hint=hint) from None
            self._keys[chunk.number] = key
        return box.Box(self._keys[chunk.number], bytes.fromhex(Digest.of(header).hex))

    def require(self) -> Recipient:
        """Return whose key opens the chunks; raise :class:`UsageError` when it is nobody's."""
        name = self.manifest.name
        if self.recipient is None:
            hint = "name the private key with --decrypt-key FILE, or what has it with --decryptor"
            raise UsageError(f"the chunks of {name} are encrypted", hint=hint)
        if self.recipient.fingerprint not in self.manifest.recipients:
            known = ", ".join(digest.short for digest in self.manifest.recipients)
            message = f"{name} is not encrypted to the key {self.recipient.fingerprint.short}"
            raise UsageError(message, hint=f"it is encrypted to: {known}")
        return self.recipient


def read_header(handle: int, path: Path, chunk: Chunk) -> bytes:
    """Return the header of an encrypted chunk, which is the one that was signed."""
    assert chunk.inner is not None  # noqa: S101  (the caller asked)
    header = read_at(handle, path, HEADER, 0)
    if Digest.of(header) != chunk.inner.header:
        message = f"{path}: bytes 0-{HEADER - 1}: not the header that was signed"
        raise VerificationError(message, hint=RECOPY)
    return header
