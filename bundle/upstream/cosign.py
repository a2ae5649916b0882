"""Cosign's signatures of images: simple signing under ``.sig`` tags, and bundles as referrers.

Source: sigstore/cosign, ``specs/SIGNATURE_SPEC.md`` and ``specs/BUNDLE_SPEC.md``; with a key, and
without a transparency log, as NVIDIA's are.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bundle.errors import NotTrusted
from bundle.upstream import statement
from bundle.upstream.envelope import Envelope, fields_of, parse
from bundle.upstream.record import COSIGN, Proof

if TYPE_CHECKING:
    from bundle.digest import Digest
    from bundle.upstream.keys import Keys, RawKey

SIMPLE_SIGNING = "application/vnd.dev.cosign.simplesigning.v1+json"
SIGNATURE = "dev.cosignproject.cosign/signature"
"""The annotation of a layer that holds its signature, in base64."""
CERTIFICATE = "dev.sigstore.cosign/certificate"
TYPE = "cosign container image signature"
PREDICATE = "https://sigstore.dev/cosign/sign/v1"
MAX_PAYLOAD = 64 << 10
MAX_SIGNATURE = 4096


@dataclass(frozen=True, slots=True)
class SimpleSigning:
    """A layer of a signature's manifest. ``target`` is the image that it ought to be about."""

    where: str
    target: Digest
    payload: bytes
    signature: str
    keyless: bool = False

    def prove(self, keys: Keys) -> Proof:
        """Return who signed ``target``; raise :class:`NotTrusted` with the reason why nobody did.

        The payload is read when its signature was verified, and not before.
        """
        key = keys.maker(self._signature(), self.payload)
        if key is None:
            raise stranger(self.where, keys, keyless=self.keyless)
        named, reference = _claim(self.payload, self.where)
        _check_target(named, self.target, self.where)
        return Proof(COSIGN, key.name, key.fingerprint, named, reference)

    def _signature(self) -> bytes:
        if len(self.signature) <= MAX_SIGNATURE:
            try:
                return base64.b64decode(self.signature, validate=True)
            except ValueError:
                pass
        raise NotTrusted(f"{self.where}: its signature is not base64")


@dataclass(frozen=True, slots=True)
class BundleSigning:
    """A Sigstore bundle that refers to ``target``; ``signed`` are the bytes of that manifest."""

    where: str
    target: Digest
    data: bytes
    signed: bytes

    def prove(self, keys: Keys) -> Proof:
        """Return who signed ``target``; raise :class:`NotTrusted` with the reason why nobody did.

        A statement counts when it is a signature: an attestation by the same key, about how an
        image was built or scanned, says that and not that the image is released.
        """
        made = parse(self.data, self.where)
        if isinstance(made, Envelope):
            key = made.maker(keys)
            if key is None:
                raise stranger(self.where, keys)
            return self._about(statement.read(made, self.where), key)
        _check_target(made.digest, self.target, self.where)
        key = keys.maker(made.signature, self.signed)
        if key is None:
            raise stranger(self.where, keys)
        return Proof(COSIGN, key.name, key.fingerprint, self.target)

    def _about(self, said: statement.Statement, key: RawKey) -> Proof:
        if said.predicate_type != PREDICATE:
            raise NotTrusted(
                f"{self.where} is an attestation ({said.predicate_type[:80]}), not a signature"
            )
        found = [subject.digests.get("sha256", "") for subject in said.subjects]
        if self.target.hex not in found:
            named = found[0] if len(found) == 1 and found[0] else "something else"
            raise NotTrusted(f"{self.where} signs {named[:80]}, not {self.target}")
        return Proof(COSIGN, key.name, key.fingerprint, self.target)


def stranger(where: str, keys: Keys, *, keyless: bool = False) -> NotTrusted:
    """Return the refusal of a signature that no key made."""
    if keyless:
        return NotTrusted(f"{where} is a keyless signature: it cannot be checked across the gap")
    return NotTrusted(f"{where} is made by another key than {keys.names}, or is damaged")


def _claim(payload: bytes, where: str) -> tuple[Digest, str]:
    """Return the digest and the name that a simple-signing payload says."""
    fields = fields_of(payload, where, MAX_PAYLOAD)
    critical = fields.child("critical")
    critical.text("type", choices=[TYPE])
    identity = critical.child("identity")
    reference = identity.text("docker-reference", "", pattern=r"[!-~]*", limit=512)
    identity.done()
    image = critical.child("image")
    named = image.digest("docker-manifest-digest")
    image.done()
    critical.done()
    fields.raw("optional", None)
    fields.done()
    return named, reference


def _check_target(named: Digest, target: Digest, where: str) -> None:
    if named != target:
        raise NotTrusted(f"{where} signs {named}, not {target}")
