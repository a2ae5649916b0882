"""Signs through an external command, so that the key stays in an HSM, a KMS or on a token.

The protocol (``docs/signing.md``): the command gets the exact bytes on standard input and prints
the signature, or the public key in PEM when ``DRAY_SIGNER_ASKS`` is ``public-key``. Whatever it
prints counts for nothing until the public key has verified it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from bundle import signature
from bundle.errors import UsageError
from bundle.keycommand import spellings
from bundle.signature import P256
from bundler.signing import Signer, check_approved, check_name, name_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bundle.keycommand import Command

TRIAL = b"dray: a trial of the signer, which signs nothing that anybody trusts\n"
"""What is signed to find out whether a signer works: it can never be read as a document."""


def signer(command: Command, *, pub: Path | None = None, name: str = "") -> Signer:
    """Return the signer that ``command`` is.

    ``pub`` is its public key in PEM; without it the command is asked. ``name`` is the signer's
    name, by default that of ``pub`` without its suffix. Raises :class:`UsageError`.
    """
    if not (name or pub):
        hint = "add --signer-name NAME; or --signer-pub NAME.pub, which is its public key too"
        raise UsageError("the signer has no name", hint=hint)
    name = name or (name_of(pub) if pub else "")
    check_name(name)
    public_key = command.public_key(pub)
    check_approved(public_key.algorithm, what=f"the key of {command.name}")

    def sign(data: bytes) -> bytes:
        answer = command.ask("sign", data)
        for candidate in _candidates(answer, public_key.algorithm):
            if signature.verify(public_key, candidate, data):
                return candidate
        if not answer:
            hint = "it has to print the signature on standard output, and nothing else"
            raise UsageError(f"{command.name} printed nothing", hint=hint)
        raise UsageError(
            f"{command.name} printed {len(answer)} bytes that are no signature by {name}'s key",
            hint=f"the public key is {public_key.fingerprint}; is it the key that it signs with?",
        )

    return Signer(name, public_key, sign)


def _candidates(answer: bytes, algorithm: str) -> Iterator[bytes]:
    """Yield what the answer may mean: DER or raw, as it is or in base64."""
    for plain in spellings(answer):
        if algorithm == P256 and len(plain) == 64:
            # PKCS#11 and IEEE P1363: r and s, one after the other.
            r, s = int.from_bytes(plain[:32], "big"), int.from_bytes(plain[32:], "big")
            yield encode_dss_signature(r, s)
        else:
            yield plain
