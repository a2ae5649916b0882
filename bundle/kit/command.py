"""The group ``dray kit``, and what either side has of it: ``dray kit verify``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bundle.options import Group, command, emit, find_trust, option, say, trust_options

if TYPE_CHECKING:
    from bundle.errors import DrayError
    from bundle.kit.check import Checked


class KitGroup(Group):
    """``dray kit --to DIR`` is ``dray kit make --to DIR``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the command in that is meant when options come first."""
        if args and args[0].startswith("-") and args[0] not in {"-h", "--help"}:
            args = ["make", *args]
        return super().parse_args(ctx, args)


def group() -> KitGroup:
    """Return the group with the commands that both sides have."""
    made = KitGroup(
        "kit",
        short_help="Pack the high side's dray with all it needs, as one signed file; verify one.",
        help="Kits: the high side's program with all that it needs, as one signed file.\n\n"
        "`dray kit --to DIR` is `dray kit make --to DIR`.",
    )
    made.add_command(verify)
    return made


@command("verify", short_help="Check a kit's signature, every byte, and that it is no older one.")
@click.argument("folders", nargs=-1, required=True, type=click.Path(path_type=Path))
@trust_options
@option(
    "--allow-older",
    default="",
    metavar="REASON",
    help="Accept a kit that is older than what is installed here.",
)
def verify(
    folders: tuple[Path, ...],
    trust: Path | None,
    pub: Path | None,
    allow_older: str,
    *,
    as_json: bool,
) -> None:
    """Verify the kits in FOLDERS before anything of them is unpacked. Touches nothing.

    Signatures count as the stream dray-kit of the trust file says; where it names none, its root
    role signs kits. A kit with an older dray, or an older package, than this one is refused.
    """
    import bundle  # noqa: PLC0415  (not for --help)
    from bundle import instant  # noqa: PLC0415
    from bundle.errors import DrayError  # noqa: PLC0415
    from bundle.kit import check, versions  # noqa: PLC0415

    places = check.find(folders)
    trusted = find_trust(trust, pub, places, folders)
    rows: list[dict[str, Any]] = []
    failure: DrayError | None = None
    for place in places:
        try:
            here = {**versions.installed(), "dray": bundle.__version__}
            found = check.check(place, trusted, instant.now(), here)
            check.refuse_older(found, allow_older.strip())
        except DrayError as error:
            failure = failure or error
            rows.append({"folder": str(place), "ok": False, "error": error.to_dict()})
            continue
        rows.append({"folder": str(place), "ok": True, **_summary(found, allow_older)})
    if as_json:
        emit({"kits": rows} | ({"error": failure.to_dict()} if failure else {}))
    else:
        for row in rows:
            _say(row)
    if failure:
        raise failure


def _summary(found: Checked, reason: str) -> dict[str, Any]:
    kit = found.kit
    body: dict[str, Any] = {"kit": kit.name, "kind": kit.kind, "version": kit.version}
    body |= {"platform": kit.platform, "libc": " ".join(kit.libc), "pythons": list(kit.pythons)}
    body |= {"interpreter": kit.interpreter} if kit.interpreter else {}
    body |= {"digest": str(found.digest), "signers": list(found.signers.names)}
    body["files"] = [file.to_dict() for file in kit.files]
    body["packages"] = [package.to_dict() for package in kit.packages]
    return body | ({"older": list(found.older), "reason": reason} if found.older else {})


def _say(row: dict[str, Any]) -> None:
    if not row["ok"]:
        say(f"BAD {row['folder']}: {row['error']['message']}")
        return
    say(f"{row['kit']}: signed by {', '.join(row['signers'])}, {row['digest']}")
    own = f"carries Python {row['interpreter']}" if "interpreter" in row else "needs Python "
    needs = own if "interpreter" in row else own + ", ".join(row["pythons"])
    say(f"verified: {len(row['files'])} files, every byte; {needs}; {row['libc']} or later")
    for line in row.get("older", ()):
        say(f"OVERRIDDEN older: {line}: {row['reason']}")
