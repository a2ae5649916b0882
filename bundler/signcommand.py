"""Signs through an external command, so that the key stays in an HSM, a KMS or on a token.

The protocol (``docs/signing.md``): the command gets the exact bytes on standard input and prints
the signature, or the public key in PEM when ``DRAY_SIGNER_ASKS`` is ``public-key``. Whatever it
prints counts for nothing until the public key has verified it.
"""

from __future__ import annotations

import base64
import os
import selectors
import shlex
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from bundle import signature
from bundle.errors import UsageError
from bundle.signature import P256, PublicKey
from bundler.signing import Signer, check_approved, check_name

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TIMEOUT = 60
"""Seconds that a command has for one signature, unless it is told otherwise."""
MAX_ANSWER = 64 << 10
"""The most bytes that are read from a command."""
ASKS = "DRAY_SIGNER_ASKS"
TRIAL = b"dray: a trial of the signer, which signs nothing that anybody trusts\n"
"""What is signed to find out whether a signer works: it can never be read as a document."""

_OURS = ("DRAY_", "NGC_", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
"""What a signer has no need to know: the passphrase of another key, and keys of upstreams."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command line without a shell, and how many seconds it may take."""

    words: tuple[str, ...]
    timeout: float = TIMEOUT

    @classmethod
    def parse(cls, line: str, timeout: float = TIMEOUT) -> Command:
        """Split a command line into words as a shell would; nothing in it is expanded."""
        try:
            words = shlex.split(line)
        except ValueError as error:
            raise UsageError(f"the signer's command line ends too early: {error}") from None
        if not words or not shutil.which(words[0]):
            what = words[0] if words else "it is empty"
            hint = "name a program on PATH; for pipes and variables: sh -c '…'"
            raise UsageError(f"there is no such signer: {what}", hint=hint)
        return cls(tuple(words), timeout)

    @property
    def name(self) -> str:
        """The program alone: its arguments are nobody's business, there may be a PIN in them."""
        return f"the signer {self.words[0]}"

    def ask(self, what: str, data: bytes) -> bytes:
        """Run the command on ``data``; return what it printed.

        Its standard error and its terminal are the caller's: it may ask for a PIN. Raises
        :class:`UsageError`.
        """
        kept = {name: text for name, text in os.environ.items() if not name.startswith(_OURS)}
        with tempfile.TemporaryFile() as document:
            document.write(data)
            document.seek(0)
            try:
                process = subprocess.Popen(  # noqa: S603  (the operator names it, and no shell reads it)
                    self.words, stdin=document, stdout=subprocess.PIPE, env={**kept, ASKS: what}
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
        end = time.monotonic() + self.timeout
        answer = bytearray()
        try:
            for block in self._blocks(process, end):
                answer += block
                if len(answer) > MAX_ANSWER:
                    message = f"{self.name} printed more than any signature has"
                    raise UsageError(message, hint="it must print nothing else on standard output")
            code = process.wait(max(0.0, end - time.monotonic()))
        except (TimeoutError, subprocess.TimeoutExpired):
            hint = "a longer time: --signer-timeout SECONDS"
            message = f"{self.name} did not answer within {self.timeout:g} seconds"
            raise UsageError(message, hint=hint) from None
        if code:
            end_of_it = f"was killed by signal {-code}" if code < 0 else f"failed with code {code}"
            raise UsageError(f"{self.name} {end_of_it}", hint="what it said stands above")
        return bytes(answer)

    def _blocks(self, process: subprocess.Popen[bytes], end: float) -> Iterator[bytes]:
        assert process.stdout is not None  # noqa: S101  (it is a pipe)
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while True:
                if not selector.select(max(0.0, end - time.monotonic())):
                    raise TimeoutError
                block = os.read(process.stdout.fileno(), MAX_ANSWER)
                if not block:
                    return
                yield block


def signer(command: Command, *, pub: Path | None = None, name: str = "") -> Signer:
    """Return the signer that ``command`` is.

    ``pub`` is its public key in PEM; without it the command is asked. ``name`` is the signer's
    name, by default that of ``pub`` without its suffix. Raises :class:`UsageError`.
    """
    if not (name or pub):
        hint = "add --signer-name NAME; or --signer-pub NAME.pub, which is its public key too"
        raise UsageError("the signer has no name", hint=hint)
    name = name or (pub.stem if pub else "")
    check_name(name)
    public_key = _given(pub) if pub else _asked(command)
    check_approved(public_key.algorithm, what=f"the key of {command.name}")

    def sign(data: bytes) -> bytes:
        answer = command.ask("sign", data)
        for candidate in _candidates(answer, public_key.algorithm):
            if signature.verify(public_key, candidate, data):
                return candidate
        raise UsageError(
            f"{command.name} printed {len(answer)} bytes that are no signature by {name}'s key",
            hint=f"the public key is {public_key.fingerprint}; is it the key that it signs with?",
        )

    return Signer(name, public_key, sign)


def _given(pub: Path) -> PublicKey:
    try:
        with pub.open("rb") as file:
            return PublicKey.from_pem(file.read(signature.MAX_PEM + 1), what=str(pub))
    except OSError as error:
        reason = (error.strerror or "unknown reason").lower()
        raise UsageError(f"cannot read the public key {pub}: {reason}") from None


def _asked(command: Command) -> PublicKey:
    answer = command.ask("public-key", b"")
    try:
        return PublicKey.from_pem(answer, what=f"what {command.name} printed")
    except UsageError as error:
        hint = f"name its public key with --signer-pub FILE, or let it answer {ASKS}=public-key"
        raise UsageError(error.message, hint=hint) from None


def _candidates(answer: bytes, algorithm: str) -> Iterator[bytes]:
    """Yield what the answer may mean: DER or raw, as it is or in base64."""
    for plain in _plain(answer):
        if algorithm == P256 and len(plain) == 64:
            # PKCS#11 and IEEE P1363: r and s, one after the other.
            r, s = int.from_bytes(plain[:32], "big"), int.from_bytes(plain[32:], "big")
            yield encode_dss_signature(r, s)
        else:
            yield plain


def _plain(answer: bytes) -> Iterator[bytes]:
    yield answer
    try:
        yield base64.b64decode(b"".join(answer.split()), validate=True)
    except ValueError:
        return
