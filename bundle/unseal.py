"""The one way to a manifest from a medium: signature first, over exact bytes; parsed only then."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bundle.digest import Digest
from bundle.errors import DrayError, NotTrusted, VerificationError
from bundle.manifest import MAX_BYTES, Manifest
from bundle.media import RECOPY, SIGNATURE_LIMIT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from bundle.media import Media
    from bundle.quorum import Signers
    from bundle.trust import Trust, Verified


@dataclass(frozen=True)
class Sealed:
    """A manifest that enough trusted keys signed, who they are, and what was passed over.

    ``ignored`` maps signature files to the reason why they count for nothing; ``trust`` is whom it
    was asked about.
    """

    manifest: Manifest
    digest: Digest
    signers: Signers
    ignored: Mapping[str, str]
    trust: Trust


@dataclass(frozen=True)
class Opened:
    """A manifest that a trusted key signed, before it is counted how many did.

    ``data`` are its exact bytes, ``damaged`` the copies that are others.
    """

    name: str
    manifest: Manifest
    data: bytes
    verified: Verified
    damaged: tuple[Path, ...]

    def require(self, trust: Trust, now: datetime) -> Signers:
        """Return who signed for the stream; raise :class:`NotTrusted` when they are too few."""
        try:
            return trust.require(self.verified, self.manifest.stream, now)
        except NotTrusted as error:
            raise _about(error, self.name) from None


def unseal(media: Media, trust: Trust, now: datetime) -> Sealed:
    """Return the manifest on ``media``.

    (1) read every copy, capped; (2) verify signatures over its exact bytes; (3) parse; (4) count
    the stream's keys. Raises :class:`NotTrusted`, :class:`VerificationError` or
    :class:`bundle.errors.MediaIncomplete`.
    """
    found = opened(media, trust)
    if found.damaged:
        message = f"{found.damaged[0]} is damaged: other media hold a signed one"
        raise VerificationError(message, hint=RECOPY)
    signers = found.require(trust, now)
    ignored = dict(found.verified.ignored)
    return Sealed(found.manifest, Digest.of(found.data), signers, ignored, trust)


def opened(
    media: Media,
    trust: Trust,
    copies: Sequence[tuple[Path, bytes]] | None = None,
    signatures: Mapping[str, bytes] | None = None,
) -> Opened:
    """Do the steps (1) to (3) of :func:`unseal`; copies that are damaged are only told of.

    ``copies`` of the manifest and ``signatures`` are read from the media when they are not given.
    """
    copies = media.manifests() if copies is None else copies
    signatures = media.signatures() if signatures is None else signatures
    good: dict[bytes, None] = {}
    refusal: NotTrusted | None = None
    for _path, data in copies:
        try:
            trust.verified_by(data, signatures)
            good[data] = None
        except NotTrusted as error:
            refusal = error
    if not good:
        assert refusal is not None  # noqa: S101  (there is one copy at least)
        raise _about(refusal, media.name)
    if len(good) > 1:
        names = ", ".join(str(path) for path, _ in copies)
        message = f"two different manifests of {media.name} are signed: {names}"
        raise VerificationError(message, hint="ask the low side which of them is theirs")
    (data,) = good
    damaged = tuple(path for path, other in copies if other != data)
    verified = trust.verified_by(data, signatures)
    manifest = Manifest.from_bytes(data)
    if manifest.name != media.name:
        message = f"the files are named {media.name}, but what was signed is {manifest.name}"
        raise VerificationError(message, hint="a bundle cannot be renamed: copy it again")
    return Opened(media.name, manifest, data, verified, damaged)


def readable(media: Media) -> tuple[list[tuple[Path, bytes]], dict[str, bytes]]:
    """Return the copies of the manifest and the signature files that can be read at all.

    Raises as :meth:`Media.manifests` when no copy can.
    """
    copies: list[tuple[Path, bytes]] = []
    for path in media.places(f"{media.name}.manifest.json"):
        with suppress(DrayError):
            copies.append((path, media.read(path, MAX_BYTES)))
    signatures: dict[str, bytes] = {}
    for name, places in media.listing.items():
        for path in places if media.is_signature(name) and name.endswith(".sigstore.json") else ():
            with suppress(DrayError):
                data = media.read(path, SIGNATURE_LIMIT)
                signatures[name if signatures.get(name, data) == data else str(path)] = data
    return copies or media.manifests(), signatures


def _about(error: NotTrusted, name: str) -> NotTrusted:
    return NotTrusted(f"{name}: {error.message}", hint=error.hint)
