"""FIPS mode: approved algorithms only, and only from an OpenSSL whose FIPS provider is in force.

Two libraries compute here: ``hashlib`` (with ``ssl``) and ``cryptography``. Each may have an
OpenSSL of its own, and one of them may fall back silently to code that nobody validated. So neither
is believed: both are asked for what the provider must refuse, and for what it must do.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import TYPE_CHECKING, Any

from bundle.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

APPROVED = "p256"
"""The algorithm of signatures: not every validated module approves Ed25519 (docs/signing.md)."""


class _Mode:
    """Whether this command runs in FIPS mode."""

    is_on = False


def is_on() -> bool:
    """Whether this command was started with ``--fips``."""
    return _Mode.is_on


def turn_off() -> None:
    """Forget what an earlier command in this process was started with."""
    _Mode.is_on = False


def turn_on() -> None:
    """Refuse from now on what is not approved; raise :class:`UsageError` without the provider."""
    faults = [what for what, is_in_force in _LIBRARIES.items() if not is_in_force()]
    if faults:
        hint = "name its configuration in OPENSSL_CONF; docs/signing.md has the steps"
        if len(faults) < len(_LIBRARIES):
            hint = (
                "they have two OpenSSLs, and the provider serves one: install cryptography built "
                "with the system's, pip install --no-binary cryptography cryptography"
            )
        raise UsageError(
            f"--fips: no FIPS provider is in force in {' and '.join(faults)}", hint=hint
        )
    _Mode.is_on = True


def takes(algorithm: str) -> bool:
    """Whether signatures of this algorithm count now."""
    return not _Mode.is_on or algorithm == APPROVED


def refuse(what: str, why: str = "is not approved") -> None:
    """Raise :class:`UsageError` in FIPS mode."""
    if _Mode.is_on:
        raise UsageError(f"--fips: {what} {why}", hint="ECDSA on P-256 with SHA-256 is")


def random_bytes(count: int) -> bytes:
    """Return random bytes for keys, nonces and salts.

    In FIPS mode they are the provider's (a generator of SP 800-90A inside the validated module),
    else the kernel's.
    """
    if _Mode.is_on:
        import ssl  # noqa: PLC0415  (slow to import)

        return ssl.RAND_bytes(count)
    return secrets.token_bytes(count)


def _hashlib_has_it() -> bool:
    try:
        import _hashlib  # noqa: PLC0415  (hashlib itself falls back silently to unvalidated code)

        _hashlib.new("md5", b"")
    except ImportError:
        return False
    except ValueError:
        # The hash that dray uses everywhere must be OpenSSL's, not the interpreter's own.
        return type(hashlib.sha256()).__module__ == "_hashlib"
    return False


def _cryptography_has_it() -> bool:
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415  (slow to import)

    refuses = not _computes(hashes.Hash, hashes.MD5())  # noqa: S303  (it must be)
    return refuses and _computes(hashes.Hash, hashes.SHA256())


def _computes(make: Callable[[Any], Any], algorithm: object) -> bool:
    from cryptography.exceptions import InternalError, UnsupportedAlgorithm  # noqa: PLC0415

    try:
        make(algorithm).finalize()
    except (InternalError, UnsupportedAlgorithm):
        return False
    return True


_LIBRARIES = {
    "hashlib and ssl": _hashlib_has_it,
    "cryptography": _cryptography_has_it,
}
