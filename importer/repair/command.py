"""The command ``dray repair``: options to a repair, and its outcome to people or machines."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bundle.options import FOLDER, command, find_trust, option, stoppable, trust_options

if TYPE_CHECKING:
    from bundle.media import Media


@command("repair", short_help="Restore what is damaged or lost, or say what the low side must do.")
@click.argument("folders", nargs=-1, required=True, type=click.Path(path_type=Path))
@option(
    "--to",
    "new",
    type=FOLDER,
    multiple=True,
    metavar="DIR",
    help="A new medium in the place of one that is lost; several times for several.",
)
@option(
    "--out",
    type=FOLDER,
    metavar="DIR",
    help="Write what is repaired into this folder: the media cannot be, or must not be, written.",
)
@option(
    "--from",
    "sources",
    type=FOLDER,
    multiple=True,
    metavar="DIR",
    help="Another bundle, or another copy of this one, that may hold what is lost here.",
)
@option("--plan", "plan_only", is_flag=True, help="Say what would be repaired, write nothing.")
@trust_options
def repair(
    folders: tuple[Path, ...],
    new: tuple[Path, ...],
    out: Path | None,
    sources: tuple[Path, ...],
    trust: Path | None,
    pub: Path | None,
    *,
    plan_only: bool,
    as_json: bool,
) -> None:
    """Restore what is damaged or lost on the media FOLDERS, out of parity and whatever is good.

    Each file is written beside the old one and replaces it when its bytes are those that were
    signed. What cannot be restored is named, with the command that makes it again on the low side.
    """
    from bundle import instant  # noqa: PLC0415  (heavy: not for --help)
    from bundle.digest import Digest  # noqa: PLC0415
    from bundle.media import Media  # noqa: PLC0415
    from bundle.options import say  # noqa: PLC0415
    from bundle.progress import bar  # noqa: PLC0415
    from bundle.shelf import Shelf  # noqa: PLC0415
    from bundle.unseal import opened, readable  # noqa: PLC0415
    from importer.repair import places, show  # noqa: PLC0415
    from importer.repair.papers import Papers  # noqa: PLC0415
    from importer.repair.run import Repair  # noqa: PLC0415

    media = _with_new(Media.find(folders), folders, (*new, *((out,) if out else ())))
    trusted = find_trust(trust, pub, media.folders, folders)
    copies, signatures = readable(media)
    found = opened(media, trusted, copies, signatures)
    signers = found.require(trusted, instant.now())
    manifest, digest = found.manifest, Digest.of(found.data)
    own = [places.inside(folder, media.name) for folder in (*new, *((out,) if out else ()))]
    given = [folder for folder in media.folders if folder not in own]
    where = places.find(manifest, media, new, out, given)
    shelf = Shelf(sources, trusted) if sources else None
    with stoppable() as stop:
        papers = Papers(found, media, signatures)
        run = Repair(manifest, media, papers, where, shelf=shelf, stop=stop, plan_only=plan_only)
        total = sum(item.size * len(media.places(n)) for n, item in run.survey.items.items())
        with bar(total, "reading", quiet=as_json) as on_bytes:
            run.look(on_bytes)
        with bar(run.to_write(), "repairing", quiet=as_json) as on_bytes:
            outcome = run.run(on_bytes)
    refusal = show.failure(manifest, outcome)
    if not as_json:
        say(f"{manifest.name}: signed by {', '.join(signers.names)}, manifest {digest}")
    show.told(manifest, digest, outcome, refusal, plan=plan_only, as_json=as_json)
    if refusal:
        raise refusal


def _with_new(media: Media, folders: tuple[Path, ...], new: tuple[Path, ...]) -> Media:
    """Take in what an earlier run has written into the new folders."""
    from importer.repair.places import inside  # noqa: PLC0415  (not for --help)

    begun = [place for folder in new if (place := inside(folder, media.name)).is_dir()]
    return type(media).find([*folders, *begun]) if begun else media
