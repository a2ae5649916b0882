"""Adds a signature to a finished bundle and touches nothing else: the second person of two."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bundle import instant
from bundle.media import Media
from bundle.options import find_trust
from bundle.unseal import unseal
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
    unseal(media, trusted.with_threshold_one(), instant.now())
    written = []
    for path, data in media.manifests():
        for name, content in signer.files(path.name, data).items():
            put(path.with_name(name), content)
            written.append(path.with_name(name))
    return written
