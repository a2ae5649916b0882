"""In-toto statements: what a signed DSSE payload says about which digests.

Source: in-toto/attestation, ``spec/v1/statement.md`` and ``spec/v1/resource_descriptor.md``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bundle.upstream.envelope import IN_TOTO, MAX_BYTES, fields_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bundle.decode import Fields
    from bundle.upstream.envelope import Envelope

TYPES = ("https://in-toto.io/Statement/v1", "https://in-toto.io/Statement/v0.1")


@dataclass(frozen=True, slots=True)
class Subject:
    """What a statement is about; ``digests`` are by algorithm, in hex."""

    name: str
    digests: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement; ``predicate`` is read by whoever knows ``predicate_type``."""

    predicate_type: str
    subjects: tuple[Subject, ...]
    predicate: Fields


def read(envelope: Envelope, what: str) -> Statement:
    """Read the payload of an envelope whose signature was verified.

    Raises :class:`bundle.errors.NotTrusted` for a payload of another type than in-toto's.
    """
    fields = fields_of(envelope.payload, what, MAX_BYTES, structs=True)
    if envelope.payload_type != IN_TOTO:
        raise fields.fault((), f"is signed as {envelope.payload_type!r}, not as a statement", "")
    fields.text("_type", choices=TYPES)
    subjects = tuple(
        Subject(item.text("name", ""), item.mapping("digest"))
        for item in fields.objects("subject", required=True)
    )
    return Statement(fields.text("predicateType"), subjects, fields.child("predicate"))
