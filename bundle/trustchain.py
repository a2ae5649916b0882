"""The versions of a trust file that follow from each other, with their signatures, as one document.

It travels on every medium and vouches for itself: a version counts when the one before it, which is
in use, and its own root role have signed it (:func:`bundle.trust.accept_next`). So it may be read
before anything else on the medium is trusted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bundle import trust
from bundle.decode import Fields, dump_json, parse_json, spell
from bundle.errors import DrayError, NotTrusted
from bundle.signature import MAX_BYTES as SIGNATURE_LIMIT
from bundle.signature import SIGNER

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from bundle.decode import Path
    from bundle.trust import Trust

MEDIA_TYPE = "application/vnd.dray.trust-chain.v1+json"
ENDING = "trust-chain.json"
"""What follows ``<stream>-<sequence>.`` in its name on a medium."""
MAX_BYTES = 32 << 20
"""The largest chain that is read, in bytes."""
MAX_VERSIONS = 1000
FILE = re.compile(r"trust-([0-9]{6,12})\.json")
"""One version as a file, outside of a bundle; its signatures lie beside it."""


@dataclass(frozen=True, slots=True)
class Version:
    """One version: its exact bytes, and Sigstore bundles by the signers' names.

    ``number`` is what it is called: what it says of itself is read only once it was accepted.
    """

    number: int
    data: bytes
    signatures: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class Accepted:
    """A version that follows from the one in use.

    ``signers`` are the root keys, of it and of the one before, whose signatures were verified: a
    chain may hold others, by whatever names.
    """

    trust: Trust
    version: Version
    signers: tuple[str, ...]


def file_name(number: int) -> str:
    """Return the name of one version's file."""
    return f"trust-{number:06d}.json"


def walk(current: Trust, versions: Iterable[Version]) -> list[Accepted]:
    """Return the versions that follow ``current``, one by one, as far as they go.

    What is not newer is passed over. Raises :class:`NotTrusted` for the first newer one that is
    missing, or not signed as it must be: nothing of the chain is then to be used.
    """
    newer = {one.number: one for one in versions if one.number > current.version}
    found: list[Accepted] = []
    while newer:
        wanted = current.version + 1
        version = newer.pop(wanted, None)
        if version is None:
            raise NotTrusted(
                f"trust file version {wanted} is missing, between {current.version}, which is in "
                f"use, and {min(newer)}",
                hint="versions go one by one: bring the ones between too",
            )
        named = {f"{name}.sigstore.json": data for name, data in version.signatures.items()}
        before = current
        try:
            current = trust.accept_next(before, version.data, named)
        except NotTrusted as error:
            message = f"trust file version {wanted} is not accepted: {error.message}"
            hint = error.hint.replace("dray sign DIR", "dray trust sign")
            raise NotTrusted(message, hint=hint or "bring it again from the low side") from None
        roots = (one.root_signers(version.data, named) for one in (before, current))
        found.append(Accepted(current, version, tuple(sorted(frozenset().union(*roots)))))
    return found


def to_bytes(versions: Sequence[Version]) -> bytes:
    """Return the document; texts in it are the exact bytes of what they stand for."""
    rows = [
        {
            "version": one.number,
            "document": one.data.decode("utf-8"),
            "signatures": {
                name: data.decode("utf-8") for name, data in sorted(one.signatures.items())
            },
        }
        for one in versions
    ]
    return dump_json({"mediaType": MEDIA_TYPE, "versions": rows})


def read(data: bytes, *, what: str = "trust chain") -> list[Version]:
    """Read a chain strictly; raise :class:`NotTrusted`. Nothing in it is verified by this."""

    def fault(path: Path, message: str, _hint: str) -> DrayError:
        where = f": {spell(path)}" if path else ""
        return NotTrusted(f"{what}{where} {message}", hint="copy it again from the low side")

    try:
        document = parse_json(data, limit=MAX_BYTES)
    except ValueError as error:
        raise fault((), f"is not strict JSON: {error}", "") from None
    fields = Fields(document, (), fault)
    fields.text("mediaType", choices=[MEDIA_TYPE])
    found: list[Version] = []
    for item in fields.objects("versions", required=True):
        number = item.integer("version", low=1)
        text = item.text("document", limit=trust.MAX_BYTES)
        signatures = _signatures(item)
        item.done()
        if found and number != found[-1].number + 1:
            raise item.wrong("version", f"is {number}, after {found[-1].number}")
        found.append(Version(number, text.encode(), signatures))
    fields.done()
    if len(found) > MAX_VERSIONS:
        raise fault(("versions",), f"are {len(found)}, more than {MAX_VERSIONS}", "")
    return found


def _signatures(item: Fields) -> dict[str, bytes]:
    inner = item.child("signatures")
    found = {}
    for name in inner.names():
        Fields({"signer": name}, inner.path, item.fault).text("signer", pattern=SIGNER)
        found[name] = inner.text(name, limit=SIGNATURE_LIMIT).encode()
    if len(found) > trust.MAX_SIGNATURES:
        raise item.wrong("signatures", f"are {len(found)}, more than {trust.MAX_SIGNATURES}")
    return found
