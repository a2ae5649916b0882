"""The options that commands of the high side share."""

from __future__ import annotations

from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

import click

from bundle.errors import UsageError
from bundle.options import FILE, option

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    F = TypeVar("F", bound=Callable[..., object])


def policy_option(function: F) -> F:
    """Add ``--policy``."""
    added: F = option(
        "--policy",
        type=FILE,
        help="Policy file: whose signatures must be on what, and which gates it must pass.",
    )(function)
    return added


def quarantine_option(function: F) -> F:
    """Add ``--quarantine``."""
    added: F = option(
        "--quarantine",
        default="",
        metavar="NAME",
        help="Put everything into this project (of a Harbor) or below this name, for `dray promote`"
        " [default: what the target file says].",
    )(function)
    return added


def override_options(function: Callable[..., None]) -> Any:
    """Add the options that let a rule be, for a reason that goes into the ledger."""

    @wraps(function)
    def with_reasons(
        *arguments: Any, allow_rollback: str, allow_expired: str, **named: Any
    ) -> None:
        from importer.admission import Overrides

        mirror = named.pop("ignore_mirror", "").strip()
        reasons = Overrides(allow_rollback.strip(), allow_expired.strip(), mirror)
        function(*arguments, overrides=reasons, **named)

    rollback = option(
        "--allow-rollback",
        default="",
        metavar="REASON",
        help="Accept a bundle older than the last one, or a trust file that nobody applied.",
    )
    expired = option(
        "--allow-expired",
        default="",
        metavar="REASON",
        help="Accept an expired bundle, or a clock that is behind this host's ledger.",
    )
    return rollback(expired(with_reasons))


_EITHER = "name the file, or the command; DRAY_DECRYPT_KEY and DRAY_DECRYPTOR name one as well"


@dataclass(frozen=True, slots=True)
class Decryption:
    """What the command line says of the private key that opens chunks: a file, or a command."""

    key: Path | None = None
    command: str = ""
    pub: Path | None = None
    timeout: float = 60

    def check(self) -> None:
        """Raise :class:`UsageError` for options that do not go together."""
        if self.key and self.command:
            message = "--decrypt-key and --decryptor exclude each other"
            raise UsageError(message, hint=_EITHER)
        if self.pub and not self.command:
            raise UsageError("--decryptor-pub goes with --decryptor", hint="add --decryptor")

    @property
    def is_empty(self) -> bool:
        """Whether no key is named."""
        return not (self.key or self.command)


def decrypt_options(function: Callable[..., None]) -> Any:
    """Add the options that name the key; the function takes ``decryption``."""

    @wraps(function)
    def chosen(
        *arguments: Any,
        decrypt_key: Path | None,
        decryptor: str,
        decryptor_pub: Path | None,
        decryptor_timeout: float,
        **named: Any,
    ) -> None:
        said = Decryption(decrypt_key, decryptor, decryptor_pub, decryptor_timeout)
        said.check()
        function(*arguments, decryption=said, **named)

    for add in reversed(_DECRYPTION):
        chosen = add(chosen)
    return chosen


_DECRYPTION = (
    option(
        "--decrypt-key", type=FILE, help="Private key (PEM) that opens the chunks, if encrypted."
    ),
    option(
        "--decryptor",
        default="",
        metavar="COMMAND",
        help="Open them with this command instead: a public key on its input, what ECDH gives on"
        " its output.",
    ),
    option("--decryptor-pub", type=FILE, help="Its public key (PEM) [default: it is asked]."),
    option(
        "--decryptor-timeout",
        type=click.IntRange(1, 86_400),
        default=60,
        show_default=True,
        help="Seconds that it has for one answer.",
    ),
)
