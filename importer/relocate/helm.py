"""Helm: a file of values for each chart, with which its images are those at the target."""

from __future__ import annotations

from typing import TYPE_CHECKING

from importer.relocate import text
from importer.relocate.world import Emitted

if TYPE_CHECKING:
    from importer.relocate.release import Release
    from importer.relocate.world import World

_ABOUT = """\
A file of values for each chart: its images under their names at the target, each looked for there.
Lay your own values over it, after it.

```text
"""


def emit(world: World) -> Emitted:
    """Return ``helm/``."""
    made = Emitted()
    commands = []
    for release in world.releases():
        path = f"helm/{release.stem}.values.yaml"
        made.files[path] = text.documents([release.values], head=_head(release, world))
        commands.append(f"{_install(release, world)} \\\n  -f {path}\n")
        judge(release, world, made)
    made.about = _ABOUT + "".join(commands) + "```\n" if commands else ""
    return made


def judge(release: Release, world: World, made: Emitted) -> None:
    """Note what is not proved, and refuse what would not be found and is not allowed to lack."""
    where = release.chart.artifact.name
    made.notes += [f"helm: {where}: {note}" for note in release.notes]
    for row in release.missing:
        if row.partition(" ")[0] not in world.site.missing:
            made.refused.append(f"{where}: {row}")


def location(release: Release) -> tuple[str, str]:
    """Return the repository of the chart, with its host, as folder and name."""
    folder, _, name = release.chart.target.rpartition("/")
    return folder, name


def _install(release: Release, world: World) -> str:
    name, host = release.chart.target, release.chart.host
    plain = " --plain-http" if host in world.site.plain else ""
    authority = " --ca-file ca.crt" if host in world.site.authorities else ""
    chosen = f"helm install {text.slug(release.name)} oci://{name}"
    return f"{chosen} --version {release.version}{plain}{authority}"


def _head(release: Release, world: World) -> str:
    lines = [f"{release.chart.artifact.name}", _install(release, world)]
    lines += [f"was not loaded: {row}" for row in release.missing]
    return "\n".join(lines)
