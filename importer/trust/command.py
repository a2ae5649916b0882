"""The commands ``dray trust …`` that need no private key: show, apply, replace."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bundle.options import FILE, Group, command, emit, option, say

PLACE = click.Path(path_type=Path)


@click.group("trust", cls=Group, short_help="The trust file's life: who may sign for what.")
def trust() -> None:
    """Make, change, sign, show and apply the trust file: who may sign for what."""


def _file_option(function: Any) -> Any:
    return option(
        "--trust",
        "path",
        type=FILE,
        help="Trust file in use [default: ./trust.json, then ~/.config/dray/trust.json].",
    )(function)


@command("show")
@click.argument("file", type=FILE, required=False)
@_file_option
def show(file: Path | None, path: Path | None, *, as_json: bool) -> None:
    """Show a trust file: keys and fingerprints to compare, who signs for what, until when."""
    from bundle import trust as trusts
    from bundle.options import trust_place
    from bundle.trustdiff import describe, document
    from importer.trust.store import history

    place = file or trust_place(path)
    found = trusts.load(place)
    chain = history(place, found)
    if as_json:
        emit({"file": str(place), **document(found), "history": chain})
        return
    say(str(place))
    for line in describe(found):
        say(line)
    for row in chain:
        say(f"before: version {row['version']}, fingerprint {row['fingerprint']}")


@command("apply")
@click.argument("places", nargs=-1, required=True, type=PLACE)
@_file_option
def apply(places: tuple[Path, ...], path: Path | None, *, as_json: bool) -> None:
    """Take the newer versions of the trust file in PLACES into use: a medium, a folder, a file.

    Each must be signed as the version before it, and it itself, demand. Put on record.
    """
    from bundle import instant, trustplace
    from bundle.errors import UsageError
    from bundle.options import trust_place
    from bundle.trustdiff import changes
    from importer.trust.store import Store

    store = Store.open(trust_place(path, places, places))
    versions = trustplace.versions(places)
    if not versions:
        where = ", ".join(str(place) for place in places)
        raise UsageError(
            f"no signed version of a trust file in {where}",
            hint="a medium carries <stream>-<sequence>.trust-chain.json when there is one; a "
            "trust.json that nobody signed, for root keys were lost: dray trust replace",
        )
    before = store.current
    accepted = store.apply(versions, instant.now())
    if as_json:
        body = {"file": str(store.path), "version": store.current.version}
        emit({**body, "applied": [one.trust.version for one in accepted]})
        return
    if not accepted:
        say(f"{store.path} is version {before.version}, and nothing newer is there")
        return
    for one in accepted:
        say(f"version {one.trust.version}, signed by {', '.join(one.signers)}")
    for line in changes(before, store.current):
        say(line)
    say(f"{store.path} is version {store.current.version} now")


@command("replace")
@click.argument("new", type=FILE)
@option("--reason", required=True, help="Why; it is put on record.")
@option(
    "--expect-fingerprint",
    required=True,
    metavar="HEX",
    help="What the low side reads out: 20 digits of the file's SHA-256 at least.",
)
@_file_option
def replace(
    new: Path, reason: str, expect_fingerprint: str, path: Path | None, *, as_json: bool
) -> None:
    """Take the trust file NEW into use although nobody signed it: when root keys are lost.

    It needs a higher version than the one in use. Compare the fingerprint with the low side by
    telephone or on paper, never by what came with the file. Put on record.
    """
    from bundle import instant
    from bundle.options import trust_place
    from bundle.trustdiff import changes
    from importer.trust.store import Store

    store = Store.open(trust_place(path))
    before = store.current
    after = store.replace(new, expect_fingerprint, reason, instant.now())
    lines = list(changes(before, after))
    if as_json:
        emit({"file": str(store.path), "version": after.version, "changes": lines})
        return
    for line in lines:
        say(line)
    say(f"{store.path} is version {after.version} now, by hand; put on record")


for _command in (show, apply, replace):
    trust.add_command(_command)
