"""The command ``dray kit``: options to a kit, and what it holds to people or machines."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bundle.errors import UsageError
from bundle.options import FOLDER, command, emit, option, say
from bundle.progress import counted, human
from bundler.signers import signer_options

if TYPE_CHECKING:
    from pathlib import Path

    from bundler.signers import Chosen

_PYTHONS = "3.11,3.12,3.13"


@command("kit", short_help="Pack the high side's dray with all it needs, as one signed file.")
@option("--to", "folder", type=FOLDER, required=True, metavar="DIR", help="Where its folder goes.")
@option(
    "--platform",
    default="linux/amd64",
    show_default=True,
    help="What the other side's hosts are: linux/amd64 or linux/arm64.",
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
    "--wheels", type=FOLDER, metavar="DIR", help="Take wheels out of this folder; ask no index."
)
@signer_options("Private key that signs; repeatable.")
def kit(
    folder: Path,
    platform: str,
    pythons: str,
    wheels: Path | None,
    *,
    signing: Chosen,
    as_json: bool,
) -> None:
    """Pack the high side of dray, and the packages that it needs, for a host with no network.

    The versions are those that are installed here. The same versions make the same file. It goes
    into a folder of its own in DIR, to be carried beside a bundle's.
    """
    from bundle.digest import Digest
    from bundler.finish import put
    from bundler.kit import build
    from bundler.kit import wheels as found

    tags = build.tags(platform)
    wanted = _versions(pythons)
    signers = signing.signers()
    made = build.build(found.collect(wanted, tags, wheels), wanted, platform)
    document = f"{made.name}.json"
    files = dict(made.files)
    for signer in signers:
        files |= signer.files(document, made.document)
    place = folder / made.name
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{place} cannot be made: {(error.strerror or '').lower()}") from None
    for name, data in files.items():
        put(place / name, data)
    put(place / document, made.document)
    if as_json:
        body = {"folder": str(place), "digest": str(Digest.of(made.tar)), "size": len(made.tar)}
        emit({**body, "packages": list(made.packages)})
        return
    for package in made.packages:
        say(f"  {package['name']} {package['version']}")
    say(f"made {place}: {counted(len(made.packages), 'wheel')}, {human(len(made.tar))}")
    say(f"{made.name}.tar {Digest.of(made.tar)}, signed by {', '.join(s.name for s in signers)}")


def _versions(text: str) -> tuple[str, ...]:
    found = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    if not found or not all(re.fullmatch(r"3\.(1[1-9]|[2-9][0-9])", part) for part in found):
        hint = f"write versions from 3.11 on, as {_PYTHONS}"
        raise UsageError(f"--python: not Pythons that dray runs on: {text!r}", hint=hint)
    return found
