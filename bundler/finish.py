"""The end of an export: manifest, signatures and small files on every medium, the manifest last."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import bundle
from bundle import instant
from bundle.digest import Digest
from bundle.durable import sync_folder
from bundle.manifest import File, Manifest, Previous
from bundler import paperwork
from bundler.chunkfile import medium_errors

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta
    from pathlib import Path

    from bundle.account import Account
    from bundler.export import Outcome
    from bundler.plan import Plan
    from bundler.signing import Signer


@dataclass(frozen=True)
class Finished:
    """A sealed bundle: its manifest and the manifest's digest."""

    manifest: Manifest
    digest: Digest
    folders: tuple[Path, ...]


def finish(  # noqa: PLR0913  (what a manifest says)
    plan: Plan,
    outcome: Outcome,
    signers: Sequence[Signer],
    *,
    sequence: int,
    created: str,
    lifetime: timedelta,
    previous: Previous | None,
    name: str,
    account: Account | None = None,
) -> Finished:
    """Write and sign what every medium carries. The bundle exists when this returns, not before."""
    small = _small_files(plan, outcome, name)
    manifest = Manifest(
        stream=plan.lock.stream,
        sequence=sequence,
        created=created,
        expires=instant.spell(instant.parse(created) + lifetime),
        generator=("dray", bundle.__version__),
        spec=plan.lock.spec,
        lock=plan.lock.digest,
        chunk_size=plan.options.chunk_size,
        artifacts=tuple(locked.artifact for locked in plan.lock.artifacts),
        blobs=(*outcome.blobs, *plan.required),
        chunks=tuple(outcome.chunks),
        media=plan.media(outcome.placed),
        files=(
            *(File(file, len(data), Digest.of(data)) for file, data in small.items()),
            *outcome.lists,
        ),
        previous=previous,
        parity=outcome.parity,
        recipients=tuple(key.fingerprint for key in plan.options.recipients),
        bases=plan.bases,
        account=account,
    )
    data = manifest.to_bytes()
    Manifest.from_bytes(data)  # never sign what the other side would refuse
    document = f"{name}.manifest.json"
    signed = dict(small)
    for signer in signers:
        signed |= signer.files(document, data)
    folders = tuple(plan.folder(medium.number - 1, name) for medium in manifest.media)
    for folder in folders:
        for file, content in signed.items():
            put(folder / file, content)
    for folder in folders:
        put(folder / document, data)
    return Finished(manifest, Digest.of(data), folders)


def _small_files(plan: Plan, outcome: Outcome, name: str) -> dict[str, bytes]:
    encrypted = bool(plan.options.recipients)
    files = {
        "README.txt": paperwork.readme(
            name,
            encoded=bool(plan.encode),
            encrypted=encrypted,
            left=plan.required,
            bases=plan.bases,
        ),
        f"{name}.lock.yaml": plan.lock.text,
        f"{name}.trusted-root.json": paperwork.TRUSTED_ROOT,
        **{f"{name}.{ending}": data for ending, data in outcome.papers.items()},
    }
    if encrypted:
        files[f"{name}.decrypt.py"] = paperwork.decrypt_script(name)
    rows = [(chunk.name, chunk.digest) for chunk in outcome.chunks]
    rows += [(file.name, file.digest) for group in outcome.parity for file in group.files]
    rows += [(file, Digest.of(data)) for file, data in files.items()]
    rows += [(file.name, file.digest) for file in outcome.lists]
    return {**files, f"{name}.sha256sums": paperwork.sha256sums(rows)}


def put(path: Path, data: bytes) -> None:
    """Write a small file: whole and durable, or not at all; no link there is followed."""
    partial = path.with_name(path.name + ".partial")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    with medium_errors(path):
        try:
            with os.fdopen(os.open(partial, flags, 0o644), "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            partial.rename(path)
        except BaseException:
            with suppress(OSError):
                partial.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)
