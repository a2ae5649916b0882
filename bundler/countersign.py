"""Adds a signature to a finished bundle and touches nothing else: the second person of two."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bundle import instant
from bundle.errors import NotTrusted, UsageError, VerificationError
from bundle.media import Media
from bundle.options import find_trust
from bundle.signature import parse_sigstore
from bundler.finish import put

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bundler.signing import Signer


def add(folder: Path, signer: Signer, trust: Path | None, pub: Path | None) -> list[Path]:
    """Sign the manifest in ``folder`` on every medium there; return the files written.

    The manifest's signature is verified first: nobody puts a name to bytes that nobody vouches for.
    """
    media = Media.find([folder])
    trusted = find_trust(trust, pub, media.folders)
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
    files = signer.files(first.name, data)
    for name, content in signatures.items():
        _refuse_another(Path(name).name, content, files, signer)
    for name, content in files.items():
        for path, _data in copies:
            put(path.with_name(name), content)
            written.append(path.with_name(name))
    return written


def _refuse_another(name: str, content: bytes, files: Mapping[str, bytes], signer: Signer) -> None:
    """Never replace somebody else's signature: a signer's name is only that of a key file."""
    if name not in files:
        return
    try:
        theirs = parse_sigstore(content)
    except NotTrusted:
        return  # a broken one: nobody's
    if theirs.hint != parse_sigstore(files[name]).hint:
        raise UsageError(
            f"another key's signature has the name {signer.name} already",
            hint="rename your key file: its name is the signer's name",
        )
