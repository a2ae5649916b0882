"""The one key of the high side that signs: receipts, and nothing else. Made, kept and used here."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.hashes import SHA256

from bundle import dsse, pkcs8
from bundle.errors import DrayError, UsageError
from bundle.receipt import PAYLOAD_TYPE
from bundle.secretfile import create
from bundle.signature import PublicKey
from importer import privatekey

if TYPE_CHECKING:
    from bundle.secretfile import Passphrase
    from bundle.trust import Trust

PRIVATE, PUBLIC = "receipt.key", "receipt.pub"
_WANTED = "it is an ECDSA P-256 key in PEM: dray receipt keygen makes one"
_TAKEN = "a key is never overwritten: name another folder"


@dataclass(frozen=True, slots=True)
class ReceiptKey:
    """A private key that signs receipts."""

    public_key: PublicKey
    _key: EllipticCurvePrivateKey = field(repr=False)

    def seal(self, statement: bytes) -> bytes:
        """Return the envelope of a receipt's statement, whose signature was verified."""
        hint = str(self.public_key.fingerprint)
        made = dsse.sign(PAYLOAD_TYPE, statement, hint, self._signature)
        if made.signer([self.public_key]) is None:
            raise DrayError("the signature that the receipt key made does not verify")
        return made.to_bytes()

    def _signature(self, data: bytes) -> bytes:
        return self._key.sign(data, ECDSA(SHA256()))


def default_folder() -> Path:
    """Return the user's folder of settings, where a key is looked for that nobody named."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "dray"


def find() -> Path | None:
    """Return the key in the user's folder of settings, if there is one."""
    path = default_folder() / PRIVATE
    return path if path.is_file() else None


def public() -> tuple[Path, ...]:
    """Return the public key in the user's folder of settings, if there is one."""
    path = default_folder() / PUBLIC
    return (path,) if path.is_file() else ()


def generate(folder: Path, passphrase: bytes | None) -> tuple[Path, Path, PublicKey]:
    """Make the pair of files; ``passphrase`` None leaves the private one unencrypted.

    Raises :class:`UsageError` when one of them is there, and leaves nothing behind then.
    """
    key = generate_private_key(SECP256R1())
    public = PublicKey.of(key.public_key())
    create(folder / PRIVATE, pkcs8.to_pem(key, passphrase), 0o600, hint=_TAKEN)
    try:
        create(folder / PUBLIC, public.pem.encode(), 0o644, hint=_TAKEN)
    except UsageError:
        (folder / PRIVATE).unlink()  # made a moment ago, used by nobody
        raise
    return folder / PRIVATE, folder / PUBLIC, public


def load(path: Path, trust: Trust | None, *, passphrase: Passphrase) -> tuple[ReceiptKey, str]:
    """Read the private key; return it, and a warning for people (empty when all is well).

    Raises :class:`UsageError` when it is no such key, its passphrase is wrong, or the trust file
    knows it as a key that signs bundles: no key may vouch for both ends of the way.
    """
    taken = "it signs bundles, and so no receipts"
    key, warning = privatekey.load(
        path, trust, passphrase, wanted=_WANTED, unfit="signs no receipts", taken=taken
    )
    return ReceiptKey(PublicKey.of(key.public_key()), key), warning
