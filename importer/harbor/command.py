"""The command ``dray harbor``: is a Harbor ready for an import, and the robot that imports need."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from bundle.options import FILE, Group, command, emit, option, say

if TYPE_CHECKING:
    from pathlib import Path

    from importer.destinations import Destination
    from importer.harbor.setup import Setup

USER, PASSWORD = "DRAY_HARBOR_ADMIN", "DRAY_HARBOR_ADMIN_PASSWORD"


@click.group("harbor", cls=Group, short_help="Is a Harbor ready, and the robot for imports.")
def harbor() -> None:
    """Ask a Harbor whether it would take an import; print or make the robot that imports need."""


@command("check", short_help="Ask whether a Harbor would take an import; change nothing.")
@click.argument("target")
def check(target: str, *, as_json: bool) -> None:
    """Ask the Harbor of TARGET (harbor://HOST[/PROJECT] or a target file) all that an import asks.

    Nothing is changed. `dray import --plan` asks the same with the sizes and tags of a bundle.
    """
    from contextlib import ExitStack, closing  # noqa: PLC0415  (not for --help)

    from bundle.credentials import find  # noqa: PLC0415
    from importer.targets.harbor import connect  # noqa: PLC0415

    rows: list[dict[str, Any]] = []
    with ExitStack() as stack:
        for destination in _harbors(target):
            made = stack.enter_context(closing(connect(destination, find(destination.name))))
            made.check()
            rows.append(made.ask())
    if as_json:
        emit({"targets": rows})
        return
    for row in rows:
        say(f"{row['host']}: Harbor {row['version'] or 'of an unknown version'}, as {row['login']}")
        say(f"projects: {', '.join(row['projects'])}")
        for note in row["notes"]:
            say(f"note: {note}")
        say("ready: an import can push there")


@command("init", short_help="Print, or make, the robot with the least rights that imports need.")
@click.argument("target")
@option("--name", default="importer", metavar="NAME", help="Name of the robot.")
@option(
    "--days", type=click.IntRange(1, 3650), default=90, metavar="N", help="Days that it is valid."
)
@option("--create-projects", is_flag=True, help="A robot of the system, which may make projects.")
@option("--scans", is_flag=True, help="With the rights to scan, and to copy between projects.")
@option(
    "--apply",
    is_flag=True,
    help=f"Make projects and robot, as the administrator in {USER} and {PASSWORD}.",
)
@option("--secret-file", type=FILE, help="With --apply: a new file for the robot's secret.")
def init(
    target: str,
    secret_file: Path | None,
    *,
    name: str,
    days: int,
    create_projects: bool,
    scans: bool,
    apply: bool,
    as_json: bool,
) -> None:
    """Print what an administrator runs to make the robot for TARGET, or make it with --apply.

    The secret is shown nowhere: it goes into --secret-file.
    """
    from bundle.errors import UsageError  # noqa: PLC0415  (not for --help)
    from importer.harbor import setup  # noqa: PLC0415

    if apply != (secret_file is not None):
        raise UsageError(
            "--apply and --secret-file belong together",
            hint="Harbor tells the secret once: --apply --secret-file robot.secret",
        )
    found = [
        setup.plan(one, name=name, days=days, creates=create_projects, scans=scans)
        for one in _harbors(target)
    ]
    if secret_file is None:
        _show(found, as_json=as_json)
        return
    if len(found) > 1:
        raise UsageError(f"{target} names {len(found)} Harbors", hint="make one robot at a time")
    robot = setup.apply(found[0], setup.administrator(USER, PASSWORD), secret_file)
    if as_json:
        emit({"robot": robot.name, "expiresAt": robot.expires_at, "secretFile": str(secret_file)})
        return
    host = found[0].destination.name
    say(f"made {robot.name} at {host}; its secret is in {secret_file}")
    say(f"log in: docker login {host} -u '{robot.name}' --password-stdin < {secret_file}")


def _show(found: list[Setup], *, as_json: bool) -> None:
    if as_json:
        emit({"targets": [one.to_dict() for one in found]})
        return
    for one in found:
        for line in one.script().split("\n"):
            say(line)


def _harbors(target: str) -> list[Destination]:
    from bundle.errors import UsageError  # noqa: PLC0415  (not for --help)
    from importer import destinations  # noqa: PLC0415

    found = [one for one in destinations.read([target]) if one.type == "harbor"]
    if not found:
        raise UsageError(f"{target[:200]} names no Harbor", hint="write harbor://HOST/PROJECT")
    return found


harbor.add_command(check)
harbor.add_command(init)
