"""The command ``dray relocate``: receipts in, one folder of configuration out."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

import click

from bundle.errors import GateRefused, UsageError
from bundle.options import FILE, FOLDER, command, emit, option, say

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from importer.relocate.evidence import Evidence
    from importer.relocate.formats import Output
    from importer.relocate.reach import Reach
    from importer.relocate.release import Release
    from importer.relocate.world import Site, World

_SHOWN = 40


@command("relocate", short_help="Write the configuration of clusters from what was loaded.")
@click.argument("receipts", nargs=-1, required=True, type=FILE)
@option("--output", required=True, type=FOLDER, help="Folder to write; written whole, or not.")
@option(
    "--receipt-pub",
    "--pub",
    "pubs",
    multiple=True,
    type=FILE,
    help="The high side's public key, receipt.pub [default: ~/.config/dray/receipt.pub].",
)
@option(
    "--for",
    "names",
    default="",
    metavar="FORMAT,…",
    help="Only these: containerd, crio, openshift, kyverno, helm, argocd, flux, kserve, triton, "
    "nim, pull-secret [default: all that apply].",
)
@option(
    "--to",
    "targets",
    multiple=True,
    metavar="TARGET",
    help="As at the import: how targets are reached (CA, endpoint, plain HTTP); repeatable.",
)
@option(
    "--target",
    "labels",
    multiple=True,
    metavar="LABEL",
    help="Only what is at this target, as receipts call it; repeatable.",
)
@option("--ca", type=FILE, help="CA of the registries, for nodes (PEM) [default: that of --to].")
@option("--pull-secret", default="", metavar="NAME", help="Name of the pull secret in clusters.")
@option("--pin", is_flag=True, help="Digests for tags in values of charts, wherever one is taken.")
@option(
    "--allow-missing",
    "missing",
    multiple=True,
    metavar="IMAGE",
    help="An image that a chart names and that need not be loaded; repeatable.",
)
@option(
    "--values",
    "values",
    multiple=True,
    metavar="CHART=FILE",
    help="Your own values of a chart: what they switch on has to be loaded too; repeatable.",
)
def relocate(  # noqa: PLR0913
    receipts: tuple[Path, ...],
    output: Path,
    pubs: tuple[Path, ...],
    *,
    names: str,
    targets: tuple[str, ...],
    labels: tuple[str, ...],
    ca: Path | None,
    pull_secret: str,
    pin: bool,
    missing: tuple[str, ...],
    values: tuple[str, ...],
    as_json: bool,
) -> None:
    """Write what clusters need to find what was loaded: mirrors, policies, values, model addresses.

    RECEIPTS are those of the imports; each must be signed by the key of this high side. Everything
    is looked for at its target first, and what is not there is refused. The same receipts give the
    same bytes; a folder with anything else in it is left alone.
    """
    from importer.destinations import read as read_targets
    from importer.relocate import folder, formats, ownvalues
    from importer.relocate.reach import Reach

    wanted = formats.chosen(names)
    found = _evidence(receipts, pubs, labels)
    reach = Reach(read_targets(targets) if targets else ())
    try:
        found.trees = reach.check(found.stored, found.trees)
        site = replace(_site(found, reach, ca, pull_secret, missing), pin=pin)
        world = _world(found, reach, site, ownvalues.read(values, found.stored))
        made = formats.emit(world, wanted)
    finally:
        reach.close()
    if made.refused:
        raise _refused(made.refused)
    if names:
        _check_asked(wanted, made)
    changed = folder.write(output, made.files)
    _report(output, made, changed=changed, as_json=as_json)


def _evidence(
    receipts: tuple[Path, ...], pubs: tuple[Path, ...], labels: tuple[str, ...]
) -> Evidence:
    from bundle.receiptcommand import read_file, read_keys
    from importer.receipts.signing import PUBLIC, default_folder
    from importer.relocate import evidence

    own = default_folder() / PUBLIC
    if not pubs and not own.is_file():
        raise UsageError(
            "no key to verify the receipts with",
            hint="--receipt-pub receipt.pub: dray receipt keygen made it",
        )
    files = {str(path): read_file(path) for path in receipts}
    return evidence.gather(evidence.read(files, read_keys(pubs or (own,))), labels)


def _site(
    found: Evidence, reach: Reach, ca: Path | None, pull_secret: str, missing: tuple[str, ...]
) -> Site:
    from importer.relocate.reach import authority
    from importer.relocate.world import Site

    hosts = sorted({one.host for one in found.stored})
    plain = frozenset(host for host in hosts if reach.is_plain(host))
    given = authority(str(ca)) if ca else ""
    authorities = {
        host: text
        for host in hosts
        if host not in plain and (text := given or authority(reach.host(host).ca_file))
    }
    names = {one.bucket for one in found.trees if one.bucket}
    buckets = {name: reach.bucket(name) for name in sorted(names)}
    return Site(_secret_name(pull_secret), authorities, plain, buckets, frozenset(missing))


def _world(found: Evidence, reach: Reach, site: Site, own: Mapping[str, dict[str, Any]]) -> World:
    from importer.relocate.names import Names
    from importer.relocate.release import Ask, build, stems
    from importer.relocate.world import World

    kinds = {kind: tuple(s for s in found.stored if s.artifact.kind == kind) for kind in _KINDS}
    others = tuple(one for one in found.stored if one.artifact.kind not in _KINDS)

    @cache
    def releases() -> tuple[Release, ...]:
        charts, names = kinds["chart"], Names(kinds["image"])
        return tuple(
            build(
                chart,
                stem,
                reach.archive(chart),
                names,
                own.get(chart.path.rpartition("/")[2], {}),
                ask=Ask(site.pull_secret, site.pin),
            )
            for chart, stem in zip(charts, stems(charts), strict=True)
        )

    return World(
        tuple(found.receipts),
        kinds["image"],
        kinds["chart"],
        others,
        tuple(found.trees),
        tuple(found.left),
        site,
        releases,
    )


_KINDS = ("image", "chart")


def _secret_name(text: str) -> str:
    if text and not re.fullmatch(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?", text):
        raise UsageError(
            f"--pull-secret: {text[:60]!r} is no name of a secret",
            hint="lower-case letters, digits, - and .",
        )
    return text


def _refused(reasons: list[str]) -> GateRefused:
    more = [f"  and {len(reasons) - _SHOWN} more"] if len(reasons) > _SHOWN else []
    return GateRefused(
        "charts name images that were not loaded:\n"
        + "\n".join([*(f"  {reason}" for reason in reasons[:_SHOWN]), *more]),
        hint="carry them (images: discover, in the spec); or name those that no cluster of yours"
        " starts with --allow-missing; or leave charts out with --for",
    )


def _check_asked(wanted: tuple[str, ...], made: Output) -> None:
    for name in wanted:
        if name not in made.formats:
            reason = next((n for n in made.notes if n.startswith(f"{name}: ")), "")
            raise UsageError(
                f"--for {name}: there is nothing to write" + (f" ({reason})" if reason else ""),
                hint="it needs something that was loaded and that it can point at",
            )


def _report(output: Path, made: Output, *, changed: bool, as_json: bool) -> None:
    from bundle.progress import counted

    if as_json:
        body: dict[str, Any] = {"output": str(output), "changed": changed}
        emit({**body, "formats": made.formats, "files": sorted(made.files), "notes": made.notes})
        return
    state = "wrote" if changed else "unchanged:"
    say(f"{state} {output}: {counted(len(made.files) + 1, 'file')}")
    say("for " + (", ".join(made.formats) or "nothing"))
    for note in made.notes:
        say(f"note: {note}")
