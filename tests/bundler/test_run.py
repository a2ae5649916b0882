"""Which number an export has, when it goes on, and when there is nothing to do."""

from __future__ import annotations

import os
import shutil
import threading
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from bundle import instant
from bundle.digest import Digest
from bundle.errors import DrayError, SourceError, UsageError, VerificationError
from bundle.manifest import Manifest
from bundle.state import State, StateFolder, default_folder
from bundler import run
from bundler.journal import Journal
from tests import keys
from tests.bundler.world import (
    PLAIN,
    Upstream,
    chunks,
    leftovers,
    lock,
    locked,
    noise,
    plan,
    refuses,
    text,
)

if TYPE_CHECKING:
    from pathlib import Path

    from bundler.finish import Finished
    from bundler.lock import Lock

A, B, WORDS = noise("a", 1_500_000), noise("b", 200_000), text("words", 300_000)
LOCK, NEXT = lock(locked("one", A, B)), lock(locked("one", A), locked("two", B))


@pytest.fixture
def upstream() -> Upstream:
    return Upstream.of(A, B, WORDS)


def exporting(made: Lock, upstream: Upstream, *folders: Path, **options: object) -> run.Exporting:
    signers = [keys.signer("dray")]
    lifetime, stop = timedelta(days=180), threading.Event()
    return run.Exporting(
        plan(made, *folders, **options),  # type: ignore[arg-type]
        signers,
        upstream.opener,
        lifetime,
        stop,
        lambda _text: None,
        quiet=True,
    )


def exported(made: Lock, upstream: Upstream, *folders: Path, **options: object) -> Finished:
    one = exporting(made, upstream, *folders, **options)
    return one.run(one.number())[0]


def unfinished(made: Lock, upstream: Upstream, *folders: Path) -> None:
    """Leave an export behind that a refusing upstream has cut short."""
    upstream.fail("one", A, refuses)
    one = exporting(made, upstream, *folders)
    with pytest.raises(SourceError, match="is not sealed: 1 artifact failed"):
        one.run(one.number())
    upstream.faults.clear()


def recorded() -> State | None:
    return StateFolder(default_folder(), "export").last("prod")


def test_the_first_export_is_number_one_and_each_next_one_names_the_one_before(
    tmp_path: Path, upstream: Upstream
) -> None:
    first = exported(LOCK, upstream, tmp_path)
    second = exported(NEXT, upstream, tmp_path)
    assert (first.manifest.name, second.manifest.name) == ("prod-000001", "prod-000002")
    assert first.manifest.previous is None
    assert second.manifest.previous is not None
    assert second.manifest.previous.manifest == first.digest


def test_numbers_go_on_from_the_folder_where_the_state_is_lost(
    tmp_path: Path, upstream: Upstream
) -> None:
    exported(LOCK, upstream, tmp_path)
    shutil.rmtree(default_folder())
    assert exporting(NEXT, upstream, tmp_path).number() == run.Number(2, unfinished=False)


def test_numbers_go_on_from_the_state_where_the_folder_is_another_one(
    tmp_path: Path, upstream: Upstream
) -> None:
    exported(LOCK, upstream, tmp_path / "a")
    assert exported(NEXT, upstream, tmp_path / "b").manifest.sequence == 2


def test_folders_that_only_look_like_bundles_do_not_count(
    tmp_path: Path, upstream: Upstream
) -> None:
    for name in ("prod-7", "prod-000007x", "other-000008", "prod-x-000009"):
        (tmp_path / name).mkdir()
    (tmp_path / "prod-000012").symlink_to(tmp_path / "prod-7")
    (tmp_path / "prod-000013").write_bytes(b"")
    assert exporting(LOCK, upstream, tmp_path).number().sequence == 1


def test_an_unfinished_export_is_gone_on_with_under_its_number(
    tmp_path: Path, upstream: Upstream
) -> None:
    unfinished(LOCK, upstream, tmp_path)
    one = exporting(LOCK, upstream, tmp_path)
    assert one.number() == run.Number(1, unfinished=True)
    finished, outcome = one.run(one.number())
    assert outcome.kept > 0
    assert (finished.manifest.sequence, leftovers(tmp_path)) == (1, [])
    assert not list(tmp_path.rglob("*.journal"))


def test_an_unfinished_export_of_another_lock_is_refused_and_restart_discards_it(
    tmp_path: Path, upstream: Upstream
) -> None:
    unfinished(LOCK, upstream, tmp_path)
    one = exporting(NEXT, upstream, tmp_path)
    with pytest.raises(UsageError, match="unfinished export of another lock") as caught:
        one.run(one.number())
    assert "--restart" in caught.value.hint
    number = one.number(restart=True)
    assert number == run.Number(1, unfinished=False)
    assert list(tmp_path.iterdir()) == []


def test_a_plan_with_restart_discards_nothing(tmp_path: Path, upstream: Upstream) -> None:
    unfinished(LOCK, upstream, tmp_path)
    before = sorted(tmp_path.rglob("*"))
    assert exporting(NEXT, upstream, tmp_path).number(restart=True, discard=False).sequence == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_restart_discards_what_lies_on_every_drive(tmp_path: Path, upstream: Upstream) -> None:
    drives = (tmp_path / "a", tmp_path / "b")
    unfinished(LOCK, upstream, *drives)
    assert exporting(LOCK, upstream, *drives).number(restart=True).sequence == 1
    assert [list(drive.iterdir()) for drive in drives] == [[], []]


def test_restart_does_not_discard_what_another_run_is_writing(
    tmp_path: Path, upstream: Upstream
) -> None:
    unfinished(LOCK, upstream, tmp_path)
    one = exporting(LOCK, upstream, tmp_path)
    path = next(tmp_path.rglob("*.journal"))
    other = Journal.open(path, plan=one.plan.digest, created="")
    with pytest.raises(UsageError, match="another export is writing"):
        one.number(restart=True)
    other.close()
    assert path.exists()


def test_the_same_drives_in_another_order_are_refused(tmp_path: Path, upstream: Upstream) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    unfinished(LOCK, upstream, a, b)
    with pytest.raises(UsageError, match="begun with other folders") as caught:
        exporting(LOCK, upstream, b, a).number()
    assert "same order" in caught.value.hint


def test_an_unfinished_export_whose_number_was_taken_is_refused(
    tmp_path: Path, upstream: Upstream
) -> None:
    """Finishing it would be a second bundle of one number: a fork, an alarm on the high side."""
    unfinished(LOCK, upstream, tmp_path / "a")
    exported(NEXT, upstream, tmp_path / "b")
    one = exporting(LOCK, upstream, tmp_path / "a")
    with pytest.raises(UsageError, match="prod-000001 cannot be finished") as caught:
        one.number()
    assert "--restart" in caught.value.hint
    assert one.number(restart=True).sequence == 2


def test_an_export_whose_number_is_taken_while_it_runs_is_not_signed(
    tmp_path: Path, upstream: Upstream
) -> None:
    one = exporting(LOCK, upstream, tmp_path / "a")
    number = one.number()
    exported(NEXT, upstream, tmp_path / "b")
    with pytest.raises(UsageError, match="cannot be finished"):
        one.run(number)
    assert not list((tmp_path / "a").rglob("*.manifest.json"))


@pytest.mark.parametrize("killed", ["_remember", "_check"])
def test_a_run_killed_after_it_signed_gives_the_same_manifest_again(
    tmp_path: Path, upstream: Upstream, monkeypatch: pytest.MonkeyPatch, killed: str
) -> None:
    exported(LOCK, upstream, tmp_path)
    one = exporting(NEXT, upstream, tmp_path)

    def kill(*_arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(run.Exporting, killed, kill)
        with pytest.raises(KeyboardInterrupt):
            one.run(one.number())
    path = next(tmp_path.rglob("prod-000002.manifest.json"))
    before = path.read_bytes()
    again = exporting(NEXT, upstream, tmp_path)
    assert again.sealed_already() is None
    finished, _outcome = again.run(again.number())
    assert path.read_bytes() == before
    state = recorded()
    assert state is not None
    assert (state.sequence, state.manifest) == (2, Digest.of(before))
    assert finished.manifest.previous is not None


def test_what_is_wrong_after_all_is_mended_by_running_again(
    tmp_path: Path, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = exporting(LOCK, upstream, tmp_path)
    real = run.Exporting._check

    def check(self: run.Exporting, finished: Finished) -> None:
        os.truncate(max(tmp_path.rglob("*.tar")), 2000)
        real(self, finished)

    with monkeypatch.context() as patch:
        patch.setattr(run.Exporting, "_check", check)
        with pytest.raises(VerificationError, match="bytes short"):
            one.run(one.number())
    again = exporting(LOCK, upstream, tmp_path)
    assert again.run(again.number())[0].manifest.sequence == 1


def test_a_lock_that_was_exported_already_is_not_exported_again(
    tmp_path: Path, upstream: Upstream
) -> None:
    finished = exported(LOCK, upstream, tmp_path)
    known = exporting(LOCK, upstream, tmp_path).sealed_already()
    assert known is not None
    assert (known.digest, known.folders) == (finished.digest, finished.folders)


@pytest.mark.parametrize("change", ["lock", "chunk size", "media", "folder", "chunk gone"])
def test_another_lock_or_options_or_a_lost_chunk_is_exported_anew(
    tmp_path: Path, upstream: Upstream, change: str
) -> None:
    exported(LOCK, upstream, tmp_path)
    if change == "chunk gone":
        max(tmp_path.rglob("*.tar")).unlink()
    changed: dict[str, dict[str, object]] = {
        "chunk size": {"chunk_size": 2 << 20},
        "media": {"media": (10**9, 10**9)},
    }
    options = changed.get(change, {})
    folder = tmp_path / "b" if change == "folder" else tmp_path
    made = NEXT if change == "lock" else LOCK
    assert exporting(made, upstream, folder, **options).sealed_already() is None


def test_with_and_without_compression_are_two_bundles(tmp_path: Path, upstream: Upstream) -> None:
    made = lock(locked("one", B, WORDS, media_type=PLAIN))
    exported(made, upstream, tmp_path)
    assert exporting(made, upstream, tmp_path, compress=True).sealed_already() is None
    exported(made, upstream, tmp_path, compress=True)
    assert exporting(made, upstream, tmp_path, compress=True).sealed_already() is not None
    assert exporting(made, upstream, tmp_path).sealed_already() is None


def test_a_bundle_that_has_expired_is_exported_anew(
    tmp_path: Path, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    finished = exported(LOCK, upstream, tmp_path)
    late = instant.parse(finished.manifest.expires)
    monkeypatch.setattr(instant, "now", lambda: late)
    assert exporting(LOCK, upstream, tmp_path).sealed_already() is None


def test_drives_that_fill_up_as_the_export_writes_keep_their_chunks(
    tmp_path: Path, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is free decides where chunks go, and is less when the run goes on."""
    drives = (tmp_path / "a", tmp_path / "b")
    sizes = plan(LOCK, tmp_path / "x").packing.sizes
    assert len(sizes) == 2
    free = {drives[0]: sizes[0] + 300_000, drives[1]: 10**9}
    real = os.statvfs

    def statvfs(path: Path) -> object:
        used = sum(f.stat().st_blocks * 512 for f in path.rglob("*") if f.is_file())
        found = next((room for drive, room in free.items() if path.is_relative_to(drive)), None)
        left = (found - used) if found else real(path).f_bavail * 4096
        return type("Found", (), {"f_bavail": left // 512, "f_frsize": 512})

    for drive in drives:
        drive.mkdir()
    monkeypatch.setattr(os, "statvfs", statvfs)
    monkeypatch.setattr("bundler.plan._device", lambda folder: drives.index(folder.parent))
    assert exporting(LOCK, upstream, *drives).plan.placed == (0, 1)
    unfinished_of_b = exporting(LOCK, upstream, *drives)
    upstream.fail("one", B, refuses)
    with pytest.raises(DrayError):
        unfinished_of_b.run(unfinished_of_b.number())
    upstream.faults.clear()
    asked = len(upstream.opened)
    finished = exported(LOCK, upstream, *drives)
    assert [medium.chunks for medium in finished.manifest.media] == [(1,), (2,)]
    assert {digest for _n, digest, _at in upstream.opened[asked:]} == {Digest.of(B)}


def test_one_folder_twice_is_refused_however_it_is_spelt(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "a")
    for other in (tmp_path / "a", tmp_path / "b/../a", tmp_path / "link"):
        with pytest.raises(UsageError, match="given twice"):
            run.options([tmp_path / "a", other], 1 << 20, [], compress=False)


def test_the_summary_counts_what_lies_where(tmp_path: Path, upstream: Upstream) -> None:
    one = exporting(LOCK, upstream, tmp_path)
    finished, outcome = one.run(one.number())
    body = run.summary(finished, outcome)
    assert body["chunks"] == len(chunks(tmp_path)) == 2
    assert body["fetched"] == sum(LOCK.blobs.values())
    assert body["folders"] == [str(tmp_path / "prod-000001")]
    assert (
        Manifest.from_bytes((tmp_path / "prod-000001/prod-000001.manifest.json").read_bytes())
        == finished.manifest
    )
    assert run.summary(finished, None)["kept"] == sum(LOCK.blobs.values())
