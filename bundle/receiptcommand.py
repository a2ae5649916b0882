"""The commands that either side has for receipts: ``dray receipt verify`` and ``receipt show``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bundle.options import FILE, Group, command, emit, option, say
from bundle.progress import counted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bundle.receipt import Entry, Signed
    from bundle.rulings import Publishers
    from bundle.signature import PublicKey

_FILES = click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
_pub = option(
    "--receipt-pub",
    "--pub",
    "pubs",
    type=FILE,
    multiple=True,
    envvar="DRAY_RECEIPT_PUB",
    metavar="FILE",
    help="Public key (PEM) of a high side that signs receipts; repeatable.",
)


OUTCOMES = {
    "complete": "complete",
    "partly": "NOT COMPLETE",
    "refused": "REFUSED",
    "failed": "FAILED",
    "interrupted": "INTERRUPTED",
}
"""How each outcome of an import is spelt for people."""


_trust = option(
    "--trust",
    type=FILE,
    help="Trust file whose keys for receipts count, without --pub [default: as everywhere].",
)


@click.group("receipt", cls=Group, short_help="Show and verify what a high side says it loaded.")
def receipt() -> None:
    """Receipts: what an import verified and loaded, where, by whom; signed by the high side."""


@command("verify")
@_FILES
@_pub
@_trust
def verify(
    files: tuple[Path, ...], pubs: tuple[Path, ...], trust: Path | None, *, as_json: bool
) -> None:
    """Verify that the high side's key signed each FILE. Works on either side, offline."""
    from bundle.errors import DrayError  # noqa: PLC0415  (not for --help)
    from bundle.receipt import unseal  # noqa: PLC0415

    keys = read_keys(pubs) or _trusted(trust, files)
    rows: list[dict[str, Any]] = []
    failure: DrayError | None = None
    for path in files:
        try:
            found = unseal(read_file(path), keys, what=str(path))
        except DrayError as error:
            failure = failure or error
            rows.append({"file": str(path), "ok": False, "error": error.to_dict()})
            continue
        rows.append({"file": str(path), "ok": True, **summary(found)})
    if as_json:
        emit({"receipts": rows} | ({"error": failure.to_dict()} if failure else {}))
    else:
        for row in rows:
            say(_verdict(row))
    if failure:
        raise failure


def _verdict(row: dict[str, Any]) -> str:
    if not row["ok"]:
        return f"BAD {row['file']}: {row['error']['message']}"
    state = OUTCOMES[row["outcome"]]
    return f"{row['file']}: {row['bundle']} {state}, {row['ended']}, signed by {row['key'][:19]}"


@command("show")
@_FILES
@_pub
@_trust
@option("--files", "all_contents", is_flag=True, help="List every file, layer and manifest.")
def show(
    files: tuple[Path, ...],
    pubs: tuple[Path, ...],
    trust: Path | None,
    *,
    all_contents: bool,
    as_json: bool,
) -> None:
    """Print what each FILE says; without --pub or --trust it is a claim that nothing proves."""
    from bundle.receipt import unproved, unseal  # noqa: PLC0415  (not for --help)

    keys = read_keys(pubs) or (_trusted(trust, files) if trust else {})
    found = []
    for path in files:
        data, what = read_file(path), str(path)
        found.append(unseal(data, keys, what=what) if keys else unproved(data, what=what))
    if as_json:
        rows = [{**summary(one), "statement": one.receipt.to_dict()} for one in found]
        emit({"receipts": rows})
        return
    for one in found:
        _print(one, all_contents=all_contents)


def _print(found: Signed, *, all_contents: bool) -> None:
    from bundle import instant  # noqa: PLC0415  (not for --help)

    made = found.receipt
    by = made.by.get("sudo") or made.by.get("user", "somebody")
    verb = "imported" if made.held else OUTCOMES[made.outcome]
    what = f"{verb} {instant.spell(made.ended)} by {by} on {made.by.get('host', 'a host')}"
    say(f"{made.bundle.name}  {what}")
    say(f"receipt {found.digest}  {_proof(found)}")
    say(f"manifest {made.bundle.manifest}")
    trust = f", trust file version {made.verified.trust_version}" if made.verified.trust else ""
    say(f"verified: signed by {', '.join(made.verified.signers)}{trust}")
    for rule, reason in made.overrides.items():
        say(f"OVERRIDDEN {rule}: {reason}")
    if made.publishers:
        _publishers(made.publishers)
    if made.ending:
        why = f"exit code {made.ending.exit_code}, {made.ending.rule}: {made.ending.error}"
        say(f"{made.ending.outcome.upper()} {why}")
    for entry in made.entries:
        _entry(entry, all_contents=all_contents)


def _publishers(said: Publishers) -> None:
    good = said.required - len(said.failed)
    what = f"{good} of {counted(said.required, 'artifact')} signed as required"
    say(f"policy {said.file} {said.digest.short}: {what}")
    for one in said.failed:
        say(f"    {one.artifact}: {'; '.join(one.faults)}")


def _proof(found: Signed) -> str:
    if found.key:
        return f"signed by {found.key.fingerprint.short}"
    return "signed, not verified: give --pub" if found.is_signed else "not signed"


def _entry(entry: Entry, *, all_contents: bool) -> None:
    where = f" -> {entry.place}" if entry.place else ""
    say(f"{entry.result:9}{entry.artifact.kind:9}{entry.artifact.name}{where}")
    for place, before in entry.replaced:
        say(f"    replaced {place}: was {before}")
    if entry.error:
        say(f"    {entry.error}")
    for content in entry.artifact.contents if all_contents else ():
        what = content.path or " ".join([*content.tags, content.platform]).strip()
        say(f"    {content.role:9}{content.size:>14}  {content.digest}  {what}".rstrip())


for _command in (show, verify):
    receipt.add_command(_command)


def summary(found: Signed) -> dict[str, Any]:
    """Return what ``--json`` prints of each receipt."""
    from bundle import instant  # noqa: PLC0415  (not for --help)

    made = found.receipt
    counts: dict[str, int] = {}
    for entry in made.entries:
        counts[entry.result] = counts.get(entry.result, 0) + 1
    body: dict[str, Any] = {"bundle": made.bundle.name, "stream": made.bundle.stream}
    body |= {"manifest": str(made.bundle.manifest), "digest": str(found.digest)}
    body |= {"signed": found.is_signed, "verified": found.key is not None}
    if found.key:
        body["key"] = str(found.key.fingerprint)
    ended = instant.spell(made.ended)
    body |= {"complete": made.complete, "outcome": made.outcome, "ended": ended}
    if made.ending:
        body["ending"] = made.ending.to_dict()
    return {**body, "artifacts": counts}


def read_keys(paths: tuple[Path, ...]) -> dict[str, PublicKey]:
    """Return the public keys by the names of their files; raise :class:`UsageError`."""
    from bundle.errors import UsageError  # noqa: PLC0415  (not for --help)
    from bundle.signature import PublicKey  # noqa: PLC0415

    found = {}
    for path in paths:
        try:
            found[str(path)] = PublicKey.from_pem(path.read_bytes(), what=str(path))
        except OSError as error:
            raise UsageError(f"{path} cannot be read: {error.strerror}") from None
    return found


def _trusted(place: Path | None, files: tuple[Path, ...]) -> Mapping[str, PublicKey]:
    """Return the keys for receipts of the trust file, which came another way than ``files``."""
    from bundle import instant, trust  # noqa: PLC0415  (not for --help)
    from bundle.errors import NotTrusted, UsageError  # noqa: PLC0415
    from bundle.options import PLANTED, trust_place  # noqa: PLC0415

    try:
        found = trust.load(trust_place(place, [path.parent for path in files]))
    except NotTrusted as error:
        if error.case == PLANTED:
            raise
        hint = "--pub receipt.pub: dray receipt keygen made it; or a trust file that names it"
        raise UsageError("no key to verify with", hint=hint) from None
    found.check_current(instant.now())
    return found.receipts.require()


def read_file(path: Path) -> bytes:
    """Return a receipt's bytes, no more than one can have; raise :class:`UsageError`."""
    from bundle.errors import UsageError  # noqa: PLC0415  (not for --help)
    from bundle.receipt import MAX_BYTES  # noqa: PLC0415

    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        reason = (error.strerror or "unknown reason").lower()
        raise UsageError(f"cannot read the receipt {path}: {reason}") from None
