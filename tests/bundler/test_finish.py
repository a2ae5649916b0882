"""The end of an export: the manifest last, on every medium, and never one that nobody reads."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from bundle import instant
from bundle.digest import Digest
from bundle.errors import VerificationError
from bundle.manifest import Manifest, Previous
from bundle.media import Media
from bundle.signaturefiles import check_signatures
from bundle.unseal import unseal
from bundle.verify import verify
from bundler import finish as module
from bundler.chunkfile import MediumError
from bundler.finish import Finished, finish, put
from tests import keys
from tests.bundler.world import BUNDLE, PLAIN, Upstream, export, lock, locked, noise, plan, text

if TYPE_CHECKING:
    from pathlib import Path

BIG, WORDS = noise("big", 1_500_000), text("words", 300_000)
LOCK = lock(locked("one", BIG), locked("two", WORDS, media_type=PLAIN))
CREATED = "2026-06-01T12:00:00Z"
MEDIA = (1_300_000, 10**8)


def finished(folder: Path, *, signers: tuple[str, ...] = ("dray",), **options: object) -> Finished:
    made = plan(LOCK, folder, media=MEDIA, **options)  # type: ignore[arg-type]
    outcome = export(made, Upstream.of(BIG, WORDS))
    return finish(
        made,
        outcome,
        [keys.signer(name) for name in signers],
        sequence=1,
        created=CREATED,
        lifetime=timedelta(days=2),
        previous=Previous(7, Digest.of(b"before")),
        name=BUNDLE,
    )


@pytest.mark.parametrize("compress", [False, True])
def test_the_bundle_is_one_that_the_high_side_verifies(tmp_path: Path, compress: bool) -> None:
    done = finished(tmp_path, compress=compress, signers=("dray", "second"))
    (next(tmp_path.rglob("*.journal"))).unlink()
    media = Media.find([tmp_path / BUNDLE])
    sealed = unseal(media, keys.trust(keys.signer("dray"), keys.signer("second")), keys.NOW)
    assert (sealed.manifest, sealed.digest) == (done.manifest, done.digest)
    report = verify(sealed.manifest, media)
    check_signatures(sealed, media, report)
    assert (report.bad, report.missing) == ([], [])
    assert report.checked >= sum(LOCK.blobs.values()) * (not compress)


def test_every_medium_carries_the_small_files_and_its_chunks(tmp_path: Path) -> None:
    done = finished(tmp_path)
    small = {
        "README.txt",
        f"{BUNDLE}.lock.yaml",
        f"{BUNDLE}.trusted-root.json",
        f"{BUNDLE}.sha256sums",
        f"{BUNDLE}.manifest.json",
        f"{BUNDLE}.manifest.json.dray.sigstore.json",
        f"{BUNDLE}.manifest.json.dray.sig",
    }
    (next(tmp_path.rglob("*.journal"))).unlink()
    for folder, chunks in zip(done.folders, ([1], [2]), strict=True):
        expected = small | {f"{BUNDLE}.chunk-{number:05d}.tar" for number in chunks}
        assert {path.name for path in folder.iterdir()} == expected


def test_the_manifest_says_what_was_decided(tmp_path: Path) -> None:
    manifest = finished(tmp_path).manifest
    assert (manifest.created, manifest.expires) == (CREATED, "2026-06-03T12:00:00Z")
    assert manifest.previous == Previous(7, Digest.of(b"before"))
    assert [medium.capacity for medium in manifest.media] == list(MEDIA)
    assert (manifest.lock, manifest.spec) == (LOCK.digest, LOCK.spec)


def test_the_list_of_digests_names_chunks_and_small_files(tmp_path: Path) -> None:
    done = finished(tmp_path)
    listed = (done.folders[0] / f"{BUNDLE}.sha256sums").read_text().splitlines()
    rows = {line[66:]: line[:64] for line in listed}
    for folder in done.folders:
        for name in [path.name for path in folder.iterdir() if path.name in rows]:
            assert rows[name] == Digest.of((folder / name).read_bytes()).hex
    assert {f"{BUNDLE}.chunk-00001.tar", f"{BUNDLE}.chunk-00002.tar", "README.txt"} <= set(rows)


def test_the_manifest_is_written_last_after_every_other_file_of_every_medium(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    real = module.put

    def watched(path: Path, data: bytes) -> None:
        order.append(path.name)
        real(path, data)

    monkeypatch.setattr(module, "put", watched)
    finished(tmp_path)
    assert order[-2:] == [f"{BUNDLE}.manifest.json"] * 2
    assert f"{BUNDLE}.manifest.json" not in order[:-2]


def test_a_manifest_that_the_other_side_would_refuse_is_never_signed(tmp_path: Path) -> None:
    made = plan(LOCK, tmp_path)
    outcome = export(made, Upstream.of(BIG, WORDS))
    outcome.chunks[0] = replace(outcome.chunks[0], size=outcome.chunks[0].size + 1)
    with pytest.raises(VerificationError, match="not as long as its contents"):
        finish(
            made,
            outcome,
            [keys.signer("dray")],
            sequence=1,
            created=CREATED,
            lifetime=timedelta(days=2),
            previous=None,
            name=BUNDLE,
        )
    assert not list(tmp_path.rglob("*.sigstore.json"))


def test_two_runs_give_the_same_manifest(tmp_path: Path) -> None:
    assert finished(tmp_path / "a").digest == finished(tmp_path / "b").digest


def test_a_small_file_is_there_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    put(path, b"before")

    def full(_handle: int) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(MediumError, match="file cannot be written: No space left on device"):
        put(path, b"after")
    assert path.read_bytes() == b"before"


def test_a_manifest_reads_back_as_it_was_made(tmp_path: Path) -> None:
    done = finished(tmp_path)
    data = (done.folders[1] / f"{BUNDLE}.manifest.json").read_bytes()
    assert Manifest.from_bytes(data) == done.manifest
    assert Digest.of(data) == done.digest
    assert instant.parse(done.manifest.expires) > instant.parse(done.manifest.created)
