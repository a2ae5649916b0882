"""Adds a signature to a finished bundle and touches nothing else: the second person of two."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bundle import instant
from bundle.errors import VerificationError
from bundle.media import Media
from bundle.options import find_trust
from bundler.finish import put

if TYPE_CHECKING:
    from pathlib import Path

    from bundler.signing import Signer


def add(folder: Path, signer: Signer, trust: Path | None, pub: Path | None) -> list[Path]:
    """Sign the manifest in ``folder`` on every medium there; return the files written.

    The manifest's signature is verified first: nobody puts a name to bytes that nobody vouches for.
    """
    media = Media.find([folder])
    trusted = find_trust(trust, pub)
    trusted.check_current(instant.now())
    signatures = media.signatures()
    copies = media.manifests()
    for _path, data in copies:
        trusted.verified_by(data, signatures)
    if len({data for _path, data in copies}) > 1:
        message = f"{folder} holds different manifests of {media.name}"
        raise VerificationError(message, hint="sign one medium at a time, after dray verify")
    # Signed once: the copies on the media are the same file, as everything but the chunks is.
    (first, data), written = copies[0], []
    for name, content in signer.files(first.name, data).items():
        for path, _data in copies:
            put(path.with_name(name), content)
            written.append(path.with_name(name))
    return written
