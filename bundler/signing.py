"""Private keys: made, kept, read and used here, and nowhere else in dray."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryptography.exceptions import InternalError, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    load_der_private_key,
    load_pem_private_key,
)

from bundle import fips
from bundle.errors import DrayError, UsageError
from bundle.pkcs8 import to_pem
from bundle.secretfile import Passphrase, create, read_key
from bundle.signature import (
    ED25519,
    P256,
    SIGNER,
    PublicKey,
    file_names,
    kind_of,
    to_sigstore,
    verify,
)
from bundler import cosignkey

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    PrivateKey = EllipticCurvePrivateKey | Ed25519PrivateKey

ALGORITHMS = (P256, ED25519)
ENDINGS = (".key", ".pub")
"""What the names of a pair's files end in."""
_TAKEN = "a key is never overwritten: choose another name or folder"
ENCRYPTION_ENDINGS = (".decrypt-key", ".encrypt-to")
"""The same of a pair for encryption: the options that take the files."""


@dataclass(frozen=True, slots=True)
class Signer:
    """Somebody who signs: the name, the public key, and a function from bytes to their signature.

    The signature is DER for P-256 (over SHA-256) and 64 bytes for Ed25519 (pure).
    """

    name: str
    public_key: PublicKey
    sign: Callable[[bytes], bytes] = field(repr=False)

    def files(self, document: str, data: bytes) -> dict[str, bytes]:
        """Sign ``data``, the bytes of the file ``document``; return the signer's files by name.

        What was signed is verified before it is returned: a broken key, or a device that signed
        with another one, must not be found out on the high side.
        """
        signature = self.sign(data)
        if not verify(self.public_key, signature, data):
            raise DrayError(
                f"the signature that the key of {self.name!r} made does not verify",
                hint="the key file or the device holds another key than its public one",
            )
        sigstore, raw = file_names(document, self.name)
        return {sigstore: to_sigstore(data, signature, self.public_key), raw: signature}


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A new pair of key files: the private one (mode 0600) and the public one."""

    name: str
    private: Path
    public: Path
    public_key: PublicKey


def generate(
    folder: Path,
    name: str,
    *,
    algorithm: str = P256,
    passphrase: bytes | None,
    endings: tuple[str, str] = ENDINGS,
) -> KeyPair:
    """Make a key pair in ``folder``; ``passphrase`` None writes the private key unencrypted.

    Raises :class:`UsageError` when a file of either name is there, and leaves nothing behind then.
    """
    check_name(name)
    if algorithm not in ALGORITHMS:
        raise UsageError(f"no such kind of key: {algorithm!r}", hint="kinds: p256, ed25519")
    check_approved(algorithm)
    key: PrivateKey
    key = generate_private_key(SECP256R1()) if algorithm == P256 else Ed25519PrivateKey.generate()
    public_key = PublicKey.of(key.public_key())
    private, public = (folder / (name + ending) for ending in endings)
    pair = KeyPair(name, private, public, public_key)
    create(pair.private, to_pem(key, passphrase), 0o600, hint=_TAKEN)
    try:
        create(pair.public, public_key.pem.encode(), 0o644, hint=_TAKEN)
    except UsageError:
        pair.private.unlink()  # made a moment ago, used by nobody
        raise
    return pair


def load(path: Path, *, name: str = "", passphrase: Passphrase) -> tuple[Signer, str]:
    """Read a private key; return its signer, and a warning for people (empty when all is well).

    ``name`` is the signer's name, by default the file's name without its suffix. Raises
    :class:`UsageError` when the file is no private key that dray takes, or the passphrase is wrong.
    """
    name = name or name_of(path)
    check_name(name)
    data, warning = read_key(path, hint=_NOT_ONE)
    key = _private(path, data, passphrase)
    public_key = PublicKey.of(key.public_key(), what=str(path))
    check_approved(public_key.algorithm, what=str(path))
    return Signer(name, public_key, _sign_with(key)), warning


_NOT_ONE = "dray takes private keys in PEM, ECDSA P-256 or Ed25519: make one with dray keygen"
_OTHERS = {
    b"-----BEGIN OPENSSH PRIVATE KEY-----": (
        "is in OpenSSH's own format",
        "write it as PKCS#8: ssh-keygen -p -m PKCS8 -f FILE (it must be ecdsa-sha2-nistp256)",
    ),
    b"PUBLIC KEY-----": ("is a public key", "name the private one, FILE.key"),
    b"-----BEGIN CERTIFICATE-----": ("is a certificate", "name the private key that is its own"),
    b"\x30": (
        "is not in PEM",
        "convert DER with: openssl pkey -inform DER -in FILE -out NAME.key",
    ),
}
"""What people give instead of a private key in PEM, by what it begins with or has in it."""


def _private(path: Path, data: bytes, passphrase: Passphrase) -> PrivateKey:
    try:
        key: object = _decrypted(path, data, passphrase)
    except (ValueError, UnsupportedAlgorithm, InternalError):
        raise _unreadable(path, data) from None
    if isinstance(key, Ed25519PrivateKey):
        return key
    if isinstance(key, EllipticCurvePrivateKey) and isinstance(key.curve, SECP256R1):
        return key
    raise UsageError(f"{path} is {kind_of(key)}, which dray does not take", hint=_NOT_ONE)


def _unreadable(path: Path, data: bytes) -> UsageError:
    for mark, (message, hint) in _OTHERS.items():
        if data.startswith(mark) or (len(mark) > 1 and mark in data):
            return UsageError(f"{path} {message}, not a private key that dray reads", hint=hint)
    if fips.is_on():
        hint = "write it anew: openssl pkcs8 -topk8 -v2 aes-256-cbc -v2prf hmacWithSHA256"
        return UsageError(f"--fips: {path} cannot be read with what is approved", hint=hint)
    return UsageError(f"{path} is not a private key that can be read", hint=_NOT_ONE)


def _decrypted(path: Path, data: bytes, passphrase: Passphrase) -> object:
    if cosignkey.is_cosign(data):
        return load_der_private_key(cosignkey.open_key(path, data, passphrase), None)
    if b"Proc-Type: 4,ENCRYPTED" in data:
        fips.refuse(f"{path} is encrypted with a key made by MD5, which")
    try:
        return load_pem_private_key(data, None)
    except TypeError:  # how cryptography says that the key is encrypted
        secret = passphrase.find(str(path))
    try:
        return load_pem_private_key(data, secret)
    except ValueError:
        raise passphrase.wrong(str(path)) from None


def _sign_with(key: PrivateKey) -> Callable[[bytes], bytes]:
    if isinstance(key, Ed25519PrivateKey):
        return key.sign
    return lambda data: key.sign(data, ECDSA(SHA256()))


def check_approved(algorithm: str, what: str = "a key") -> None:
    """Raise :class:`UsageError` in FIPS mode for a key of another algorithm than P-256."""
    if not fips.takes(algorithm):
        fips.refuse(f"{what} of the kind {algorithm}")


def name_of(path: Path) -> str:
    """Return the signer's name that a key file's name says; raise :class:`UsageError`."""
    if not re.fullmatch(SIGNER, path.stem):
        raise UsageError(
            f"the name of {path} is no signer's name: {path.stem[:60]!r}",
            hint="a key file is called as its signer, with lower-case letters, digits and hyphens, "
            "at most 32: rename it, or a copy of it",
        )
    return path.stem


def check_name(name: str) -> None:
    """Raise :class:`UsageError` when ``name`` is no signer's name: file names hold it."""
    if not re.fullmatch(SIGNER, name):
        raise UsageError(
            f"not a signer's name: {name[:60]!r}",
            hint="lower-case letters, digits and hyphens, at most 32",
        )
