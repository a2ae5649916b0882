"""The command ``dray sign``: what is signed, said to the person who signs it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from bundle.options import FILE, FOLDER, command, emit, option, say
from bundle.progress import counted, human
from bundler.signers import signer_options

if TYPE_CHECKING:
    from pathlib import Path

    from bundler.countersign import Draft
    from bundler.signers import Chosen


@command("sign", short_help="Add a second person's signature to a finished bundle.")
@click.argument("folder", type=FOLDER)
@signer_options("Private key of the second person.")
@option(
    "--trust", type=FILE, help="Trust file [default: ./trust.json, then ~/.config/dray/trust.json]."
)
@option("--pub", type=FILE, help="Trust this one public key (PEM) as the first signer's.")
@option(
    "--lock",
    "reviewed",
    type=FILE,
    help="Sign only what is of this lock, which you have reviewed.",
)
@option(
    "--expect",
    default="",
    metavar="DIGEST",
    help="Sign only this manifest; 20 hex digits or more, as they were read to you.",
)
@option("--since", type=FILE, help="Print what changed since this lock: the last bundle's.")
@option("--out", type=FOLDER, help="Write the signature files here, for a read-only medium.")
def sign(  # noqa: PLR0913
    folder: Path,
    signing: Chosen,
    trust: Path | None,
    pub: Path | None,
    reviewed: Path | None,
    since: Path | None,
    out: Path | None,
    *,
    expect: str,
    as_json: bool,
) -> None:
    """Add a signature to a finished bundle, after checking the signature that it has.

    One medium of several is enough. Only the manifest is read, which pins everything else: run
    dray verify for the rest.
    """
    from bundler import countersign

    draft = countersign.read(folder, trust, pub)
    if expect:
        countersign.check_expected(draft, expect)
    if reviewed:
        countersign.check_lock(draft, reviewed)
    changes = _changes(draft, since) if since else []
    if not as_json:
        _describe(draft, [f"{row['change']}: {row['artifact']}" for row in changes], since)
    written: list[Path] = []
    signers = signing.signers()
    for signer in signers:
        written += countersign.add(draft, signer, out)
        if not as_json:
            say(f"signed as {signer.name}, key {signer.public_key.fingerprint}")
    if as_json:
        body = _body(draft, written) | {"standing": countersign.standing(draft, signers)}
        emit(body | ({"changes": changes} if since else {}))
        return
    for path in written:
        say(f"wrote {path}")
    if standing := countersign.standing(draft, signers):
        say(standing)
    _carry(draft, out)


def _changes(draft: Draft, since: Path) -> list[dict[str, str]]:
    from bundler import lock, lockdiff

    return lockdiff.changes(lock.load(since), draft.lock())


def _describe(draft: Draft, changes: list[str], since: Path | None) -> None:
    manifest = draft.manifest
    total = human(sum(chunk.size for chunk in manifest.chunks))
    artifacts = counted(len(manifest.artifacts), "artifact")
    say(f"{manifest.name}: {artifacts}, {counted(len(manifest.chunks), 'chunk')}, {total}")
    say(f"created {manifest.created}, expires {manifest.expires}")
    say(f"manifest {draft.digest}")
    say(f"lock     {manifest.lock}")
    if previous := manifest.previous:
        say(f"follows  {previous.manifest}, number {previous.sequence}")
    say(f"signed by {', '.join(draft.signers)}")
    for line in changes:
        say(line)
    if since and not changes:
        say(f"nothing changed since {since}")


def _carry(draft: Draft, out: Path | None) -> None:
    """Say where else the files belong."""
    absent = len(draft.manifest.media) - len(draft.places)
    if out:
        say("copy them beside the manifest on every medium")
    elif absent > 0:
        others = "medium" if absent == 1 else f"{absent} media"
        say(f"copy them to the other {others} too")


def _body(draft: Draft, written: list[Path]) -> dict[str, Any]:
    manifest = draft.manifest
    return {
        "name": manifest.name,
        "manifestDigest": str(draft.digest),
        "lock": str(manifest.lock),
        "artifacts": len(manifest.artifacts),
        "signedBefore": list(draft.signers),
        "written": [str(path) for path in written],
    }
