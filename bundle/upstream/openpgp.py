"""The one file that knows OpenPGP: certificates, and text that one of them signed in clear.

The work is Sequoia's, through the package ``pysequoia`` (ADR 13): it refuses SHA-1, and
signatures of keys that were revoked or had expired when they were made.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from bundle.errors import NotTrusted, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MAX_KEYRING = 1 << 20
MAX_BYTES = 1 << 20
"""Bytes of a signed text."""
_BEGIN = "-----BEGIN PGP SIGNED MESSAGE-----"
_MIDDLE = "-----BEGIN PGP SIGNATURE-----"
_END = "-----END PGP SIGNATURE-----"
_ARMOR = re.compile(r"[A-Za-z0-9+/=]{0,76}|(?:Version|Comment): [ -~]*")
_WANTED = "export it with: gpg --export --armor NAME > KEYS.asc"


@dataclass(frozen=True, slots=True)
class Keyring:
    """Certificates whose signatures count, all under the one ``name`` of the policy's entry."""

    name: str
    certificates: tuple[Any, ...] = field(repr=False)

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """``openpgp:`` and the fingerprint of each."""
        return tuple(_spelt(item.fingerprint) for item in self.certificates)

    @property
    def file(self) -> str:
        """What a file with this keyring is called."""
        return f"{self.name}.asc"

    @property
    def text(self) -> str:
        """The certificates, armored."""
        return "".join(f"{str(item).rstrip()}\n" for item in self.certificates)

    @classmethod
    def read(cls, name: str, data: bytes, *, what: str, only: str = "") -> Keyring:
        """Read certificates, armored or not; ``only`` chooses one by its fingerprint.

        Raises :class:`UsageError` for what is no keyring, for secret keys, and for a revoked one.
        """
        if len(data) > MAX_KEYRING:
            raise UsageError(f"{what} is larger than any keyring", hint=_WANTED)
        certificates = _library(lambda module: module.Cert.split_bytes(data))
        if not certificates:
            raise UsageError(f"{what} holds no OpenPGP key that can be read", hint=_WANTED)
        if b"PRIVATE KEY BLOCK" in data or _is_secret(data[0]):
            raise UsageError(f"{what} holds a secret key, not only public ones", hint=_WANTED)
        kept = [item for item in certificates if only in {"", _spelt(item.fingerprint)}]
        if not kept:
            there = ", ".join(_spelt(item.fingerprint) for item in certificates)
            hint = "compare the fingerprint with its owner's by another way"
            raise UsageError(f"{what} has no key {only}; it has {there[:500]}", hint=hint)
        if revoked := [_spelt(item.fingerprint) for item in kept if item.is_revoked]:
            raise UsageError(f"{what}: the key {revoked[0]} is revoked", hint="ask its owner")
        return cls(name, tuple(kept))


@dataclass(frozen=True, slots=True)
class Signed:
    """A text, and the name and the fingerprint of the key whose signature of it was verified."""

    text: str
    key: str
    fingerprint: str


def verified(message: bytes, rings: Sequence[Keyring], where: str) -> Signed:
    """Return the text of a message signed in clear; raise :class:`NotTrusted` for any other.

    The message must be one signed text and nothing around it (RFC 9580, section 7): what stands
    before or after would be read by people and vouched for by nobody. What is returned is what the
    verifier hashed, compared with what was seen here.
    """
    seen = _framed(message, where)
    for ring in rings:
        found = _library(partial(_verify, message, ring))
        if found is None:
            continue
        text, certificate = found
        if _plain(text) != _plain(seen):
            raise NotTrusted(f"{where} shows another text than the one that is signed")
        return Signed("\n".join(_plain(text)), ring.name, _spelt(certificate))
    names = ", ".join(sorted(ring.name for ring in rings)) or "no key"
    raise NotTrusted(f"{where} is made by another key than {names}, or is damaged")


def _verify(message: bytes, ring: Keyring, module: Any) -> tuple[str, str] | None:
    certificates = list(ring.certificates)
    done = module.verify(bytes=message, store=lambda _ids: certificates)
    made = [str(one.certificate) for one in done.valid_sigs]
    own = [one for one in made if _spelt(one) in ring.fingerprints]
    if not own or done.bytes is None:
        return None
    return bytes(done.bytes).decode("utf-8"), own[0]


def _library(work: Callable[[Any], Any]) -> Any:
    """Do something with the library; nothing is what it returns for input that it refuses."""
    try:
        import pysequoia  # noqa: PLC0415  (an extra, and nothing that --help must pay for)
    except ImportError:
        raise UsageError(
            "OpenPGP signatures need the package pysequoia",
            hint="pip install 'dray[prov]' on this side",
        ) from None
    try:
        return work(pysequoia)
    except (RuntimeError, ValueError, OSError):  # its texts are stack traces
        return None


def _framed(message: bytes, where: str) -> str:
    """Return the text of the one signed message, its dashes unescaped."""
    fault = NotTrusted(f"{where} is not one text signed in clear, and nothing else")
    if len(message) > MAX_BYTES:
        raise fault
    try:
        lines = message.decode("utf-8").replace("\r\n", "\n").rstrip("\n").split("\n")
    except UnicodeDecodeError:
        raise fault from None
    if lines[0] != _BEGIN or lines[-1] != _END or "" not in lines:
        raise fault
    start = lines.index("")
    heads = lines[1:start]
    if not all(re.fullmatch(r"Hash: [A-Z0-9, -]+", head) for head in heads):
        raise fault
    marks = [number for number, line in enumerate(lines) if re.match(r"-(?! )", line)]
    if len(marks) != 3 or lines[marks[1]] != _MIDDLE or marks[1] <= start:
        raise fault
    if not all(_ARMOR.fullmatch(line) for line in lines[marks[1] + 1 : -1]):
        raise fault
    return "\n".join(line.removeprefix("- ") for line in lines[start + 1 : marks[1]])


def _plain(text: str) -> list[str]:
    # White space at the ends of lines is not signed (RFC 9580, section 7.2).
    return [line.rstrip(" \t\r") for line in text.rstrip().split("\n")]


def _is_secret(first: int) -> bool:
    """Whether a packet that begins with this byte is a secret key (RFC 9580, section 4.2)."""
    return (first & 0x3F if first & 0x40 else first >> 2 & 0x0F) == 5 and first >= 0x80


def _spelt(fingerprint: str) -> str:
    return f"openpgp:{fingerprint.lower()}"
