"""The command ``dray doctor``: options to an examination, and its report to people or machines."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bundle.options import FOLDER, command, emit, option, say, warn
from bundler.connect import login_options

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bundle.digest import Digest
    from bundler.connect import Connect
    from bundler.spec import Spec

QUICK = 2
"""Attempts after the first: whoever asks the doctor waits for the answer."""


@command("doctor", short_help="Ask for all that SPEC names, download nothing, say what will fail.")
@click.argument("spec", type=click.Path(dir_okay=False, path_type=Path))
@option(
    "--to",
    "folders",
    type=FOLDER,
    multiple=True,
    metavar="DIR",
    help="Where the bundle will go: is there room? Several times for several drives.",
)
@login_options
def doctor(spec: Path, folders: tuple[Path, ...], *, connect: Connect, as_json: bool) -> None:
    """Say what an export of SPEC would fail of, and who has to do what about it.

    Each item is asked for as an export would, up to the first byte. Exit code 6 when something
    will fail, 2 when this host's own set-up is wrong.
    """
    from bundler.doctor import show  # noqa: PLC0415  (heavy: not for --help)
    from bundler.doctor.run import Examination  # noqa: PLC0415
    from bundler.spec import load  # noqa: PLC0415

    loaded = load(spec)
    for warning in loaded.warnings:
        warn(warning)
    upstreams = connect(loaded, retries=QUICK, warn=_other)
    try:
        report = Examination(loaded, upstreams, _locked(loaded), folders).run()
    finally:
        upstreams.close()
    if as_json:
        emit(show.document(report))
    else:
        for line in show.lines(report):
            say(line)
    if error := report.error():
        raise error


def _other(text: str) -> None:
    """Print a warning, unless it is a finding as well."""
    from bundler.sources.keyring import GUEST  # noqa: PLC0415
    from bundler.sources.ngc_login import MISLED  # noqa: PLC0415

    if text not in {GUEST, MISLED}:
        warn(text)


def _locked(spec: Spec) -> Mapping[str, Digest]:
    """Return the digests in the lock of exactly this spec, by name; none without one."""
    from bundle.errors import DrayError  # noqa: PLC0415
    from bundler.lock import load  # noqa: PLC0415
    from bundler.locked import lock_path  # noqa: PLC0415

    path = lock_path(spec.path)
    if not path.exists():
        return {}
    try:
        found = load(path)
    except DrayError as error:
        warn(f"the lock is left aside: {error.message}")
        return {}
    if found.spec != spec.digest:
        return {}
    return {item.artifact.name: item.artifact.root for item in found.artifacts}
