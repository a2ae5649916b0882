"""What all commands share: options with a variable each, output, and how errors end."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from bundle.errors import EXIT_CODES, DrayError, NotTrusted, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from bundle.trust import Trust

    F = TypeVar("F", bound=Callable[..., Any])

FOLDER = click.Path(file_okay=False, path_type=Path)
FILE = click.Path(dir_okay=False, path_type=Path)


def option(*names: str, **settings: Any) -> Callable[[F], F]:
    """Return a click option that ``DRAY_<NAME>`` sets as well."""
    long = next(name for name in names if name.startswith("--")).split("/")[0]
    variable = "DRAY_" + long.removeprefix("--").replace("-", "_").upper()
    return click.option(
        *names, envvar=settings.pop("envvar", variable), show_envvar=True, **settings
    )


class Command(click.Command):
    """A command whose help ends with the exit codes."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the exit codes."""
        formatter.write(f"\n{EXIT_CODES}\n")
        super().format_epilog(ctx, formatter)


def command(name: str, **settings: Any) -> Callable[[Callable[..., Any]], Command]:
    """Return a decorator that makes a dray command, with ``--json``."""

    def decorate(function: Callable[..., Any]) -> Command:
        flag = option("--json", "as_json", is_flag=True, help="Print one JSON object for machines.")
        made = click.command(name, cls=Command, **settings)(_fips(flag(function)))
        assert isinstance(made, Command)  # noqa: S101  (cls says so)
        # What a command is for stands before how it prints.
        made.params += [made.params.pop(1), made.params.pop(0)]
        return made

    return decorate


class Group(click.Group):
    """A group of commands of one subject, to which both sides may add theirs; see :func:`merge`."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the exit codes."""
        formatter.write(f"\n{EXIT_CODES}\n")


def merge(into: click.Group, found: click.Command) -> None:
    """Add a command to a group; groups of one name become one group."""
    there = into.commands.get(found.name or "")
    if isinstance(there, click.Group) and isinstance(found, click.Group):
        for inner in found.commands.values():
            merge(there, inner)
    else:
        into.add_command(found)


def _fips(function: F) -> F:
    def switch(_context: object, _parameter: object, value: bool) -> None:  # noqa: FBT001, RUF100
        from bundle import fips

        fips.turn_on() if value else fips.turn_off()

    return option(
        "--fips",
        is_flag=True,
        expose_value=False,
        is_eager=True,
        callback=switch,
        help="Take only what FIPS 140 approves, from OpenSSL's FIPS provider.",
    )(function)


def say(text: str = "") -> None:
    """Print a line of a result for people, which stays one line whatever is named in it."""
    click.echo(shown(text.replace("\n", "\\n")))


def shown(text: str) -> str:
    """Return ``text`` for a terminal: names on a medium must not move its cursor, nor hide.

    Lines behind the first are indented, as dray's own are: none of them looks like a new message.
    """
    if text.isprintable():
        return text
    plain = "".join(
        letter if letter.isprintable() or letter == "\n" else ascii(letter)[1:-1] for letter in text
    )
    return re.sub(r"\n(?!  )(?=.)", "\n  ", plain)


def warn(text: str) -> None:
    """Print a warning on standard error."""
    click.echo(shown(f"dray: warning: {text}"), err=True)


class _Output:
    """Whether this command has printed its one JSON object."""

    is_json_printed = False


def begin() -> None:
    """Forget what an earlier command in this process has printed."""
    _Output.is_json_printed = False


def emit(document: dict[str, Any]) -> None:
    """Print the one JSON object of a command."""
    _Output.is_json_printed = True
    text = json.dumps(document, indent=2, ensure_ascii=False)
    # It may be looked at on a terminal too. Outside of strings there is nothing but ASCII.
    click.echo("".join(map(_spelt, text)) if not text.isascii() or "\x7f" in text else text)


def _spelt(letter: str) -> str:
    """Return a letter of a JSON text as it is, or escaped where a terminal would act on it."""
    return letter if letter.isprintable() or letter == "\n" else json.dumps(letter)[1:-1]


def fail(error: DrayError, *, as_json: bool) -> NoReturn:
    """Print an error, once, and leave with its exit code.

    A command that printed its JSON object already has put the error into it.
    """
    if as_json and not _Output.is_json_printed:
        emit({"error": error.to_dict()})
    side = f" ({error.side})" if error.side else ""
    click.echo(shown(f"dray: error{side}: {error.message}"), err=True)
    if error.hint:
        click.echo(shown(f"dray: hint: {error.hint}"), err=True)
    sys.exit(error.exit_code)


def ask(what: str, confirm: bool) -> str:  # noqa: FBT001, RUF100  (the shape that Passphrase calls)
    """Ask for the passphrase of ``what`` on the terminal."""
    text: str = click.prompt(
        f"Passphrase of {what}", hide_input=True, err=True, confirmation_prompt=confirm
    )
    return text


@contextmanager
def stoppable() -> Iterator[threading.Event]:
    """Yield an event that interrupt and termination set: a run stops at the next block.

    A second signal ends the process at once; what is on disk is as good as after a kill.
    """
    stop = threading.Event()

    def handle(_number: int, _frame: object) -> None:
        if stop.is_set():
            os._exit(8)
        stop.set()

    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def trust_options(function: F) -> F:
    """Add ``--trust`` and ``--key``: whose signatures count."""
    trust = option(
        "--trust",
        type=FILE,
        help="Trust file [default: ./trust.json, then ~/.config/dray/trust.json].",
    )
    key = option("--pub", type=FILE, help="Trust this one public key (PEM), for any stream.")
    return trust(key(function))


PLANTED = "planted-trust"
"""The ``case`` of a trust file that lies where anybody may have put it."""
_ANOTHER_WAY = "take the trust file from the low side by another way; or name it with --trust"


def _refuse_of_medium(place: Path, media: Iterable[Path], named: Iterable[Path]) -> None:
    """Refuse a trust file that came with the bundle: in a folder that was named, or above it.

    Above it counts on a file system that is not the home's: elsewhere people work so.
    """
    # Where it lies and where its name lies: on a medium, one may be a link to the other.
    above, home = {place.absolute().parent.resolve(), place.resolve().parent}, _device(Path.home())
    inside = any(there.is_relative_to(one.resolve()) for one in named for there in above)
    together = any(
        folder.resolve().is_relative_to(there) and _device(folder) == _device(there) != home
        for folder in media
        for there in above
    )
    if inside or together:
        raise NotTrusted(
            f"{place.resolve()} lies on the medium with the bundle, and vouches for nothing",
            hint=_ANOTHER_WAY,
            case=PLANTED,
        )


def _refuse_of_anybody(place: Path) -> None:
    """Refuse a trust file that anybody on this host may have written, or put there."""
    try:
        own, folder = place.stat(), place.resolve().parent.stat()
    except OSError:
        return  # reading it will say why
    planted = folder.st_mode & stat.S_IWOTH and own.st_uid not in {0, os.geteuid()}
    if own.st_mode & stat.S_IWOTH or planted:
        raise NotTrusted(
            f"{place.resolve()} may be anybody's: others can write it, or put one there",
            hint="chmod o-w the file and its folder, once it is what it should be; or name it "
            "with --trust",
            case=PLANTED,
        )


def _device(path: Path) -> int:
    try:
        return path.stat().st_dev
    except OSError:
        return -1


def find_trust(
    trust: Path | None, pub: Path | None, media: Iterable[Path] = (), named: Iterable[Path] = ()
) -> Trust:
    """Return whose signatures count; nothing that lies on the medium is asked unless it is named.

    ``media`` are the bundle's folders, ``named`` those of the command line: a ``trust.json`` that
    nobody named and that came with them would vouch for whoever wrote the medium.
    """
    from bundle import trust as trusts

    if trust and pub:
        raise UsageError("--trust and --pub exclude each other", hint="a trust file lists its keys")
    if pub:
        try:
            data = pub.read_bytes()
        except OSError as error:
            raise UsageError(f"{pub} cannot be read: {(error.strerror or '').lower()}") from None
        if data.lstrip().startswith(b"{"):
            raise UsageError(f"{pub} is no public key", hint="a trust file: name it with --trust")
        return trusts.single_key(data, name=pub.stem, what=str(pub))
    return trusts.load(trust_place(trust, media, named))


def trust_place(trust: Path | None, media: Iterable[Path] = (), named: Iterable[Path] = ()) -> Path:
    """Return the trust file that was named, or the first of those that are looked for."""
    if trust:
        return trust
    home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "dray/trust.json"
    for place in (Path("trust.json"), home):
        if place.is_file():
            _refuse_of_medium(place, media, () if place is home else named)
            _refuse_of_anybody(place)
            return place
    raise NotTrusted(
        "no trust file: nobody's signature would count",
        hint="name it with --trust FILE, or one public key with --pub FILE; "
        "take both from the low side by another way than the medium",
    )


def size(text: str, presets: dict[str, int] | None = None) -> int:
    """Return bytes for ``4GB``, ``4GiB``, ``4000000000`` or a preset's name."""
    if presets and text.lower() in presets:
        return presets[text.lower()]
    match = re.fullmatch(r"([0-9]{1,15})(?:\.([0-9]{1,3}))?\s*([kKMGT]?)(i?)(B?)", text.strip())
    if not match:
        names = "".join(f", {name}" for name in presets or ())
        raise UsageError(f"not a size: {text!r}", hint=f"write 4GB, 700MB, 4GiB or bytes{names}")
    power = " KMGT".index(match[3].upper() or " ")
    unit: int = (1024 if match[4] else 1000) ** power
    return int(match[1]) * unit + int((match[2] or "0").ljust(3, "0")) * unit // 1000
