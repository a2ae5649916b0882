"""The command `python -m bench`: measures side by side and prints one table."""

from __future__ import annotations

import json
import random
import secrets
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench import facts, page, table
from bench.measure import Failed
from bench.peers import DRAY, PEERS
from bench.phases import PHASES, Bench
from tests.servers import programs

if TYPE_CHECKING:
    from bench.peers import Peer

_SERVERS = ("docker-registry", "openssl", "sha256sum")


def _listed(value: str, known: tuple[str, ...], what: str) -> list[str]:
    chosen = [part.strip() for part in value.split(",") if part.strip()]
    if wrong := sorted(set(chosen) - set(known)):
        raise click.UsageError(f"no such {what}: {', '.join(wrong)} (there are {', '.join(known)})")
    return [name for name in known if name in chosen or not chosen]


@click.command()
@click.option("--scale", default=1.0, type=click.FloatRange(0.0005, 4), help="Of the content.")
@click.option("--rounds", default=3, type=click.IntRange(1, 50), show_default=True)
@click.option("--only", default="", metavar="PHASE,…", help=f"Of {', '.join(PHASES)}.")
@click.option("--tools", default="", metavar="TOOL,…", help="dray, and only these beside it.")
@click.option("--seed", type=int, help="Of the order of the tools [default: another each time].")
@click.option("--no-install", is_flag=True, help="Only the tools that are here.")
@click.option("--work", type=click.Path(file_okay=False, path_type=Path), help="Disk to use.")
@click.option(
    "--results",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path(__file__).with_name("results") / "latest.json",
    help="Where the figures go as JSON [default: bench/results/latest.json].",
)
@click.option("--write-docs", is_flag=True, help="Put the table into docs/performance.md.")
def main(  # noqa: PLR0913
    scale: float,
    rounds: int,
    only: str,
    tools: str,
    seed: int | None,
    work: Path | None,
    results: Path,
    *,
    no_install: bool,
    write_docs: bool,
) -> None:
    """Measure dray beside the tools that do parts of its job, all on this machine.

    Wants 12 GB of disk at scale 1, and a machine that does nothing else.
    """
    phases = _listed(only, PHASES, "phase")
    names = tuple(peer.name for peer in PEERS)
    chosen = {DRAY.name, *_listed(tools, names, "tool")}
    machine = facts.machine()
    if machine["busy"]:
        _say(f"load {machine['loadBefore']}: this machine is busy, the figures will not be good")
    here, absent = _find([peer for peer in PEERS if peer.name in chosen], install=not no_install)
    seed = secrets.randbelow(1 << 32) if seed is None else seed
    folder = _folder(work)
    try:
        bench = Bench(folder, scale, rounds, here, random.Random(seed), _say)
        rows = bench.run(phases)
    except Failed as failed:
        raise click.ClickException(f"what is measured could not be made: {failed}") from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    settings: dict[str, object] = {"scale": scale, "rounds": rounds, "seed": seed}
    versions = facts.versions([*_SERVERS, *(peer.program for peer in here if peer is not DRAY)])
    figures = table.summaries(rows)
    text = facts.describe(machine, versions, settings) + page.absences(absent)
    text += "\n" + table.render(figures)
    body = {"machine": machine, "versions": versions, "settings": settings, "absent": absent}
    results.parent.mkdir(exist_ok=True)
    results.write_text(json.dumps({**body, "rows": figures}, indent=2, ensure_ascii=False))
    click.echo(text)
    if write_docs:
        page.write(text)
        _say(f"wrote {page.PAGE.relative_to(programs.CHECKOUT)}")


def _find(wanted: list[Peer], *, install: bool) -> tuple[list[Peer], dict[str, str]]:
    """Return the tools that are here, and why the others are not."""
    here, absent = [], {}
    for name in _SERVERS if install else ():
        if name in programs.PROGRAMS:
            programs.obtain(name)
    for peer in wanted:
        try:
            if install and peer.program in programs.PROGRAMS:
                programs.obtain(peer.program)
            elif not programs.find(peer.program):
                raise programs.MissingError("it is not here")
            here.append(peer)
        except programs.MissingError as error:
            absent[peer.name] = str(error)
            _say(f"{peer.name} is left out: {error}")
    return here, absent


def _folder(work: Path | None) -> Path:
    parent = work or programs.CHECKOUT / ".cache" / "bench"
    parent.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix="run-", dir=parent))


def _say(text: str) -> None:
    click.echo(f"bench: {text}", err=True)


if __name__ == "__main__":
    main(prog_name="python -m bench")
