"""The low side's commands: options to calls, and results to text."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bundle.errors import UsageError
from bundle.options import (
    FILE,
    FOLDER,
    command,
    emit,
    option,
    say,
    size,
    stoppable,
    warn,
)
from bundler.connect import login_options
from bundler.doctor.command import doctor

if TYPE_CHECKING:
    from bundler.connect import Connect
    from bundler.lock import Lock
    from bundler.signing import Signer
    from bundler.spec import Spec

SPEC = click.Path(dir_okay=False, path_type=Path)


def commands() -> list[click.Command]:
    """Return the commands of the low side."""
    return [init, keygen, doctor, lock, export, sign]


@command("init")
@click.argument("folder", type=FOLDER, default=".")
@option("--stream", default="nvidia-ai", show_default=True, help="Name of the bundles' stream.")
@option("--name", default="dray", show_default=True, help="Name of the signer, and of its key.")
@option("--no-passphrase", is_flag=True, help="Write the private key unencrypted.")
def init(folder: Path, stream: str, name: str, *, no_passphrase: bool, as_json: bool) -> None:
    """Write a commented spec, a key pair and a trust file into FOLDER."""
    from bundler import starter
    from bundler.trustfile import first

    starter.check_stream(stream)
    folder.mkdir(parents=True, exist_ok=True)
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
@option("--no-passphrase", is_flag=True, help="Write the private key unencrypted.")
def keygen(folder: Path, name: str, algorithm: str, *, no_passphrase: bool, as_json: bool) -> None:
    """Make a key pair: NAME.key (secret) and NAME.pub."""
    folder.mkdir(parents=True, exist_ok=True)
    pair = _generate(folder, name, algorithm, no_passphrase=no_passphrase)
    fingerprint = str(pair.public_key.fingerprint)
    if as_json:
        files = {"private": str(pair.private), "public": str(pair.public)}
        emit({**files, "fingerprint": fingerprint})
        return
    say(f"wrote {pair.private} (keep it secret) and {pair.public}")
    say(f"fingerprint {fingerprint}")


def _generate(folder: Path, name: str, algorithm: str, *, no_passphrase: bool) -> Any:
    from bundler import signing

    signing.check_name(name)
    phrase = None if no_passphrase else signing.Passphrase(ask=_ask).find(confirm=True)
    return signing.generate(folder, name, algorithm=algorithm, passphrase=phrase)


def _ask(confirm: bool) -> str:  # noqa: FBT001, RUF100  (the shape that Passphrase calls)
    text: str = click.prompt(
        "Passphrase of the key", hide_input=True, err=True, confirmation_prompt=confirm
    )
    return text


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
    from bundler import lockdiff
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
        before = _read_lock(loaded)
    except UsageError as error:
        if not update:
            raise UsageError(error.message, hint="--update writes the lock anew") from None
        warn(f"{error.message}: the lock is written anew")
        before = None
    if before is not None and before.spec == loaded.digest and not update:
        path = lock_path(spec)
        if as_json:
            emit({"lock": str(path), "digest": str(before.digest), "changed": False})
        else:
            say(f"{path} is of this spec already; --update resolves it anew")
        return
    made = _resolve(loaded, connect)
    changes = lockdiff.changes(before, made)
    if as_json:
        body = {"lock": str(lock_path(spec)), "digest": str(made.digest), "changed": True}
        emit({**body, "changes": changes})
        return
    for line in lockdiff.describe(made, changes, before):
        say(line)
    say(f"wrote {lock_path(spec)}: review it, then export")


def _check(spec: Spec, connect: Connect, *, strict: bool, as_json: bool) -> None:
    from bundler import lockcheck

    found = _read_lock(spec)
    if found is None:
        raise UsageError(f"there is no {lock_path(spec.path)}", hint=f"dray lock {spec.path}")
    _check_pair(found, spec)
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


def lock_path(spec: Path) -> Path:
    """Return the lock's path beside the spec: ``dray.yaml`` gives ``dray.lock.yaml``."""
    stem = spec.name.removesuffix(".yaml").removesuffix(".yml")
    return spec.with_name(f"{stem}.lock.yaml")


def _read_lock(spec: Spec) -> Lock | None:
    from bundler.lock import load

    path = lock_path(spec.path)
    if not path.exists():
        return None
    found = load(path)
    if fault := found.source_fault():
        raise UsageError(f"{path}: {fault}", hint="write the lock anew with dray lock --update")
    return found


def _resolve(spec: Spec, connect: Connect, *, write: bool = True) -> Lock:
    from bundler.finish import put
    from bundler.resolve import resolve

    for warning in spec.warnings:
        warn(warning)
    upstreams = connect(spec)
    try:
        made = resolve(spec, upstreams)
    finally:
        upstreams.close()
    if write:
        put(lock_path(spec.path), made.text)
    return made


@command("export", short_help="Lock if needed, pull, pack, sign, and read back what SPEC names.")
@click.argument("spec", type=SPEC)
@option(
    "--to",
    "folders",
    type=FOLDER,
    multiple=True,
    required=True,
    metavar="DIR",
    help="Where the bundle goes; several times for several mounted drives.",
)
@option(
    "--chunk-size",
    default="fat32",
    show_default=True,
    metavar="SIZE",
    help="Most bytes of a file: fat32 (4 GB), dvd (4.7 GB), bd25 (25 GB), or a size as 2GB.",
)
@option(
    "--media",
    default="",
    metavar="SIZE,SIZE,…",
    help="Capacities of the drives, in order, as 64GB,64GB.",
)
@option(
    "--compress",
    is_flag=True,
    help="Store what shrinks by it as Zstandard; compressed layers stay as they are.",
)
@option(
    "--key",
    "keys",
    type=FILE,
    multiple=True,
    help="Private key that signs; repeatable [default: the only *.key beside SPEC].",
)
@option("--plan", "plan_only", is_flag=True, help="Print the plan, write nothing.")
@option("--restart", is_flag=True, help="Discard an unfinished export and begin again.")
@option("--new", "anew", is_flag=True, help="Export again although nothing has changed.")
@login_options
def export(  # noqa: PLR0913
    spec: Path,
    folders: tuple[Path, ...],
    chunk_size: str,
    media: str,
    keys: tuple[Path, ...],
    *,
    compress: bool,
    plan_only: bool,
    restart: bool,
    anew: bool,
    connect: Connect,
    as_json: bool,
) -> None:
    """Lock (if needed), pull, pack and sign what SPEC names, and read it back."""
    from bundle.manifest import bundle_name
    from bundler import packing, report, run
    from bundler.plan import make
    from bundler.spec import load

    loaded = load(spec)
    made = _current_lock(loaded, connect, write=not plan_only)
    capacities = [size(part) for part in media.split(",") if part.strip()]
    if 0 in capacities:
        raise UsageError("a medium of 0 bytes holds nothing", hint="leave --media out for no limit")
    chosen = run.options(folders, size(chunk_size, packing.PRESETS), capacities, compress=compress)
    plan = make(made, chosen)
    if not plan_only:
        signers = _signers(spec, keys)
    upstreams = connect(loaded)
    with stoppable() as stop:
        exporting = run.Exporting(
            plan, () if plan_only else signers, upstreams.opener, loaded.lifetime, stop, warn
        )
        exporting.quiet = as_json
        try:
            if not (restart or anew or plan_only) and (known := exporting.sealed_already()):
                report.already(known, as_json=as_json)
                return
            number = exporting.number(restart=restart, discard=not plan_only)
            name = bundle_name(made.stream, number.sequence)
            if plan_only:
                report.plan(plan, name, as_json=as_json)
                return
            if not as_json:
                report.start(plan, name, number)
            finished, outcome = exporting.run(number)
        finally:
            upstreams.close()
    report.finished(finished, outcome, as_json=as_json)


def _current_lock(spec: Spec, connect: Connect, *, write: bool) -> Lock:
    found = _read_lock(spec)
    if found is None:
        return _resolve(spec, connect, write=write)
    _check_pair(found, spec)
    return found


def _check_pair(found: Lock, spec: Spec) -> None:
    if found.spec != spec.digest:
        raise UsageError(
            f"{lock_path(spec.path)} is not of this {spec.path.name}: the spec was changed since",
            hint=f"dray lock {spec.path}, review what changed, then export",
        )


def _signers(spec: Path, keys: tuple[Path, ...]) -> list[Signer]:
    from bundler import signing

    if not keys:
        found = sorted(spec.resolve().parent.glob("*.key"))
        if len(found) != 1:
            what = "no *.key" if not found else f"{len(found)} *.key files"
            message = f"{what} beside {spec}: which key signs?"
            raise UsageError(message, hint="name it with --key FILE; dray keygen makes one")
        keys = (found[0],)
    signers: list[Signer] = []
    for path in keys:
        signer, warning = signing.load(path, passphrase=signing.Passphrase(ask=_ask))
        if warning:
            warn(warning)
        if any(other.name == signer.name for other in signers):
            message = f"two keys are called {signer.name}: one signature would replace the other"
            raise UsageError(message, hint="rename a key file: its name is the signer's name")
        signers.append(signer)
    return signers


@command("sign", short_help="Add a second person's signature to a finished bundle.")
@click.argument("folder", type=FOLDER)
@option("--key", type=FILE, required=True, help="Private key of the second person.")
@option(
    "--trust", type=FILE, help="Trust file [default: ./trust.json, then ~/.config/dray/trust.json]."
)
@option("--pub", type=FILE, help="Trust this one public key (PEM) as the first signer's.")
def sign(folder: Path, key: Path, trust: Path | None, pub: Path | None, *, as_json: bool) -> None:
    """Add a signature to a finished bundle, after checking the signature that it has."""
    from bundler import countersign, signing

    signer, warning = signing.load(key, passphrase=signing.Passphrase(ask=_ask))
    if warning:
        warn(warning)
    written = countersign.add(folder, signer, trust, pub)
    if as_json:
        emit({"written": [str(path) for path in written]})
    else:
        for path in written:
            say(f"wrote {path}")
