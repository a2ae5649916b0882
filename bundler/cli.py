"""The low side's commands: options to calls, and results to text."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bundle.errors import UsageError
from bundle.options import (
    FOLDER,
    ask,
    command,
    emit,
    option,
    say,
    warn,
)
from bundle.receiptcommand import receipt
from bundler.adopt.command import adopt
from bundler.connect import login_options
from bundler.countersigning import sign
from bundler.doctor.command import doctor
from bundler.exporting import export
from bundler.kit.command import kit
from bundler.policykit import policy
from bundler.scan.command import scan
from bundler.trust.command import trust as trust_file

if TYPE_CHECKING:
    from bundler.connect import Connect
    from bundler.spec import Spec

SPEC = click.Path(dir_okay=False, path_type=Path)


def commands() -> list[click.Command]:
    """Return the commands of the low side."""
    return [init, adopt, keygen, doctor, lock, scan, policy, export, sign, kit, trust_file, receipt]


@command("init")
@click.argument("folder", type=FOLDER, default=".")
@option("--stream", default="nvidia-ai", show_default=True, help="Name of the bundles' stream.")
@option("--name", default="dray", show_default=True, help="Name of the signer, and of its key.")
@option("--no-passphrase", is_flag=True, help="Write the private key unencrypted.")
def init(folder: Path, stream: str, name: str, *, no_passphrase: bool, as_json: bool) -> None:
    """Write a commented spec, a key pair and a trust file into FOLDER."""
    from bundle.durable import make_folder
    from bundler import starter
    from bundler.trustfile import first

    starter.check_stream(stream)
    make_folder(folder)
    starter.check(folder, [f"{name}.key", f"{name}.pub", "trust.json"])
    pair = _generate(folder, name, "p256", no_passphrase=no_passphrase)
    trust = first(folder / "trust.json", stream, {name: pair.public_key})
    written = [*starter.write(folder, stream), pair.private, pair.public, trust]
    if as_json:
        emit({"written": [str(path) for path in written]})
        return
    for path in written:
        say(f"wrote {path}")
    spec = written[0]
    say(f"next: edit {spec}, then: dray lock {spec} && dray export {spec} --to DIR")
    say(f"take {trust} to the high side by another way than the medium")


@command("keygen")
@click.argument("folder", type=FOLDER, default=".")
@option("--name", default="dray", show_default=True, help="Name of the signer, and of its files.")
@option(
    "--type",
    "algorithm",
    type=click.Choice(["p256", "ed25519"]),
    default="p256",
    show_default=True,
    help="Kind of key.",
)
@option(
    "--for",
    "purpose",
    type=click.Choice(["signing", "encryption"]),
    default="signing",
    show_default=True,
    help="What it is for: no key does both.",
)
@option("--no-passphrase", is_flag=True, help="Write the private key unencrypted.")
def keygen(
    folder: Path, name: str, algorithm: str, purpose: str, *, no_passphrase: bool, as_json: bool
) -> None:
    """Make a key pair that signs: NAME.key (secret) and NAME.pub.

    With --for encryption, one that opens what was encrypted to it: NAME.decrypt-key (secret, for
    the high side) and NAME.encrypt-to.
    """
    from bundle.durable import make_folder

    if purpose == "encryption" and algorithm != "p256":
        raise UsageError("an Ed25519 key only signs", hint="leave --type out: P-256 encrypts")
    make_folder(folder)
    pair = _generate(folder, name, algorithm, purpose, no_passphrase=no_passphrase)
    fingerprint = str(pair.public_key.fingerprint)
    if as_json:
        files = {"private": str(pair.private), "public": str(pair.public)}
        emit({**files, "fingerprint": fingerprint})
        return
    say(f"wrote {pair.private} (keep it secret) and {pair.public}")
    say(f"fingerprint {fingerprint}")


def _generate(
    folder: Path, name: str, algorithm: str, purpose: str = "signing", *, no_passphrase: bool
) -> Any:
    from bundle.secretfile import DECRYPTION, SIGNING, Passphrase
    from bundler import signing

    signing.check_name(name)
    encrypts = purpose == "encryption"
    asked = Passphrase(ask=ask, variable=DECRYPTION if encrypts else SIGNING)
    return signing.generate(
        folder,
        name,
        algorithm=algorithm,
        passphrase=None if no_passphrase else asked.find(f"the new key {name}", confirm=True),
        endings=signing.ENCRYPTION_ENDINGS if encrypts else signing.ENDINGS,
    )


@command("lock", short_help="Resolve SPEC to digests: write the lock, to be reviewed.")
@click.argument("spec", type=SPEC)
@option("--update", is_flag=True, help="Resolve anew although the lock is of this spec.")
@option("--why", is_flag=True, help="Print the images that charts need, and why; write nothing.")
@option("--check", is_flag=True, help="Ask upstream what became of the lock; write nothing.")
@option("--strict", is_flag=True, help="With --check: fail for moved, newer and deprecated too.")
@login_options
def lock(
    spec: Path,
    *,
    update: bool,
    why: bool,
    check: bool,
    strict: bool,
    connect: Connect,
    as_json: bool,
) -> None:
    """Resolve SPEC to digests and write the lock beside it, to be reviewed.

    The lock of dray.yaml is dray.lock.yaml.

    --check downloads no content. It prints one row for each artifact: ok, moved, newer, deprecated,
    vanished, or unknown (it could not be asked). It ends with 6 when there is a vanished or unknown
    one, with --strict for any but ok, and else with 0.
    """
    from bundler import lockdiff, locked
    from bundler.spec import load

    if sum((update, why, check)) > 1 or (strict and not check):
        raise UsageError(
            "--update, --why and --check exclude each other, and --strict is for --check",
            hint="give one of them",
        )
    loaded = load(spec)
    if check:
        _check(loaded, connect, strict=strict, as_json=as_json)
        return
    if why:
        _explain(loaded, connect, as_json=as_json)
        return
    try:
        before = locked.read(loaded)
    except UsageError as error:
        if not update:
            raise UsageError(error.message, hint="--update writes the lock anew") from None
        warn(f"{error.message}: the lock is written anew")
        before = None
    if before is not None and before.spec == loaded.digest and not update:
        path = locked.lock_path(spec)
        if as_json:
            emit({"lock": str(path), "digest": str(before.digest), "changed": False})
        else:
            say(f"{path} is of this spec already; --update resolves it anew")
        return
    made = locked.resolve(loaded, connect)
    changes = lockdiff.changes(before, made)
    if as_json:
        body = {"lock": str(locked.lock_path(spec)), "digest": str(made.digest), "changed": True}
        emit({**body, "changes": changes})
        return
    for line in lockdiff.describe(made, changes, before):
        say(line)
    say(f"wrote {locked.lock_path(spec)}: review it, then export")


def _check(spec: Spec, connect: Connect, *, strict: bool, as_json: bool) -> None:
    from bundler import lockcheck, locked

    found = locked.read(spec)
    if found is None:
        raise UsageError(
            f"there is no {locked.lock_path(spec.path)}", hint=f"dray lock {spec.path}"
        )
    locked.check_pair(found, spec)
    upstreams = connect(spec)
    try:
        rows = lockcheck.check(found, spec, upstreams)
    finally:
        upstreams.close()
    failed = lockcheck.failure(rows, strict=strict)
    if as_json:
        body: dict[str, Any] = {"rows": [row.to_dict() for row in rows]}
        emit(body | ({"error": failed.to_dict()} if failed else {}))
    else:
        for line in lockcheck.describe(rows):
            say(line)
    if failed:
        raise failed


def _explain(spec: Spec, connect: Connect, *, as_json: bool) -> None:
    from bundler.chartimages import table
    from bundler.resolve import chart_images

    upstreams = connect(spec)
    try:
        rows = chart_images(spec, upstreams).rows()
    finally:
        upstreams.close()
    if as_json:
        emit({"images": rows})
        return
    for line in table(rows):
        say(line)
