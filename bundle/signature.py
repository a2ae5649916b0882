"""Signatures over exact bytes, and the files that carry them: Sigstore bundles v0.3 with a key.

Stock ``cosign verify-blob --key`` and ``openssl`` check what is written here; format in
``schemas/README.md``, "Signature files". Source of the file: sigstore/protobuf-specs,
``sigstore_bundle.proto``, in its JSON form.
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
)

from bundle.decode import Fields, dump_json, parse_json, spell
from bundle.digest import Digest
from bundle.errors import DrayError, NotTrusted, UsageError

if TYPE_CHECKING:
    from bundle.decode import Path

MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
MAX_BYTES = 64 << 10
"""The largest signature file that is read, in bytes."""
MAX_PEM = 8 << 10
"""The largest public key that is read, in bytes."""
SIGNER = r"[a-z0-9][a-z0-9-]{0,31}"
"""A signer's name: it is part of file names."""
P256 = "p256"
ED25519 = "ed25519"

_WANTED = "dray takes ECDSA P-256 and Ed25519 keys: make one with `dray keygen`"
_PEM = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----\n([A-Za-z0-9+/=\n]+)-----END \1-----")


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key that dray takes; equal when the key is, however it was written down.

    ``der`` is its SubjectPublicKeyInfo (RFC 5280), with a named curve and an uncompressed point;
    ``algorithm`` is ``p256`` (ECDSA with SHA-256, signatures in DER) or ``ed25519`` (pure).
    """

    algorithm: str
    der: bytes = field(repr=False)
    _key: EllipticCurvePublicKey | Ed25519PublicKey = field(repr=False, compare=False)

    @property
    def fingerprint(self) -> Digest:
        """The SHA-256 of ``der``: what people compare, and what counts signers."""
        return Digest.of(self.der)

    @property
    def hint(self) -> str:
        """The fingerprint as a Sigstore bundle carries it: base64 of the 32 bytes."""
        return base64.b64encode(hashlib.sha256(self.der).digest()).decode()

    @property
    def pem(self) -> str:
        """The key as PEM, the same text for the same key."""
        body = base64.b64encode(self.der).decode()
        lines = [body[start : start + 64] for start in range(0, len(body), 64)]
        return "\n".join(["-----BEGIN PUBLIC KEY-----", *lines, "-----END PUBLIC KEY-----", ""])

    @classmethod
    def from_pem(cls, pem: str | bytes, *, what: str = "the key") -> PublicKey:
        """Read one public key in PEM; ``what`` names it in the :class:`UsageError`."""
        return cls.of(load_pem(pem, what=what), what=what)

    @classmethod
    def of(cls, key: object, *, what: str = "the key") -> PublicKey:
        """Take a key object of ``cryptography``; raise :class:`UsageError` for other kinds."""
        if isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
            der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
            return cls(P256, der, key)
        if isinstance(key, Ed25519PublicKey):
            if _is_weak(key.public_bytes_raw()):
                message = f"{what} is an Ed25519 key of small order: anybody could sign for it"
                raise UsageError(message, hint="do not trust whoever gave it; " + _WANTED)
            der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
            return cls(ED25519, der, key)
        raise UsageError(f"{what} is {kind_of(key)}, which dray does not take", hint=_WANTED)


def load_pem(pem: str | bytes, *, what: str, wanted: str = _WANTED) -> object:
    """Return the one public key in PEM, of any kind, as ``cryptography`` has it.

    Raises :class:`UsageError`, which says what was given instead; ``wanted`` is its hint.
    """
    text = _text(pem, what, wanted)
    match = _PEM.fullmatch(text.replace("\r\n", "\n").strip(" \t\r\n"))
    if match is None or match[1] != "PUBLIC KEY":
        raise _refused(text, what, wanted)
    try:
        return load_der_public_key(base64.b64decode(match[2].replace("\n", ""), validate=True))
    except (ValueError, UnsupportedAlgorithm):
        raise UsageError(f"{what} is not a public key that can be read", hint=wanted) from None


_P25519 = 2**255 - 19
_ORDER_8 = 2707385501144840649318225287225658788936804267575313519463743609750303402022
_SMALL_ORDER = {0, 1, _P25519 - 1, _ORDER_8, _P25519 - _ORDER_8}
"""The y of every Ed25519 point whose order divides 8 (RFC 8032, sections 5.1 and 8.9)."""


def _is_weak(raw: bytes) -> bool:
    """Whether signatures of this key prove nothing, or it has more than one spelling."""
    y = int.from_bytes(raw, "little") & ((1 << 255) - 1)
    return y >= _P25519 or y in _SMALL_ORDER


def kind_of(key: object) -> str:
    """Return what a key object of ``cryptography`` is, for a message."""
    curve = getattr(key, "curve", None)
    if curve is not None:
        return f"an ECDSA key on {curve.name}"
    name = re.sub(r"(Public|Private)(Key|Numbers)", "", type(key).__name__).strip("_")
    return f"of the kind {name}"


def _text(pem: str | bytes, what: str, wanted: str) -> str:
    if len(pem) > MAX_PEM:
        raise UsageError(f"{what} is larger than any public key", hint=wanted)
    if isinstance(pem, str):
        return pem
    try:
        return pem.decode("ascii")
    except UnicodeDecodeError:
        hint = "convert DER with: openssl pkey -pubin -inform DER -in FILE -out KEY.pub"
        raise UsageError(f"{what} is not in PEM", hint=hint) from None


_COSIGN = ("is cosign's private key file, not a public key", "give cosign.pub, the file beside it")
_SECRET = (
    "is a private key, not a public one",
    "derive the public one: openssl pkey -in FILE -pubout -out KEY.pub; and keep this one secret",
)
_OTHERS = {
    "SIGSTORE PRIVATE KEY-----": _COSIGN,
    "COSIGN PRIVATE KEY-----": _COSIGN,
    "PRIVATE KEY-----": _SECRET,
    "BEGIN CERTIFICATE-----": (
        "is a certificate; dray trusts bare keys",
        "take its key out: openssl x509 -in FILE -pubkey -noout > KEY.pub",
    ),
    "BEGIN RSA PUBLIC KEY-----": ("is an RSA key in PKCS#1, which dray does not take", ""),
    "ssh-": ("is an SSH key, which dray does not take", ""),
    "ecdsa-sha2-": ("is an SSH key, which dray does not take", ""),
}
"""What people give instead of a public key in PEM, by a mark in it; the first that is found."""


def _refused(text: str, what: str, wanted: str) -> UsageError:
    for mark, (message, hint) in _OTHERS.items():
        if mark in text:
            return UsageError(f"{what} {message}", hint=hint or wanted)
    if text.count("-----BEGIN ") > 1:
        return UsageError(f"{what} holds more than one PEM block", hint="one key in each file")
    return UsageError(f"{what} is not one public key in PEM", hint=wanted)


def verify(public_key: PublicKey, signature: bytes, data: bytes) -> bool:
    """Whether ``signature`` is one of ``public_key`` over exactly ``data``."""
    return verify_hashed(public_key, signature, data, hashlib.sha256(data).digest())


def verify_hashed(public_key: PublicKey, signature: bytes, data: bytes, sha256: bytes) -> bool:
    """Do what :func:`verify` does; ``sha256`` is the hash of ``data``, made once for many keys."""
    key = public_key._key
    try:
        if isinstance(key, Ed25519PublicKey):
            key.verify(signature, data)
        else:
            key.verify(signature, sha256, ECDSA(Prehashed(SHA256())))
    except InvalidSignature:
        return False
    return True


def file_names(document: str, signer: str) -> tuple[str, str]:
    """Return the names of a signer's files beside ``document``: Sigstore bundle, raw signature."""
    return f"{document}.{signer}.sigstore.json", f"{document}.{signer}.sig"


def to_sigstore(data: bytes, signature: bytes, public_key: PublicKey) -> bytes:
    """Return the Sigstore bundle that carries ``signature`` over ``data``."""
    digest = base64.b64encode(hashlib.sha256(data).digest()).decode()
    message = {"messageDigest": {"algorithm": "SHA2_256", "digest": digest}}
    return dump_json(
        {
            "mediaType": MEDIA_TYPE,
            "verificationMaterial": {"publicKey": {"hint": public_key.hint}},
            "messageSignature": {**message, "signature": base64.b64encode(signature).decode()},
        }
    )


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a signature file claims; nothing in it is proved but by :func:`verify`.

    ``hint`` names a key and never decides; ``message_digest`` is of the bytes that were signed.
    """

    hint: str
    signature: bytes
    message_digest: Digest


def parse_sigstore(data: bytes, *, what: str = "signature file") -> Parsed:
    """Read a signature file strictly; raise :class:`NotTrusted`, whatever is wrong with it.

    Entries of a transparency log and timestamps are passed over: there is none to ask on the high
    side, and the key alone is the trust. Certificates and DSSE envelopes are refused.
    """

    def fault(path: Path, message: str, hint: str) -> DrayError:
        where = f": {spell(path)}" if path else ""
        return NotTrusted(f"{what}{where} {message}", hint=hint)

    try:
        document = parse_json(data, limit=MAX_BYTES)
    except ValueError as error:
        raise fault((), f"is not strict JSON: {error}", "") from None
    fields = Fields(document, (), fault)
    if "dsseEnvelope" in fields:
        raise fault((), "is a DSSE envelope, not a signature over a file", "sign with dray sign")
    fields.text("mediaType", choices=[MEDIA_TYPE])
    hint = _hint(fields.child("verificationMaterial"))
    parsed = _message(fields.child("messageSignature"), hint)
    fields.done()
    return parsed


def _hint(material: Fields) -> str:
    for kind in ("certificate", "x509CertificateChain"):
        if kind in material:
            raise material.wrong(
                kind, "is no key: keyless signatures cannot be checked offline", ""
            )
    material.raw("tlogEntries", None)
    material.raw("timestampVerificationData", None)
    public_key = Fields(material.raw("publicKey"), (*material.path, "publicKey"), material.fault)
    hint = public_key.text("hint", "", pattern=r"[\x20-\x7e]*", limit=512)
    public_key.done()
    material.done()
    return hint


def _message(fields: Fields, hint: str) -> Parsed:
    signature = _base64(fields, "signature", limit=2048)
    inner = fields.child("messageDigest")
    inner.text("algorithm", choices=["SHA2_256"])
    digest = _base64(inner, "digest", limit=64)
    if len(digest) != 32:
        raise inner.wrong("digest", f"has {len(digest)} bytes, not 32")
    inner.done()
    fields.done()
    return Parsed(hint, signature, Digest(f"sha256:{digest.hex()}"))


def _base64(fields: Fields, key: str, *, limit: int) -> bytes:
    text = fields.text(key, pattern=r"[A-Za-z0-9+/]*={0,2}", limit=limit)
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        data = b""
    if not data or base64.b64encode(data).decode() != text:  # one spelling only
        raise fields.wrong(key, "is not base64")
    return data
