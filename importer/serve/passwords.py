"""Who may ask: users and their passwords, in a file as ``openssl passwd -6`` makes its lines.

``user:$6$salt$hash`` or ``user:$6$rounds=N$salt$hash``, a line for each user: SHA-512-crypt, which
Apache's ``htpasswd -5`` writes as well. Source: U. Drepper, "Unix crypt using SHA-256 and SHA-512",
version 0.6; of Python's own ``crypt`` there is none any more since 3.13.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bundle.errors import UsageError
from importer.serve.answer import Refused

if TYPE_CHECKING:
    from pathlib import Path

_LINE = re.compile(
    r"([^:\x00-\x1f\x7f]{1,255}):(\$6\$(?:rounds=([0-9]{1,6})\$)?([./0-9A-Za-z]{1,16})\$"
    r"[./0-9A-Za-z]{86})"
)
_FILE_LIMIT = 1 << 20
_ROUNDS = range(1000, 200_001)
"""More would let each wrong password cost a server seconds."""
_PASSWORD = 256
"""Bytes of a password that is looked at."""
_ALPHABET = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_HINT = "a line is user:HASH, with HASH of: openssl passwd -6"


@dataclass
class Passwords:
    """The users, with the hash of each password."""

    users: dict[str, str] = field(repr=False)
    _good: set[bytes] = field(default_factory=set, repr=False)
    _salt: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    wrong: int = 0
    """How many passwords were wrong."""

    @classmethod
    def load(cls, path: Path) -> Passwords:
        """Read the file; raise :class:`UsageError` for a line that is none."""
        try:
            with path.open("rb") as file:
                data = file.read(_FILE_LIMIT + 1)
            text = data.decode("utf-8")
        except OSError as error:
            raise UsageError(f"{path} cannot be read: {error.strerror}", hint=_HINT) from None
        except UnicodeDecodeError:
            raise UsageError(f"{path} is not UTF-8", hint=_HINT) from None
        users: dict[str, str] = {}
        for number, line in enumerate(text.splitlines(), 1):
            if not line.strip() or line.startswith("#"):
                continue
            match = _LINE.fullmatch(line)
            if not match or (match[3] and int(match[3]) not in _ROUNDS) or match[1] in users:
                # The line is not shown: it may hold a password.
                raise UsageError(f"{path}, line {number}: no user and hash, or twice", hint=_HINT)
            users[match[1]] = match[2]
        if not users or len(data) > _FILE_LIMIT:
            raise UsageError(f"{path} names no users, or far too many", hint=_HINT)
        return cls(users)

    def check(self, header: str) -> None:
        """Raise :class:`Refused` when the ``Authorization`` header is not that of a user."""
        user, password = _basic(header)
        if user and self._matches(user, password):
            return
        if header:
            with self._lock:
                self.wrong += 1
        said = "a user and a password are needed" if not header else "not this user and password"
        raise Refused(401, "UNAUTHORIZED", said, WWW_Authenticate='Basic realm="dray serve"')

    def _matches(self, user: str, password: bytes) -> bool:
        known = hmac.digest(self._salt, user.encode() + b"\0" + password, "sha256")
        if known in self._good:
            return True
        # An unknown user costs as much as a wrong password; one thread at a time pays it.
        expected = self.users.get(user, next(iter(self.users.values())))
        with self._lock:
            same = hmac.compare_digest(sha512_crypt(password, expected), expected)
        if same and user in self.users:
            self._good.add(known)
            return True
        return False


def _basic(header: str) -> tuple[str, bytes]:
    """Return user and password of RFC 7617, or nothing."""
    scheme, _, encoded = header.partition(" ")
    try:
        found = base64.b64decode(encoded.strip(), validate=True)
        user, colon, password = found.partition(b":")
        name = user.decode("utf-8")
    except (binascii.Error, ValueError):
        return "", b""
    if scheme.lower() != "basic" or not colon or not password or len(password) > _PASSWORD:
        return "", b""
    return name, password


def sha512_crypt(password: bytes, setting: str) -> str:
    """Return the hash of a password; ``setting`` is one with the same salt and rounds."""
    parts = setting.split("$")
    named = parts[2].startswith("rounds=")
    rounds = int(parts[2].removeprefix("rounds=")) if named else 5000
    salt = parts[3 if named else 2].encode()
    digest = _mixed(password, salt)
    p = _repeated(hashlib.sha512(password * len(password)).digest(), len(password))
    s = _repeated(hashlib.sha512(salt * (16 + digest[0])).digest(), len(salt))
    for number in range(rounds):
        odd = number % 2
        block = p if odd else digest
        block += s if number % 3 else b""
        block += p if number % 7 else b""
        digest = hashlib.sha512(block + (digest if odd else p)).digest()
    return "$".join([*parts[: 4 if named else 3], _spelt(digest)])


def _mixed(password: bytes, salt: bytes) -> bytes:
    """Return the digest A of the specification, steps 1 to 12."""
    inner = hashlib.sha512(password + salt + password).digest()
    data = password + salt + _repeated(inner, len(password))
    count = len(password)
    while count:
        data += inner if count & 1 else password
        count >>= 1
    return hashlib.sha512(data).digest()


def _repeated(digest: bytes, size: int) -> bytes:
    return (digest * (size // len(digest) + 1))[:size]


def _spelt(digest: bytes) -> str:
    """Return the digest in the order and the letters of step 22."""
    a, b, c = 0, 21, 42
    found = ""
    for _number in range(21):
        found += _letters(digest[a] << 16 | digest[b] << 8 | digest[c], 4)
        a, b, c = b + 1, c + 1, a + 1
    return found + _letters(digest[63], 2)


def _letters(value: int, count: int) -> str:
    return "".join(_ALPHABET[value >> 6 * place & 63] for place in range(count))
