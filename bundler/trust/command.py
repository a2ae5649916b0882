"""The commands ``dray trust …`` of the low side: they write the next version, and sign it."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bundle.errors import NotTrusted, UsageError
from bundle.options import FILE, Group, command, emit, option, say
from bundler.signers import signer_options

if TYPE_CHECKING:
    from collections.abc import Callable

    from bundle.signature import PublicKey
    from bundle.trust import Trust
    from bundler.signers import Chosen
    from bundler.trust.draft import Draft


@click.group("trust", cls=Group, short_help="The trust file's life: who may sign for what.")
def trust() -> None:
    """Make, change, sign, show and apply the trust file: who may sign for what."""


def _file_option(function: Any) -> Any:
    return option(
        "--trust",
        "path",
        type=FILE,
        default=Path("trust.json"),
        show_default=True,
        help="The trust file in use.",
    )(function)


def _where(function: Any) -> Any:
    """Add the options that name roles."""
    stream = option(
        "--stream",
        "streams",
        multiple=True,
        metavar="NAME[:ROLE]",
        help="A stream, or one of its roles; repeatable.",
    )
    root = option("--root", is_flag=True, help="The role that signs the trust file itself.")
    return stream(root(function))


def _counts(function: Any) -> Any:
    count = option(
        "--threshold", type=click.IntRange(1), metavar="N", help="How many must sign for --stream."
    )
    root = option(
        "--root-threshold", type=click.IntRange(1), metavar="N", help="How many for the file."
    )
    return count(root(function))


def _expires_option(function: Any) -> Any:
    return option(
        "--expires", default="", metavar="SPAN", help="How long it holds [default: 365d]."
    )(function)


@command("init")
@click.argument("path", type=FILE, default=Path("trust.json"))
@option("--key", "keys", type=FILE, multiple=True, required=True, help="Public key; repeatable.")
@option("--stream", "streams", multiple=True, required=True, metavar="NAME", help="Repeatable.")
@_counts
@option(
    "--version",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    metavar="N",
    help="More than 1 is for dray trust replace.",
)
@option(
    "--epoch",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    metavar="N",
    help="The streams' epoch; more than 0 is for dray trust replace.",
)
@_expires_option
def init(  # noqa: PLR0913
    path: Path,
    keys: tuple[Path, ...],
    streams: tuple[str, ...],
    threshold: int | None,
    root_threshold: int | None,
    version: int,
    expires: str,
    *,
    epoch: int,
    as_json: bool,
) -> None:
    """Write a first trust file, in which every --key may sign for every --stream and the file."""
    from bundle import instant
    from bundle.quorum import Role, Stream
    from bundle.trust import Trust
    from bundle.trustdiff import describe
    from bundler.finish import put
    from bundler.trust import edit
    from bundler.trust.draft import LIFETIME

    if path.exists():
        hint = "dray trust add and dray trust revoke write its next version"
        raise UsageError(f"{path} is there already", hint=hint)
    found = dict(_public(file, "") for file in keys)
    names = tuple(found)
    if len(found) < len(keys):
        twice = next(file for file in keys if [one.stem for one in keys].count(file.stem) > 1)
        message = f"two keys are called {twice.stem}"
        raise UsageError(message, hint="rename a file: it names the signer")
    made = Trust(
        version=version,
        expires=(instant.now() + (_span(expires) or LIFETIME)).replace(microsecond=0),
        keys=found,
        root=Role(names, root_threshold or 1),
        streams={name: Stream.of(names, threshold or 1, epoch) for name in streams},
    )
    made = edit.check(made)
    put(path, made.to_bytes())
    if as_json:
        emit({"written": [str(path)], "version": version, "fingerprint": str(made.digest)})
        return
    say(f"wrote {path}")
    for line in describe(made):
        say(line)
    say("take it to the high side by another way than the medium, and compare the fingerprint")


@command("add")
@click.argument("key", type=FILE)
@option("--name", default="", help="The signer's name [default: the file's].")
@option("--person", default="", help="Whose key it is, for people or sites with several keys.")
@option("--receipts", is_flag=True, help="The key signs receipts of imports, and nothing else.")
@_where
@_counts
@_file_option
@_expires_option
def add(  # noqa: PLR0913
    key: Path,
    name: str,
    person: str,
    streams: tuple[str, ...],
    threshold: int | None,
    root_threshold: int | None,
    path: Path,
    *,
    root: bool,
    receipts: bool,
    expires: str,
    as_json: bool,
) -> None:
    """Let the public key KEY sign for streams, or for the trust file: in its next version.

    With --receipts it is the key of a high side, --name or --person says which: the receipts that
    it signs are believed by export --since.
    """
    from bundler.trust import edit

    where = edit.seats(streams, root=root)
    if bool(where) == receipts:
        hint = "--stream NAME, --root, or both; or --receipts alone"
        raise UsageError("sign for what?", hint=hint)
    called, public = _public(key, name)
    if receipts:
        _change(
            path,
            lambda before: edit.add_receipts(before, called, public, site=person),
            expires,
            as_json=as_json,
        )
        return

    def change(before: Trust) -> Trust:
        after = edit.add(before, called, public, where, person=person)
        return _counted(after, streams, threshold, root_threshold)

    _change(path, change, expires, as_json=as_json)


@command("revoke")
@click.argument("name")
@_where
@_counts
@_file_option
@_expires_option
def revoke(
    name: str,
    streams: tuple[str, ...],
    threshold: int | None,
    root_threshold: int | None,
    path: Path,
    *,
    root: bool,
    expires: str,
    as_json: bool,
) -> None:
    """Take the key NAME out of the roles named, or out of the trust file: in its next version."""
    from bundler.trust import edit

    where = edit.seats(streams, root=root)

    def change(before: Trust) -> Trust:
        # A threshold that no longer fits has to go down first.
        lower = _counted(
            before, streams or tuple(before.streams) * bool(threshold), threshold, root_threshold
        )
        return edit.revoke(lower, name, where)

    _change(path, change, expires, as_json=as_json)


@command("threshold")
@click.argument("count", type=click.IntRange(1))
@_where
@_file_option
@_expires_option
def threshold(
    count: int,
    streams: tuple[str, ...],
    path: Path,
    *,
    root: bool,
    expires: str,
    as_json: bool,
) -> None:
    """Have COUNT people sign for streams, or for the trust file: in its next version."""
    from bundler.trust import edit

    where = edit.seats(streams, root=root)
    if not where:
        raise UsageError("sign for what?", hint="--stream NAME, --root, or both")
    _change(path, lambda before: edit.threshold(before, where, count), expires, as_json=as_json)


@command("epoch")
@click.argument("stream")
@_file_option
@_expires_option
def epoch(stream: str, path: Path, *, expires: str, as_json: bool) -> None:
    """Have STREAM's numbers begin anew, after a stolen key had run them far ahead."""
    from bundler.trust import edit

    _change(path, lambda before: edit.raise_epoch(before, stream), expires, as_json=as_json)


@command("renew")
@_file_option
@_expires_option
def renew(path: Path, *, expires: str, as_json: bool) -> None:
    """Write a next version that changes nothing but how long it holds."""
    _change(path, lambda before: before, expires or "365d", as_json=as_json)


@command("sign")
@signer_options("Private key of the root key's holder who signs.")
@_file_option
def sign(signing: Chosen, path: Path, *, as_json: bool) -> None:
    """Sign the next version; when everybody who must has signed, it is taken into use.

    With nobody named, only look who has signed: signatures that were made elsewhere lie beside it.
    """
    from bundle import trust as trusts
    from bundle.trustdiff import changes
    from bundler.trust.draft import Draft

    draft = Draft.open(path)
    there = draft.version()
    lines = []
    if there is not None:
        lines = list(changes(draft.current, trusts.read(there.data, what=str(draft.file))))
    signers = [] if signing.is_empty else signing.signers()
    written = [file for signer in signers for file in draft.sign(signer)]
    missing = ""
    try:
        draft.complete()
    except NotTrusted as error:
        missing = error.message
    if as_json:
        body = {"written": [str(file) for file in written], "version": draft.number}
        emit({**body, "inUse": not missing, "missing": missing})
        return
    for line in lines:
        say(line)
    for file in written:
        say(f"wrote {file}")
    if missing:
        say(f"not in use yet: {missing}")
    else:
        say(f"{path} is version {draft.number} now; every export takes it along")


for _command in (init, add, revoke, threshold, epoch, renew, sign):
    trust.add_command(_command)


def _change(path: Path, what: Callable[[Trust], Trust], expires: str, *, as_json: bool) -> None:
    from bundle.trustdiff import changes
    from bundler.trust.draft import Draft

    draft = Draft.open(path)
    after, void = draft.change(what, _span(expires))
    lines = list(changes(draft.current, after))
    if as_json:
        body = {"written": [str(draft.file)], "version": after.version, "changes": lines}
        emit({**body, "void": void, "fingerprint": str(after.digest)})
        return
    for line in lines:
        say(line)
    for name in void:
        say(f"the signature of {name} is void, and was removed")
    say(f"wrote {draft.file}: version {after.version}, which {_must(draft, after)} must sign")
    say(f"next: dray trust sign --key {draft.current.root.keys[0]}.key")


def _must(draft: Draft, after: Trust) -> str:
    before = draft.current.root
    rules = {f"{role.threshold} of {', '.join(role.keys)}" for role in (before, after.root)}
    return " and ".join(sorted(rules))


def _counted(
    before: Trust, streams: tuple[str, ...], count: int | None, root_count: int | None
) -> Trust:
    from bundler.trust import edit

    after = before
    if count is not None:
        if not streams:
            raise UsageError("--threshold is for --stream", hint="--root-threshold is for --root")
        after = edit.threshold(after, edit.seats(streams, root=False), count)
    if root_count is not None:
        after = edit.threshold(after, [edit.ROOT], root_count)
    return after


def _public(path: Path, name: str) -> tuple[str, PublicKey]:
    from bundle.signature import PublicKey
    from bundler import signing

    name = name or path.stem
    signing.check_name(name)
    try:
        data = path.read_bytes()
    except OSError as error:
        reason = (error.strerror or "unknown reason").lower()
        raise UsageError(f"{path} cannot be read: {reason}") from None
    return name, PublicKey.from_pem(data, what=str(path))


def _span(text: str) -> timedelta | None:
    if not text:
        return None
    match = re.fullmatch(r"([1-9][0-9]{0,4})d", text)
    if not match:
        raise UsageError(f"not a span of days: {text[:40]!r}", hint="write 365d")
    return timedelta(days=int(match[1]))
