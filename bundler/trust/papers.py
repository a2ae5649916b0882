"""What an export takes along of the trust file: its signed versions, on every medium."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bundle import instant, trust, trustchain
from bundle.errors import NotTrusted
from bundle.options import warn
from bundle.trust import Verified
from bundler.trust.draft import chain

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bundler.signing import Signer


def place_of(spec: Path, named: Path | None) -> Path | None:
    """Return the trust file that was named, or the one beside the spec, if there is one."""
    beside = spec.resolve().with_name("trust.json")
    return named or (beside if beside.is_file() else None)


def of(spec: Path, named: Path | None, stream: str, signers: Sequence[Signer]) -> dict[str, bytes]:
    """Return the small files, by the ends of their names; warn of keys that count for nothing.

    The trust file is the one ``named``, or ``trust.json`` beside the spec, if there is one. Raises
    :class:`bundle.errors.UsageError` when it cannot be read, or its versions are no chain.
    """
    place = place_of(spec, named)
    if place is None:
        return {}
    known = trust.load(place)
    role = known.streams.get(stream)
    may = [known.keys[name] for name in role.keys] if role else []
    for signer in signers:
        if signer.public_key not in may:
            warn(f"by {place}, the key of {signer.name} does not count for the stream {stream}")
    versions = chain(place)
    return {trustchain.ENDING: trustchain.to_bytes(versions)} if versions else {}


def missing(spec: Path, named: Path | None, stream: str, signers: Sequence[Signer]) -> str:
    """Return what the other side will miss by that trust file; empty when it will take the bundle.

    It is empty without a trust file, too. Raises :class:`bundle.errors.UsageError` when it cannot
    be read.
    """
    place = place_of(spec, named)
    if place is None:
        return ""
    known = trust.load(place)
    mine = [signer.public_key for signer in signers]
    found = Verified(frozenset(name for name, key in known.keys.items() if key in mine))
    try:
        known.require(found, stream, instant.now())
    except NotTrusted as error:
        return f"by {place.name} it will be refused: {error.message}; {error.hint}"
    return ""
