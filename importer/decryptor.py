"""Opens chunks through an external command, so that the private key stays in an HSM or a KMS.

The protocol (``docs/encryption.md``): with ``DRAY_DECRYPTOR_ASKS=agree`` the command gets a public
key on standard input, in DER, and prints what ECDH gives of it and its private key: the
x-coordinate of the shared point, 32 bytes (SEC 1, section 3.3.1). HPKE goes on from there, here.
What it prints is a secret: it goes into no message.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey

from bundle.errors import UsageError
from bundle.hpke import POINT
from bundle.keycommand import spellings
from bundle.signature import P256, PublicKey

if TYPE_CHECKING:
    from pathlib import Path

    from bundle.digest import Digest
    from bundle.keycommand import Command
    from bundle.trust import Trust

ROLE = "decryptor"
AGREE = "agree"
"""What is asked for the agreement with a public key."""
SHARED = 32
"""Bytes of an x-coordinate on P-256."""
BASE = bytes.fromhex(
    "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
    "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"
)
"""The base point of P-256 (SEC 2, section 2.4.2): to agree with it gives one's own public key."""


class Decryptor:
    """A private key behind a command; satisfies :class:`bundle.envelope.Recipient`.

    Before the first answer counts, the command has to agree with the base point, which must give
    the public key: a wrong key or PIN is not to be taken for a fault of the medium. Each chunk's
    question is asked once, one at a time, for a token may want a finger each time. After a failure
    nothing is asked any more.
    """

    def __init__(self, command: Command, public_key: PublicKey) -> None:
        self.public_key = public_key
        self.point = public_key.der[-POINT:]
        self._command = command
        self._agreed: dict[bytes, bytes] = {}
        self._failure: UsageError | None = None
        self._one_at_a_time = threading.Lock()

    @property
    def fingerprint(self) -> Digest:
        """The digest of the public key."""
        return self.public_key.fingerprint

    def agree(self, point: bytes) -> bytes:
        """Return the x-coordinate that ECDH gives with ``point``; ``ValueError`` for no point.

        Raises :class:`UsageError` when the command fails, or answers what cannot be.
        """
        # A point off the curve would give away bits of the key: no device has to be trusted to
        # look for itself.
        other = EllipticCurvePublicKey.from_encoded_point(SECP256R1(), point)
        with self._one_at_a_time:
            if self._failure:
                raise self._failure
            try:
                if not self._agreed:
                    self._try()
                if point not in self._agreed:
                    self._agreed[point] = self._ask(other)
            except UsageError as error:
                self._failure = error
                raise
            return self._agreed[point]

    def _try(self) -> None:
        answer = self._ask(EllipticCurvePublicKey.from_encoded_point(SECP256R1(), BASE))
        if answer != self.point[1 : 1 + SHARED]:
            message = f"{self._command.name} has another key than {self.fingerprint.short}"
            raise UsageError(
                message,
                hint="the first answer was not what that public key makes of the base point: is"
                " --decryptor-pub the public half of the key in the command?",
            )
        self._agreed[BASE] = answer

    def _ask(self, other: EllipticCurvePublicKey) -> bytes:
        answer = self._command.ask(AGREE, PublicKey.of(other).der)
        for plain in spellings(answer):
            if len(plain) == SHARED:
                return plain
        raise UsageError(
            f"{self._command.name} printed {len(answer)} bytes, which are no x-coordinate",
            hint=f"it must print the {SHARED} bytes that ECDH gives, as they are or in base64, and"
            " nothing else: no hash of them, no words; docs/encryption.md",
        )


def load(command: Command, pub: Path | None, trust: Trust) -> Decryptor:
    """Return the key behind a command; ``pub`` is its public half, for which it is asked otherwise.

    Raises :class:`UsageError` when that is no P-256 key, or one that the trust file knows as a key
    that signs.
    """
    public_key = command.public_key(pub)
    what = str(pub or f"the public key of {command.name}")
    if public_key.algorithm != P256:
        message = f"{what} is of the kind {public_key.algorithm}, which opens nothing"
        raise UsageError(message, hint="chunks are encrypted to ECDSA P-256 keys")
    if public_key in trust.keys.values():
        message = f"{what} is a key of the trust file: it signs, and must not open chunks as well"
        raise UsageError(message, hint="make another key in the device, for encryption alone")
    return Decryptor(command, public_key)
