"""The one way to a manifest from a medium: signature first, over exact bytes; parsed only then."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bundle.digest import Digest
from bundle.errors import NotTrusted, VerificationError
from bundle.manifest import Manifest
from bundle.media import RECOPY

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from bundle.media import Media
    from bundle.quorum import Signers
    from bundle.trust import Trust


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


def unseal(media: Media, trust: Trust, now: datetime) -> Sealed:
    """Return the manifest on ``media``.

    (1) read every copy, capped; (2) verify signatures over its exact bytes; (3) parse; (4) count
    the stream's keys. Raises :class:`NotTrusted`, :class:`VerificationError` or
    :class:`bundle.errors.MediaIncomplete`.
    """
    copies = media.manifests()
    signatures = media.signatures()
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
    for path, other in copies:
        if other != data:
            raise VerificationError(
                f"{path} is damaged: other media hold a signed one", hint=RECOPY
            )
    verified = trust.verified_by(data, signatures)
    manifest = Manifest.from_bytes(data)
    if manifest.name != media.name:
        message = f"the files are named {media.name}, but what was signed is {manifest.name}"
        raise VerificationError(message, hint="a bundle cannot be renamed: copy it again")
    try:
        signers = trust.require(verified, manifest.stream, now)
    except NotTrusted as error:
        raise _about(error, media.name) from None
    return Sealed(manifest, Digest.of(data), signers, dict(verified.ignored), trust)


def _about(error: NotTrusted, name: str) -> NotTrusted:
    return NotTrusted(f"{name}: {error.message}", hint=error.hint)
