"""``dray adopt``: what other tools list, as a spec for review."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from bundle.errors import GateRefused, UsageError
from bundle.options import FILE, command, emit, option, say, warn
from bundle.progress import counted


@command("adopt", short_help="Write a spec from manifests of Hauler, or from a list of aicr.")
@click.argument("files", type=click.Path(path_type=Path), nargs=-1, required=True)
@option("--to", type=FILE, default="dray.yaml", show_default=True, help="The spec to write.")
@option("--stream", default="nvidia-ai", show_default=True, help="Name of the bundles' stream.")
@option(
    "--platform",
    "platforms",
    multiple=True,
    metavar="OS/ARCH",
    help="Only this platform of every image; repeatable [default: as the files say].",
)
@option(
    "--answer",
    "answers",
    multiple=True,
    metavar="NAME=FULL-NAME",
    help="What a name without a registry or a tag means, or skip; repeatable.",
)
@option(
    "--accept-warnings",
    metavar="REASON",
    help="Write the spec although the files have warnings: they are kept in it, with the reason.",
)
def adopt(
    files: tuple[Path, ...],
    to: Path,
    stream: str,
    platforms: tuple[str, ...],
    answers: tuple[str, ...],
    accept_warnings: str | None,
    *,
    as_json: bool,
) -> None:
    """Write a spec from what other tools list, to be reviewed and locked.

    FILES are manifests of Hauler (Images, Charts, ThickCharts; several documents in a file), and
    the output of `aicr mirror list --format yaml` or json; - is the standard input.

    Nothing is guessed and nothing is dropped: a name that may mean several images asks for
    --answer, and a warning, or something that a spec cannot say, ends the command with 7 until it
    is accepted with a reason.
    """
    from bundler import starter
    from bundler.adopt import files as reading
    from bundler.adopt import write
    from bundler.adopt.found import Found
    from bundler.finish import put

    starter.check_stream(stream)
    if to.exists() or to.is_symlink():
        raise UsageError(
            f"{to} is there already", hint="it is left as it is; name another with --to"
        )
    found = Found(_answers(answers))
    comments = [note for path in files for note in reading.read(*_bytes(path), found)]
    found.check()
    for finding in found.findings:
        warn(str(finding))
    wish = write.Wish(stream, platforms, accept_warnings or "")
    text = write.text(found, comments, wish)
    if found.findings and not wish.accepted:
        number = len(found.findings)
        raise GateRefused(
            f"nothing was written: {counted(number, 'warning')} {_are(number)} not accepted",
            hint="mend what they say, or give a reason: --accept-warnings REASON",
        )
    put(to, text.encode())
    counts = {"images": len({i.name for i in found.images}), "charts": len(found.charts)}
    if as_json:
        emit({"spec": str(to), **counts, "warnings": [str(f) for f in found.findings]})
        return
    images, charts = counted(counts["images"], "image"), counted(counts["charts"], "chart")
    say(f"wrote {to}: {images}, {charts}")
    say(f"next: review it, then: dray lock {to}")


def _are(number: int) -> str:
    return "is" if number == 1 else "are"


def _bytes(path: Path) -> tuple[bytes, str]:
    from bundle import strictyaml
    from bundler.adopt.files import LIMIT

    if str(path) == "-":
        return sys.stdin.buffer.read(LIMIT + 1), "standard input"
    return strictyaml.read(path, limit=LIMIT), str(path)


def _answers(given: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in given:
        name, sign, full = text.partition("=")
        if not sign or not name or not full:
            raise UsageError(f"--answer {text[:200]!r} is not NAME=FULL-NAME", hint="or NAME=skip")
        if found.setdefault(name, full) != full:
            raise UsageError(f"--answer gives two answers to {name[:200]!r}")
    return found
