"""``dray scan``: what scanners say of the locked images, into the lock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from bundle.options import FILE, command, emit, option, say, stoppable
from bundler.connect import login_options
from bundler.scan.option import scanner_options

if TYPE_CHECKING:
    from pathlib import Path

    from bundle.errors import GateRefused
    from bundler.connect import Connect
    from bundler.scan.option import Chosen
    from bundler.scan.run import Row


@command("scan", short_help="Have the locked images scanned; reports and SBOMs go along.")
@click.argument("spec", type=FILE)
@scanner_options(
    "--with",
    "The scanner; repeatable [default: the spec's, or trivy or grype, which is on PATH].",
)
@option("--missing", is_flag=True, help="Only images that have no report by the scanner.")
@login_options
def scan(spec: Path, *, scan: Chosen, missing: bool, connect: Connect, as_json: bool) -> None:
    """Have the images of SPEC's lock scanned, and pin reports and SBOMs in the lock.

    They go into a folder beside the lock (dray.scans for dray.yaml), and are exported as referrers
    of the images. Then the policy's gates are asked; what they refuse, export would refuse too.
    """
    from bundle.gate.judge import SKIPPED  # noqa: PLC0415  (not for --help)
    from bundler import gates, locked  # noqa: PLC0415  (not for --help)
    from bundler.spec import load  # noqa: PLC0415

    loaded = load(spec)
    rows: list[Row] = []

    def tell(row: Row) -> None:
        rows.append(row)
        if not as_json:
            say(str(row))

    found = locked.current(loaded, connect, write=True)
    upstreams = connect(loaded)
    refused: GateRefused | None = None
    try:
        with stoppable() as stop:
            made = scan.scan(found, loaded, upstreams, stop, tell, missing=missing)
        judged = gates.judge(made, loaded, upstreams)
        refused = gates.refusal(judged, loaded)
    finally:
        upstreams.close()
    path = locked.lock_path(spec)
    if as_json:
        body: dict[str, Any] = {"lock": str(path), "digest": str(made.digest)}
        body |= {"changed": made != found, "scans": [row.to_dict() for row in rows]}
        body |= {"gates": [one.to_dict() for one in judged]} if judged else {}
        emit(body | ({"error": refused.to_dict()} if refused else {}))
    else:
        for one in judged:
            for check in (check for check in one.checks if check.result != SKIPPED):
                say(f"{one.artifact.name}: {check.gate}: {check.result}, {check.summary}")
        say(f"wrote {path}: review it, then export" if made != found else "nothing to scan")
    if refused:
        raise refused
