"""The options that say who signs, the same for every command that does."""

from __future__ import annotations

from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

import click

from bundle.errors import UsageError
from bundle.options import FILE, ask, option, warn

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bundler.signing import Signer

    F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Chosen:
    """What the command line says of the signers."""

    keys: tuple[Path, ...]
    command: str
    pub: Path | None
    name: str
    timeout: float

    @property
    def is_empty(self) -> bool:
        """Whether nobody is named."""
        return not (self.keys or self.command)

    def signers(self, *, beside: Path | None = None, trial: bool = False) -> list[Signer]:
        """Return the signers; raise :class:`UsageError` when there is none, or two of one name.

        ``beside``: take the only ``*.key`` in the folder of that file when nobody is named.
        ``trial``: let an external signer sign something that means nothing first.
        """
        found = [_of_file(path) for path in self.keys or self._default(beside)]
        if self.command:
            found.append(self._external(trial=trial))
        elif self.pub or self.name:
            raise UsageError("--signer-pub and --signer-name go with --signer", hint="add --signer")
        names = [signer.name for signer in found]
        for name in names:
            if names.count(name) > 1:
                message = f"two keys are called {name}: one signature would replace the other"
                raise UsageError(message, hint="rename a key file: its name is the signer's name")
        return found

    def _default(self, beside: Path | None) -> tuple[Path, ...]:
        if self.command:
            return ()
        if beside is None:
            raise UsageError("nobody signs", hint="name a key with --key FILE, or --signer COMMAND")
        keys = sorted(beside.resolve().parent.glob("*.key"))
        if len(keys) != 1:
            what = "no *.key" if not keys else f"{len(keys)} *.key files"
            hint = "name it with --key FILE; dray keygen makes one"
            raise UsageError(f"{what} beside {beside}: which key signs?", hint=hint)
        return (keys[0],)

    def _external(self, *, trial: bool) -> Signer:
        from bundle.keycommand import Command
        from bundler import signcommand

        command = Command.parse(self.command, self.timeout)
        signer = signcommand.signer(command, pub=self.pub, name=self.name)
        if trial:
            signer.sign(signcommand.TRIAL)
        return signer


def _of_file(path: Path) -> Signer:
    from bundle.secretfile import Passphrase
    from bundler import signing

    signer, warning = signing.load(path, passphrase=Passphrase(ask=ask))
    if warning:
        warn(warning)
    return signer


def signer_options(keys_help: str) -> Callable[[F], F]:
    """Add the options; the command gets them as ``signing``, a :class:`Chosen`."""

    def decorate(function: F) -> F:
        @wraps(function)
        def chosen(
            *arguments: Any,
            keys: tuple[Path, ...],
            signer: str,
            signer_pub: Path | None,
            signer_name: str,
            signer_timeout: float,
            **more: Any,
        ) -> Any:
            said = Chosen(keys, signer, signer_pub, signer_name, signer_timeout)
            return function(*arguments, signing=said, **more)

        for add in reversed(_options(keys_help)):
            chosen = add(chosen)
        return chosen  # type: ignore[return-value]

    return decorate


def _options(keys_help: str) -> tuple[Callable[[Any], Any], ...]:
    return (
        option("--key", "keys", type=FILE, multiple=True, help=keys_help),
        option(
            "--signer",
            default="",
            metavar="COMMAND",
            help="Sign with this command: the bytes on its input, the signature on its output.",
        ),
        option("--signer-pub", type=FILE, help="Its public key (PEM) [default: it is asked]."),
        option("--signer-name", default="", help="Its name [default: that of --signer-pub]."),
        option(
            "--signer-timeout",
            type=click.IntRange(1, 86_400),
            default=60,
            show_default=True,
            help="Seconds that it has for one signature.",
        ),
    )
