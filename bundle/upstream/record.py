"""What was found out about an artifact's upstream signatures, as the lock and the manifest say it.

A record is a claim of whoever made the lock. It is proved again from the bundle by
:mod:`bundle.upstream.check`, with public keys of one's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bundle.decode import Fields
    from bundle.digest import Digest

VERIFIED = "verified"
UNSIGNED = "unsigned"
UNCHECKED = "unchecked"
RESULTS = (VERIFIED, UNSIGNED, UNCHECKED)
COSIGN = "cosign"
OMS = "oms"
PROV = "prov"
METHODS = (COSIGN, OMS, PROV)
KEY_NAME = r"[a-z0-9][a-z0-9-]{0,62}"
FINGERPRINT = r"sha256:[0-9a-f]{64}|openpgp:(?:[0-9a-f]{40}|[0-9a-f]{64})"
"""The SHA-256 of a key's SubjectPublicKeyInfo, or the fingerprint of an OpenPGP certificate."""


@dataclass(frozen=True, slots=True)
class Proof:
    """A signature that was verified.

    ``key`` is what the policy calls the key; ``over`` is what the signature names: the digest of an
    image or of an index, of a chart's archive, or of the manifest whose files it lists.
    ``reference`` is the name under which cosign signed, noted and not compared: mirrors rename.
    """

    method: str
    key: str
    fingerprint: str
    over: Digest
    reference: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the object of the lock and of the manifest."""
        body: dict[str, Any] = {"method": self.method, "key": self.key}
        body |= {"fingerprint": self.fingerprint, "over": str(self.over)}
        return body | ({"reference": self.reference} if self.reference else {})

    @classmethod
    def read(cls, fields: Fields, *, strict: bool) -> Proof:
        """Read what :meth:`to_dict` wrote; ``strict`` refuses unknown fields."""
        proof = cls(
            method=fields.text("method", choices=METHODS),
            key=fields.text("key", pattern=KEY_NAME),
            fingerprint=fields.text("fingerprint", pattern=FINGERPRINT),
            over=fields.digest("over"),
            reference=fields.text("reference", "", pattern=r"[!-~]+", limit=512),
        )
        if strict:
            fields.done()
        return proof


@dataclass(frozen=True, slots=True)
class Record:
    """``verified`` by ``proofs``, ``unsigned``, or ``unchecked``: signed, and nobody asked."""

    result: str
    proofs: tuple[Proof, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the object of the lock and of the manifest."""
        body: dict[str, Any] = {"result": self.result}
        return body | ({"by": [proof.to_dict() for proof in self.proofs]} if self.proofs else {})

    @classmethod
    def read(cls, fields: Fields, *, strict: bool = False) -> Record:
        """Read what :meth:`to_dict` wrote; ``strict`` refuses unknown fields, as the lock does."""
        record = cls(
            result=fields.text("result", choices=RESULTS),
            proofs=tuple(Proof.read(item, strict=strict) for item in fields.objects("by")),
        )
        if strict:
            fields.done()
        if bool(record.proofs) != (record.result == VERIFIED):
            raise fields.wrong("by", "must be there when, and only when, the result is verified")
        return record
