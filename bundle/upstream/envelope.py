"""Sigstore bundles v0.3 as publishers make them, and the DSSE envelopes in them: read strictly.

Source: sigstore/protobuf-specs, ``sigstore_bundle.proto`` in its JSON form; the DSSE specification,
``protocol.md`` and ``envelope.md``. Nothing in a payload is read before a key's signature over it
was verified.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bundle.decode import Fields, parse_json, spell
from bundle.digest import Digest
from bundle.errors import DrayError, NotTrusted

if TYPE_CHECKING:
    from bundle.decode import Path
    from bundle.upstream.keys import Keys, RawKey

MEDIA_TYPES = (
    "application/vnd.dev.sigstore.bundle.v0.3+json",
    "application/vnd.dev.sigstore.bundle+json;version=0.3",
)
IN_TOTO = "application/vnd.in-toto+json"
MAX_BYTES = 32 << 20
"""Bytes of a bundle: that of a model lists each of its files."""
_SIGNATURES = 16
_SIGNATURE_TEXT = 4096


@dataclass(frozen=True, slots=True)
class Envelope:
    """A DSSE envelope. ``payload`` is what was signed, under ``payload_type``."""

    payload_type: str
    payload: bytes
    signatures: tuple[bytes, ...]

    @property
    def encoded(self) -> bytes:
        """The bytes that were signed: type and payload, each with its length (DSSE, "PAE")."""
        kind = self.payload_type.encode()
        return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(self.payload), self.payload)

    def maker(self, keys: Keys) -> RawKey | None:
        """Return the key that made one of the signatures, if one of ``keys`` did."""
        made = (keys.maker(signature, self.encoded) for signature in self.signatures)
        return next((key for key in made if key), None)


@dataclass(frozen=True, slots=True)
class Message:
    """A bare signature, over bytes of this digest that lie elsewhere."""

    digest: Digest
    signature: bytes


def parse(data: bytes, what: str) -> Envelope | Message:
    """Read a bundle made with a key; raise :class:`NotTrusted`, whatever is wrong with it.

    A certificate in it (a keyless signature) is refused: it proves nothing without Fulcio's roots
    and Rekor. Entries of a transparency log are passed over, and so is the hint: neither decides.
    """
    fields = fields_of(data, what, MAX_BYTES)
    if fields.text("mediaType") not in MEDIA_TYPES:
        raise fields.wrong("mediaType", "is not that of a Sigstore bundle v0.3")
    _check_material(fields.child("verificationMaterial"))
    ways = [key for key in ("dsseEnvelope", "messageSignature") if key in fields]
    if len(ways) != 1:
        raise fields.fault((), "must have either a DSSE envelope or a message signature", "")
    inner = fields.child(ways[0])
    made = _envelope(inner) if ways == ["dsseEnvelope"] else _message(inner)
    inner.done()
    fields.done()
    return made


def fields_of(data: bytes, what: str, limit: int, *, structs: bool = False) -> Fields:
    """Return the fields of a strict JSON object; every fault in it is a :class:`NotTrusted`.

    ``structs`` as in :func:`parse_json`.
    """

    def fault(path: Path, message: str, hint: str) -> DrayError:
        where = f": {spell(path)}" if path else ""
        return NotTrusted(f"{what}{where} {message}", hint=hint)

    try:
        document = parse_json(data, limit=limit, structs=structs)
    except ValueError as error:
        raise fault((), f"is not strict JSON: {error}", "") from None
    return Fields(document, (), fault)


def _check_material(material: Fields) -> None:
    for kind in ("certificate", "x509CertificateChain"):
        if kind in material:
            hint = "a key is needed: no certificate can be checked across the gap"
            raise material.wrong(kind, "makes this a keyless signature", hint)
    for passed in ("tlogEntries", "timestampVerificationData"):
        material.raw(passed, None)
    public_key = material.child("publicKey")
    for passed in ("hint", "rawBytes", "keyDetails", "validFor"):
        public_key.raw(passed, None)
    public_key.done()
    material.done()


def _envelope(fields: Fields) -> Envelope:
    payload_type = fields.text("payloadType", pattern=r"[!-~]+", limit=255)
    payload = decoded(fields, "payload", limit=MAX_BYTES)
    signatures = []
    for item in fields.objects("signatures", required=True):
        item.text("keyid", "", limit=1024)
        signatures.append(decoded(item, "sig", limit=_SIGNATURE_TEXT))
        item.done()
    if not 0 < len(signatures) <= _SIGNATURES:
        raise fields.wrong("signatures", f"has {len(signatures)} entries, not 1 to {_SIGNATURES}")
    return Envelope(payload_type, payload, tuple(signatures))


def _message(fields: Fields) -> Message:
    inner = fields.child("messageDigest")
    inner.text("algorithm", choices=["SHA2_256"])
    digest = decoded(inner, "digest", limit=64)
    if len(digest) != 32:
        raise inner.wrong("digest", f"has {len(digest)} bytes, not 32")
    inner.done()
    signature = decoded(fields, "signature", limit=_SIGNATURE_TEXT)
    return Message(Digest(f"sha256:{digest.hex()}"), signature)


def decoded(fields: Fields, key: str, *, limit: int) -> bytes:
    """Take base64 in its one spelling."""
    text = fields.text(key, limit=limit)
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        data = b""
    if not data or base64.b64encode(data).decode() != text:
        raise fields.wrong(key, "is not base64")
    return data
