"""A command that has a private key somewhere safer: in an HSM, a KMS or on a token.

What both sides share of it: the low side's signs (``docs/signing.md``), the high side's agrees
(``docs/encryption.md``). It is started without a shell, gets bytes on standard input, and answers
on standard output; ``DRAY_<ROLE>_ASKS`` says what is wanted.
"""

from __future__ import annotations

import base64
import os
import shlex
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bundle import child, signature
from bundle.errors import UsageError
from bundle.signature import PublicKey

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

TIMEOUT = 60
"""Seconds that a command has for one answer, unless it is told otherwise."""
PUBLIC_KEY = "public-key"
"""What is asked for its public key in PEM."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command line without a shell, and how many seconds it may take.

    ``role`` is what the command is, and the name of its options and variables: ``signer``.
    """

    words: tuple[str, ...]
    timeout: float = TIMEOUT
    role: str = "signer"

    @classmethod
    def parse(cls, line: str, timeout: float = TIMEOUT, *, role: str = "signer") -> Command:
        """Split a command line into words as a shell would; nothing in it is expanded."""
        try:
            words = shlex.split(line)
        except ValueError as error:
            raise UsageError(f"the {role}'s command line ends too early: {error}") from None
        if not words or not shutil.which(words[0]):
            raise _no_program(words[0] if words else "", role)
        return cls(tuple(words), timeout, role)

    @property
    def name(self) -> str:
        """The program alone: its arguments are nobody's business, there may be a PIN in them."""
        return f"the {self.role} {self.words[0]}"

    @property
    def asks(self) -> str:
        """The variable that says what is wanted."""
        return f"DRAY_{self.role.upper()}_ASKS"

    def ask(self, what: str, data: bytes) -> bytes:
        """Run the command on ``data``; return what it printed.

        Its standard error and its terminal are the caller's: it may ask for a PIN. Raises
        :class:`UsageError`, with no byte of the answer in it: that may be a secret.
        """
        with tempfile.TemporaryFile() as document:
            document.write(data)
            document.seek(0)
            try:
                process = subprocess.Popen(  # noqa: S603  (the operator names it, and no shell reads it)
                    self.words,
                    stdin=document,
                    stdout=subprocess.PIPE,
                    env=child.environment({self.asks: what}),
                )
            except OSError as error:
                reason = (error.strerror or "unknown reason").lower()
                raise UsageError(f"{self.name} cannot be started: {reason}") from None
        try:
            return self._answer(process)
        finally:
            process.kill()
            process.wait()
            if process.stdout:
                process.stdout.close()

    def _answer(self, process: subprocess.Popen[bytes]) -> bytes:
        assert process.stdout is not None  # noqa: S101  (it is a pipe)
        end = time.monotonic() + self.timeout
        try:
            answer = self.whole(child.blocks(process.stdout, end))
            code = process.wait(max(0.0, end - time.monotonic()))
        except (TimeoutError, subprocess.TimeoutExpired):
            hint = f"a longer time: --{self.role}-timeout SECONDS"
            message = f"{self.name} did not answer within {self.timeout:g} seconds"
            raise UsageError(message, hint=hint) from None
        if code:
            end_of_it = f"was killed by signal {-code}" if code < 0 else f"failed with code {code}"
            raise UsageError(f"{self.name} {end_of_it}", hint="what it said stands above")
        return answer

    def whole(self, blocks: Iterable[bytes]) -> bytes:
        """Return an answer that comes in blocks; :class:`UsageError` when it is too long."""
        message = f"{self.name} printed more than any answer has"
        hint = "it must print nothing else on standard output"
        return child.joined(blocks, UsageError(message, hint=hint))

    def public_key(self, pub: Path | None) -> PublicKey:
        """Return the public key in the file ``pub``; without one, the command is asked."""
        return _given(pub) if pub else self._asked()

    def _asked(self) -> PublicKey:
        answer = self.ask(PUBLIC_KEY, b"")
        try:
            return PublicKey.from_pem(answer, what=f"what {self.name} printed")
        except UsageError as error:
            way = f"let it answer {self.asks}={PUBLIC_KEY}"
            hint = f"name its public key with --{self.role}-pub FILE, or {way}"
            raise UsageError(error.message, hint=hint) from None


def _no_program(word: str, role: str) -> UsageError:
    if "/" in word and os.path.isfile(word):  # noqa: PTH113  (what the operator typed, as it is)
        return UsageError(f"the {role} {word} is not executable", hint=f"chmod +x {word}")
    hint = "name a program on PATH, or its path; for pipes and variables: sh -c '…'"
    return UsageError(f"there is no such {role}: {word or 'it is empty'}", hint=hint)


def _given(pub: Path) -> PublicKey:
    try:
        with pub.open("rb") as file:
            return PublicKey.from_pem(file.read(signature.MAX_PEM + 1), what=str(pub))
    except OSError as error:
        reason = (error.strerror or "unknown reason").lower()
        raise UsageError(f"cannot read the public key {pub}: {reason}") from None


def spellings(answer: bytes) -> Iterator[bytes]:
    """Yield what an answer may mean: the bytes as they are, and those that it is the base64 of.

    One spelling only (RFC 4648, section 3.5): bits that stand for nothing are a damaged answer's.
    """
    yield answer
    text = b"".join(answer.split())
    try:
        plain = base64.b64decode(text, validate=True)
    except ValueError:
        return
    if base64.b64encode(plain) == text:
        yield plain
