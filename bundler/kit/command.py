"""The command ``dray kit make``: options to a kit, and what it holds to people or machines."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bundle.errors import UsageError
from bundle.kit.command import group
from bundle.options import FILE, FOLDER, command, emit, option, say
from bundle.progress import counted, human
from bundler.signers import signer_options

if TYPE_CHECKING:
    from pathlib import Path

    from bundler.kit.build import Kit
    from bundler.signers import Chosen

_PYTHONS = "3.11,3.12,3.13,3.14"


@command("make", short_help="Pack the high side's dray with all it needs, as one signed file.")
@option("--to", "folder", type=FOLDER, required=True, metavar="DIR", help="Where its folder goes.")
@option(
    "--platform",
    default="linux/amd64",
    show_default=True,
    help="What the other side's hosts are: linux/amd64 or linux/arm64, with -musl for Alpine.",
)
@option(
    "--python",
    "pythons",
    default=_PYTHONS,
    show_default=True,
    metavar="VERSION,…",
    help="The Pythons that they may have.",
)
@option(
    "--standalone", is_flag=True, help="With an interpreter inside: this host's Python, its libc."
)
@option(
    "--wheels", type=FOLDER, metavar="DIR", help="Take wheels out of this folder; ask no index."
)
@option(
    "--pins",
    type=FILE,
    help="Take only what this requirements file with hashes names, as an earlier kit has one.",
)
@signer_options("Private key that signs; repeatable.")
def make(
    folder: Path,
    platform: str,
    pythons: str,
    wheels: Path | None,
    pins: Path | None,
    *,
    standalone: bool,
    signing: Chosen,
    as_json: bool,
) -> None:
    """Pack the high side of dray, and the packages that it needs, for a host with no network.

    The versions are those that are installed here, or those of --pins. The same versions make the
    same file. It goes into a folder of its own in DIR, to be carried beside a bundle's. Made again
    with another key, it gets one more signature.
    """
    from bundler.kit import build, frozen
    from bundler.kit import pins as pinning
    from bundler.kit import wheels as found

    wanted = build.platform_of(platform)
    if standalone:
        frozen.check_host(wanted)
    versions = (frozen.OWN,) if standalone else _versions(pythons)
    pinned = pinning.load(pins) if pins else None
    source = found.Source(build.tags(*wanted), wheels, pinned)
    signers = signing.signers()
    packages = found.collect(versions, source)
    if standalone:
        tools = source.get(versions, frozen.TOOLS)
        made = build.build_standalone(packages, tools, frozen.freeze(packages, tools))
    else:
        made = build.build(packages, versions, *wanted)
    document = f"{made.name}.json"
    signed: dict[str, bytes] = {}
    for signer in signers:
        signed |= signer.files(document, made.data)
    place = _write(folder / made.name, made, signed)
    _show(made, place, [signer.name for signer in signers], as_json=as_json)


def _write(place: Path, made: Kit, signed: dict[str, bytes]) -> Path:
    """Write the folder, the document last; signatures of others that are there for it stay."""
    from bundler.finish import put

    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{place} cannot be made: {(error.strerror or '').lower()}") from None
    document = place / f"{made.name}.json"
    if document.exists() and document.read_bytes() != made.data:
        hint = "it is of other packages, and others may have signed it: remove it, or keep it"
        raise UsageError(f"another kit is there: {place}", hint=hint)
    for name, data in (*made.files.items(), *signed.items()):
        put(place / name, data)
    put(document, made.data)
    return place


def _show(made: Kit, place: Path, signers: list[str], *, as_json: bool) -> None:
    from bundle.digest import Digest

    kit, tar = made.document, made.tar
    if as_json:
        body = {"folder": str(place), "digest": str(Digest.of(tar)), "size": len(tar)}
        body |= {"kind": kit.kind, "libc": " ".join(kit.libc)}
        emit({**body, "packages": [package.to_dict() for package in kit.packages]})
        return
    for package in kit.packages:
        say(f"  {package.name} {package.version}")
    own = f", Python {kit.interpreter}" if kit.interpreter else ""
    say(f"made {place}: {counted(len(kit.packages), 'wheel')}{own}, {human(len(tar))}")
    say(f"for {kit.platform} with {' '.join(kit.libc)} or later")
    say(f"{made.name}.tar {Digest.of(tar)}, signed by {', '.join(signers)}")


def _versions(text: str) -> tuple[str, ...]:
    found = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    if not found or not all(re.fullmatch(r"3\.(1[1-9]|[2-9][0-9])", part) for part in found):
        hint = f"write versions from 3.11 on, as {_PYTHONS}"
        raise UsageError(f"--python: not Pythons that dray runs on: {text!r}", hint=hint)
    return found


kit = group()
kit.add_command(make)
