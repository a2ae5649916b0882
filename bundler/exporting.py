"""The command ``dray export``: options to an export, and its end to people or machines."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from bundle.errors import UsageError
from bundle.options import FILE, FOLDER, command, option, size, stoppable, warn
from bundler.again import again_options
from bundler.connect import login_options
from bundler.deltaoptions import delta_options
from bundler.scan.option import scanner_options
from bundler.signers import signer_options

if TYPE_CHECKING:
    from pathlib import Path

    from bundler.again import Again
    from bundler.connect import Connect
    from bundler.deltaoptions import Since
    from bundler.scan.option import Chosen as Scanning
    from bundler.signers import Chosen


@command("export", short_help="Lock if needed, pull, pack, sign, and read back what SPEC names.")
@click.argument("spec", type=FILE)
@option(
    "--to",
    "folders",
    type=FOLDER,
    multiple=True,
    metavar="DIR",
    help="Where the bundle goes; several times for several mounted drives.",
)
@option(
    "--chunk-size",
    default="fat32",
    show_default=True,
    metavar="SIZE",
    help="Most bytes of a file: fat32 (4 GB), dvd (4.7 GB), bd25 (25 GB), or a size as 2GB.",
)
@option(
    "--media",
    default="",
    metavar="SIZE,SIZE,…",
    help="Capacities of the drives, in order, as 64GB,64GB.",
)
@option(
    "--compress",
    is_flag=True,
    help="Store what shrinks by it as Zstandard; compressed layers stay as they are.",
)
@option(
    "--parity",
    default="",
    metavar="K",
    help="Add a parity file for every K chunks, from which dray repair restores what is damaged "
    "or lost; K+2 adds two.",
)
@signer_options("Private key that signs; repeatable [default: the only *.key beside SPEC].")
@option(
    "--connections",
    type=click.IntRange(1, 32),
    default=16,
    show_default=True,
    help="How many to open at most; several share a large blob whose server throttles each.",
)
@option(
    "--encrypt-to",
    type=FILE,
    multiple=True,
    help="Encrypt the chunks so that the holder of this public key opens them; repeatable.",
)
@delta_options
@option("--plan", "plan_only", is_flag=True, help="Print the plan, write nothing.")
@option("--restart", is_flag=True, help="Discard an unfinished export and begin again.")
@option("--new", "anew", is_flag=True, help="Export again although nothing has changed.")
@again_options
@scanner_options("--scan", "Have images scanned that have no report by it yet; repeatable.")
@login_options
def export(  # noqa: PLR0913
    spec: Path,
    folders: tuple[Path, ...],
    chunk_size: str,
    media: str,
    parity: str,
    connections: int,
    *,
    encrypt_to: tuple[Path, ...],
    signing: Chosen,
    since: Since,
    compress: bool,
    plan_only: bool,
    restart: bool,
    anew: bool,
    again: Again,
    scan: Scanning,
    connect: Connect,
    as_json: bool,
) -> None:
    """Lock (if needed), pull, pack and sign what SPEC names, and read it back.

    With --chunks or --cosign-of it is about a bundle that was exported before.
    """
    from bundle.manifest import bundle_name
    from bundler import account, gates, locked, packing, report, run, spread
    from bundler.again import run as run_again
    from bundler.plan import make
    from bundler.spec import load
    from bundler.trust import papers

    given: dict[str, object] = {
        "--media": media,
        "--parity": parity,
        "--compress": compress,
        "--plan": plan_only,
    }
    given |= {"--since": since.paths}
    given |= {"--restart": restart, "--new": anew, "--encrypt-to": encrypt_to}
    again.check(folders, given)
    loaded = load(spec)
    if again.asked:
        run_again(again, loaded, folders, connect, signing, as_json=as_json)
        return
    protection = spread.parse(parity) if parity else None
    made = locked.current(loaded, connect, write=not plan_only)
    made = made if plan_only else gates.passed(made, loaded, connect, scan, quiet=as_json)
    capacities = [size(part) for part in media.split(",") if part.strip()]
    if 0 in capacities:
        raise UsageError("a medium of 0 bytes holds nothing", hint="leave --media out for no limit")
    signers = [] if plan_only else signing.signers(beside=spec, trial=True)
    chosen = run.options(
        folders,
        size(chunk_size, packing.PRESETS),
        capacities,
        compress=compress,
        parity=protection,
    )
    if encrypt_to:
        from bundler import chunkkeys

        recipients = chunkkeys.read_recipients(encrypt_to)
        chunkkeys.check_apart(folders, recipients, signers, spec)
        chosen = replace(chosen, recipients=recipients)
    if since.paths:
        chosen = replace(chosen, delta=since.delta(made, papers.place_of(spec, again.trust)))
    plan = make(made, chosen)
    upstreams = connect(loaded)
    with stoppable() as stop:
        exporting = run.Exporting(plan, signers, upstreams.opener, loaded.lifetime, stop, warn)
        exporting.quiet, exporting.connections = as_json, connections
        exporting.papers = {} if plan_only else papers.of(spec, again.trust, made.stream, signers)
        try:
            if not (restart or anew or plan_only) and (known := exporting.sealed_already()):
                report.already(known, as_json=as_json)
                return
            number = exporting.number(restart=restart, discard=not plan_only)
            name = bundle_name(made.stream, number.sequence)
            if plan_only:
                report.plan(plan, name, as_json=as_json)
                return
            upstreams.check_logins(made)
            if not as_json:
                report.start(plan, name, number)
            finished, outcome = exporting.run(number, account.of(upstreams, made))
        finally:
            upstreams.close()
    report.finished(
        finished,
        outcome,
        papers.missing(spec, again.trust, made.stream, signers),
        as_json=as_json,
    )
