"""The command ``dray ledger``: what this host did, shown, checked, copied; and begun anew."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from bundle.options import FILE, Group, command, emit, option, say

if TYPE_CHECKING:
    from pathlib import Path

    from importer.ledger.chain import Chain
    from importer.ledger.entry import Entry


@click.group("ledger", cls=Group, short_help="Show, check and copy the record of this host.")
def ledger() -> None:
    """The record of what this host imported, refused and trusted: append-only, hash-chained."""


@command("show")
@option("--stream", default="", metavar="NAME", help="Only entries about this stream.")
@option("--last", type=click.IntRange(1), default=None, metavar="N", help="Only the last N.")
def show(stream: str, last: int | None, *, as_json: bool) -> None:
    """Print the entries of this host's ledger, the oldest first."""
    from importer.ledger.book import Ledger  # noqa: PLC0415  (not for --help)

    entries = Ledger.open().chain.entries
    found = [entry for entry in entries if not stream or entry.text("stream") == stream]
    found = found[-last:] if last else found
    if as_json:
        emit({"entries": [document(entry) for entry in found]})
        return
    for entry in found:
        say(line(entry))


@command("verify")
@click.argument("file", required=False, type=FILE)
@option("--against", type=FILE, help="An earlier copy, which this one has to continue.")
def verify(file: Path | None, against: Path | None, *, as_json: bool) -> None:
    """Check that each entry follows from the one before: of this host's ledger, or of a copy."""
    from bundle.errors import VerificationError  # noqa: PLC0415  (not for --help)
    from importer.ledger.book import Ledger  # noqa: PLC0415

    chain = _read(file) if file else Ledger.open().chain
    earlier = _read(against) if against else None
    if earlier is not None and not chain.begins_with(earlier):
        count = len(earlier.entries)
        raise VerificationError(
            f"this ledger is no continuation of {against}, which has {count} entries",
            hint="one of the two was changed, cut back, or is of another host",
        )
    body = {"ledger": chain.name, "entries": len(chain.entries), "tip": str(chain.tip)}
    if as_json:
        emit({**body, "torn": len(chain.torn)})
        return
    say(f"{len(chain.entries)} entries, each follows from the one before it")
    if chain.entries:
        say(f"ledger {chain.name}, last entry {chain.tip}")
    if chain.torn:
        say(f"{len(chain.torn)} bytes behind them are of an append that was cut")


@command("export")
@click.argument("file", type=FILE)
def export(file: Path, *, as_json: bool) -> None:
    """Write a copy of this host's ledger to FILE, for `dray ledger verify` elsewhere."""
    from bundle.durable import replace_file  # noqa: PLC0415  (not for --help)
    from bundle.errors import UsageError  # noqa: PLC0415
    from importer.ledger.book import Ledger  # noqa: PLC0415

    ledger = Ledger.open()
    try:
        replace_file(file, ledger.data())
    except OSError as error:
        reason = (error.strerror or "unknown reason").lower()
        raise UsageError(f"cannot write {file}: {reason}") from None
    body: dict[str, Any] = {"written": str(file), "entries": len(ledger.chain.entries)}
    if as_json:
        emit({**body, "ledger": ledger.chain.name, "tip": str(ledger.chain.tip)})
        return
    say(f"wrote {file}: {body['entries']} entries, last entry {ledger.chain.tip}")


@command("restart", short_help="Set a damaged ledger aside, and open a new one.")
@option("--reason", required=True, help="Why; it is the first thing in the new ledger.")
def restart(reason: str, *, as_json: bool) -> None:
    """Set this host's ledger aside, and open a new one that says why.

    The highest bundle of each stream, as far as it can still be read, is taken over.
    """
    from bundle.errors import UsageError  # noqa: PLC0415  (not for --help)
    from bundle.state import default_folder  # noqa: PLC0415
    from importer.ledger.book import Ledger  # noqa: PLC0415

    if not reason.strip():
        raise UsageError("--reason is empty", hint="say why: it is put on record")
    made = Ledger(default_folder())
    aside = made.restart(reason.strip())
    states = made.standings().states()
    if as_json:
        known = {name: state.sequence for name, state in states.items()}
        emit({"aside": str(aside) if aside else None, "streams": known})
        return
    if aside:
        say(f"the old ledger lies in {aside}")
    for state in states.values():
        say(f"taken over: {state.stream} {state.sequence}")
    say(f"opened {made.path}")


for _command in (show, verify, export, restart):
    ledger.add_command(_command)


def _read(path: Path) -> Chain:
    from bundle.errors import UsageError, VerificationError  # noqa: PLC0415  (not for --help)
    from importer.ledger.book import MAX_BYTES  # noqa: PLC0415
    from importer.ledger.chain import BrokenChain, Chain  # noqa: PLC0415

    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        reason = (error.strerror or "unknown reason").lower()
        raise UsageError(f"cannot read {path}: {reason}") from None
    if len(data) > MAX_BYTES:
        raise VerificationError(f"{path} is larger than {MAX_BYTES} bytes")
    try:
        return Chain().extend(data)
    except BrokenChain as error:
        raise VerificationError(
            f"{path}: {error}", hint="compare it with another copy: it is not as it was written"
        ) from None


def document(entry: Entry) -> dict[str, Any]:
    """Return an entry as ``--json`` prints it: the fields of its line, and its digest."""
    import json  # noqa: PLC0415

    body: dict[str, Any] = json.loads(entry.line)
    return {**body, "digest": str(entry.digest)}


def line(entry: Entry) -> str:
    """Return an entry as people read it."""
    from bundle import instant  # noqa: PLC0415  (not for --help)

    texts = [entry.text(key) for key in ("bundle", "rule", "change", "stream", "reason", "error")]
    if entry.text("bundle"):
        texts.remove(entry.text("stream"))
    if entry.body.get("unsigned"):
        texts.append(f"{entry.body.get('failed')} not signed as {entry.text('file')} requires")
    elif entry.text("policy"):
        texts.append(f"signed as {entry.text('file')} requires")
    if isinstance(version := entry.body.get("version"), int):
        texts.insert(3, f"version {version}")
    said = "  ".join(text.splitlines()[0] for text in texts if text)
    who = entry.text("sudo") or entry.text("user")
    start = f"{entry.number:>5}  {instant.spell(entry.when)}  {who:<10}  {entry.kind:<14}"
    return f"{start}{said}".rstrip()
