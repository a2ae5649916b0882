"""The command ``dray promote``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bundle.options import FILE, command, option, stoppable, warn
from importer.receipts.command import receipt_options

if TYPE_CHECKING:
    from pathlib import Path

    from importer.receipts.command import Chosen


@command("promote", short_help="Move what passes the gates out of the quarantine.")
@click.argument("receipt_file", metavar="[RECEIPT]", type=FILE, required=False)
@option(
    "--to",
    "targets",
    multiple=True,
    metavar="TARGET",
    help="What it was imported with: a folder, a URL or a target file [default: ./warehouse].",
)
@option("--policy", type=FILE, required=True, help="Policy file: what everything has to pass.")
@option(
    "--match",
    multiple=True,
    metavar="PATTERN",
    help="Promote only artifacts so called, * for anything; repeatable.",
)
@option("--plan", "plan_only", is_flag=True, help="Show verdicts and copies; change nothing.")
@option("--no-scan", is_flag=True, help="Ask no scanner of a Harbor; go by what artifacts carry.")
@option("--rescan", is_flag=True, help="Have a Harbor scan again what it has scanned.")
@option(
    "--scan-timeout",
    type=click.IntRange(1, 24 * 60),
    default=60,
    metavar="MINUTES",
    help="How long all scans together may take.",
    show_default=True,
)
@option(
    "--override",
    default="",
    metavar="REASON",
    help="Promote what the gates refuse; the reason goes into ledger and receipt.",
)
@option(
    "--receipt-pub",
    "pubs",
    multiple=True,
    type=FILE,
    help="Take a receipt that this key signed, of another host.",
)
@receipt_options
def promote(  # noqa: PLR0913
    receipt_file: Path | None,
    targets: tuple[str, ...],
    policy: Path,
    match: tuple[str, ...],
    *,
    pubs: tuple[Path, ...],
    receipts: Chosen,
    scan_timeout: int,
    override: str,
    plan_only: bool,
    no_scan: bool,
    rescan: bool,
    as_json: bool,
) -> None:
    """Judge what an import put into a quarantine, and promote it: all of it, or nothing.

    RECEIPT is that of the import, by default of this host's last one into a quarantine. Every gate
    of the policy is asked; what it refuses is listed, all of it, and the exit code is 7.
    """
    from bundle.errors import GateRefused  # noqa: PLC0415  (not for --help)
    from importer.promote import opening, show  # noqa: PLC0415

    run = opening.run(receipt_file, targets, policy, pubs, receipts)
    run.match, run.quiet = match, as_json
    run.record.overridden = override.strip()
    if not no_scan:
        run.scanning = opening.scanning(run, scan_timeout, again=rescan, looks_only=plan_only)
    outcome = failure = None
    with stoppable() as run.stop:
        try:
            copying = run.look()
            if plan_only:
                show.plan(run, copying, as_json=as_json)
                return
            try:
                outcome = run.promote(copying)
                failure = outcome.failure()
            except GateRefused as error:
                failure = error
            if run.record.overridden and run.refused:
                warn(f"gates were overridden: {run.record.overridden}")
            show.done(run, outcome, failure, as_json=as_json)
        finally:
            run.close()
    if failure:
        raise failure
