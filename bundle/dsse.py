"""DSSE envelopes: a document of a known type with signatures over both, or with none.

Source: secure-systems-lab/dsse, ``protocol.md`` and ``envelope.md``, version 1.0. A signature is
verified over the exact bytes of the payload, which is decoded once and never read from the envelope
again; the ``keyid`` is a hint, and decides nothing.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bundle.decode import Fields, dump_json, parse_json, spell
from bundle.signature import verify

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from bundle.decode import Path
    from bundle.errors import DrayError
    from bundle.signature import PublicKey

MAX_SIGNATURES = 16


def signed_bytes(kind: str, payload: bytes) -> bytes:
    """Return what is signed: DSSE's pre-authentication encoding of type and payload."""
    name = kind.encode()
    return b"DSSEv1 %d %s %d %s" % (len(name), name, len(payload), payload)


@dataclass(frozen=True, slots=True)
class Envelope:
    """A payload, its type, and pairs of a hint at a key and a signature; nothing is proved yet."""

    kind: str
    payload: bytes
    signatures: tuple[tuple[str, bytes], ...] = ()

    def to_bytes(self) -> bytes:
        """Return the envelope as a file."""
        rows = [{"keyid": hint, "sig": _encoded(made)} for hint, made in self.signatures]
        body = {"payloadType": self.kind, "payload": _encoded(self.payload)}
        return dump_json({**body, "signatures": rows})

    def signer(self, keys: Iterable[PublicKey]) -> PublicKey | None:
        """Return the first of ``keys`` that made one of the signatures, or None."""
        data = signed_bytes(self.kind, self.payload)
        for key in keys:
            if any(verify(key, made, data) for _hint, made in self.signatures):
                return key
        return None


def sign(kind: str, payload: bytes, hint: str, sign: Callable[[bytes], bytes]) -> Envelope:
    """Return the envelope with one signature."""
    return Envelope(kind, payload, ((hint, sign(signed_bytes(kind, payload))),))


def read(
    data: bytes, kind: str, *, limit: int, fault: Callable[[Path, str, str], DrayError]
) -> Envelope:
    """Read an envelope of one type, strictly; ``fault`` makes the exception that is raised."""
    try:
        fields = Fields(parse_json(data, limit=limit), (), fault)
    except ValueError as error:
        raise fault((), f"is not strict JSON: {error}", "") from None
    fields.text("payloadType", choices=[kind])
    payload = _decoded(fields, "payload", limit)
    found = []
    for row in fields.objects("signatures", required=True):
        hint = row.text("keyid", "", pattern=r"[\x21-\x7e]*", limit=512)
        found.append((hint, _decoded(row, "sig", 4096)))
        row.done()
    fields.done()
    if len(found) > MAX_SIGNATURES:
        raise fault(("signatures",), f"are more than {MAX_SIGNATURES}", "")
    return Envelope(kind, payload, tuple(found))


def describe(path: Path, message: str) -> str:
    """Return a fault's text with its place."""
    return f"{spell(path)} {message}" if path else message


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _decoded(fields: Fields, key: str, limit: int) -> bytes:
    text = fields.text(key, limit=limit)
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        data = b""
    if not data or _encoded(data) != text:  # one spelling only
        raise fields.wrong(key, "is not base64")
    return data
