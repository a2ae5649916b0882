from __future__ import annotations

import fcntl
import json
import multiprocessing
import os
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bundle import instant, state
from bundle.digest import Digest
from bundle.errors import NotTrusted, UsageError
from bundle.lockfile import NAME, held
from bundle.state import State, StateFolder, check_expiry, judge

if TYPE_CHECKING:
    from multiprocessing.synchronize import Event

ONE, TWO = Digest.of(b"one"), Digest.of(b"two")
WHEN = instant.parse("2026-06-01T12:00:00Z")
AT_42 = State("prod", 1, 42, ONE, WHEN)


@pytest.mark.parametrize(
    ("known", "epoch", "sequence", "manifest", "verdict"),
    [
        (None, 0, 1, ONE, "new"),
        (None, 0, 42, ONE, "new"),
        (AT_42, 1, 43, TWO, "new"),
        (AT_42, 1, 44, TWO, "gap"),
        (AT_42, 1, 42, ONE, "same"),
        (AT_42, 2, 1, TWO, "new"),
        (AT_42, 2, 42, TWO, "new"),
    ],
)
def test_what_a_bundle_is_to_its_stream(
    known: State | None, epoch: int, sequence: int, manifest: Digest, verdict: str
) -> None:
    assert judge(known, epoch, sequence, manifest) == verdict


def test_a_replay_is_refused_and_a_reason_lets_it_through() -> None:
    with pytest.raises(NotTrusted, match="prod 41 is older than 42") as caught:
        judge(AT_42, 1, 41, TWO)
    assert "--allow-rollback REASON" in caught.value.hint
    assert judge(AT_42, 1, 41, TWO, allow_rollback="driver 570 hangs") == "rollback"


def test_a_fork_is_an_alarm_that_no_reason_silences() -> None:
    for reason in ("", "because"):
        with pytest.raises(NotTrusted, match="two different bundles are prod 42"):
            judge(AT_42, 1, 42, TWO, allow_rollback=reason)


def test_an_older_epoch_is_a_replay_whatever_the_sequence() -> None:
    with pytest.raises(NotTrusted, match="epoch 0, but epoch 1 was seen"):
        judge(AT_42, 0, 999_999, TWO)


def test_a_new_epoch_recovers_from_a_fast_forwarded_sequence() -> None:
    far = replace(AT_42, sequence=2**53 - 1)
    with pytest.raises(NotTrusted):
        judge(far, 1, 43, TWO)
    assert judge(far, 2, 43, TWO) == "new"


def test_an_expired_bundle_is_refused_and_a_reason_lets_it_through() -> None:
    assert check_expiry("2026-06-01T12:00:01Z", WHEN) is False
    with pytest.raises(NotTrusted, match="expired on 2026-05-30T11:00:00Z, 2 days ago") as caught:
        check_expiry("2026-05-30T11:00:00Z", WHEN)
    assert "--allow-expired REASON" in caught.value.hint
    assert check_expiry("2026-06-01T12:00:00Z", WHEN, allow="the diode was down") is True
    with pytest.raises(NotTrusted, match="no such day"):
        check_expiry("2026-02-30T00:00:00Z", WHEN, allow="a reason")


def test_a_state_reads_back(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path / "state", "import")
    assert folder.last("prod") is None
    assert folder.streams() == []
    assert folder.record(AT_42)
    assert folder.last("prod") == AT_42
    assert folder.streams() == ["prod"]
    assert folder.last("dev") is None
    assert StateFolder(tmp_path / "state", "export").last("prod") is None


def test_the_state_leaves_no_other_files(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path, "export")
    folder.record(AT_42)
    folder.record(replace(AT_42, sequence=43))
    assert [path.name for path in (tmp_path / "export").iterdir()] == ["prod.json"]
    assert stat.S_IMODE(folder.path("prod").stat().st_mode) == 0o644


@pytest.mark.parametrize(("epoch", "sequence"), [(1, 41), (0, 99), (1, 42)])
def test_the_state_never_goes_back(tmp_path: Path, epoch: int, sequence: int) -> None:
    folder = StateFolder(tmp_path, "import")
    folder.record(AT_42)
    assert not folder.record(State("prod", epoch, sequence, TWO, WHEN))
    assert folder.last("prod") == AT_42


def test_a_failed_write_leaves_the_old_state_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = StateFolder(tmp_path, "import")
    folder.record(AT_42)

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UsageError, match=r"cannot write the state file .*: no space left"):
        folder.record(replace(AT_42, sequence=43))
    assert folder.last("prod") == AT_42
    assert [path.name for path in (tmp_path / "import").iterdir()] == ["prod.json"]


DAMAGE = {
    "not a known key": {"extra": 1},
    "side is 'export'": {"side": "export"},
    "stream is 'dev'": {"stream": "dev"},
    "sequence is -1": {"sequence": -1},
    "manifest must be sha256": {"manifest": "sha256:0"},
    "mediaType is": {"mediaType": "application/vnd.dray.state.v2+json"},
    "is damaged: not a moment": {"when": "yesterday"},
}


@pytest.mark.parametrize("message", DAMAGE)
def test_a_damaged_state_is_never_taken_for_none(tmp_path: Path, message: str) -> None:
    folder = StateFolder(tmp_path, "import")
    folder.record(AT_42)
    path = folder.path("prod")
    path.write_text(json.dumps(json.loads(path.read_text()) | DAMAGE[message]))
    with pytest.raises(UsageError, match=message):
        folder.last("prod")
    with pytest.raises(UsageError, match=message):
        folder.record(replace(AT_42, sequence=43))


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[]", b" " * (state.MAX_BYTES + 1)])
def test_an_empty_or_cut_state_is_never_taken_for_none(tmp_path: Path, content: bytes) -> None:
    folder = StateFolder(tmp_path, "import")
    folder.record(AT_42)
    folder.path("prod").write_bytes(content)
    with pytest.raises(UsageError, match="state file"):
        folder.last("prod")


def test_a_state_that_cannot_be_read_is_a_usage_error(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path, "import")
    folder.path("prod").mkdir(parents=True)
    with pytest.raises(UsageError, match="cannot read the state file"):
        folder.last("prod")


@pytest.mark.parametrize("stream", ["../x", "A", "", "a" * 41, "a\n"])
def test_only_a_streams_name_names_a_file(tmp_path: Path, stream: str) -> None:
    with pytest.raises(ValueError, match="not a stream"):
        StateFolder(tmp_path, "import").path(stream)


def test_where_the_state_lives() -> None:
    home = {"HOME": "/home/u"}
    assert state.default_folder(home) == Path("/home/u/.local/state/dray")
    xdg = home | {"XDG_STATE_HOME": "/var/s"}
    assert state.default_folder(xdg) == Path("/var/s/dray")
    relative = home | {"XDG_STATE_HOME": "s"}
    assert state.default_folder(relative) == Path("/home/u/.local/state/dray")
    assert state.default_folder(xdg | {"DRAY_STATE_DIR": "/here"}) == Path("/here")
    with pytest.raises(UsageError, match="neither DRAY_STATE_DIR nor HOME"):
        state.default_folder({})


def test_the_state_needs_no_cryptography() -> None:
    code = "import sys, bundle.state, bundle.lockfile; print('cryptography' in sys.modules)"
    root = Path(state.__file__).parent.parent
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"


def hold(folder: Path, name: str, ready: Event, leave: Event) -> None:
    with held(folder, name=name):
        ready.set()
        leave.wait(30)


def start(folder: Path, name: str = NAME) -> tuple[multiprocessing.context.SpawnProcess, Event]:
    context = multiprocessing.get_context("spawn")
    ready, leave = context.Event(), context.Event()
    process = context.Process(target=hold, args=(folder, name, ready, leave))
    process.start()
    assert ready.wait(30)
    return process, leave


def test_two_runs_at_once_on_one_folder_are_refused(tmp_path: Path) -> None:
    process, leave = start(tmp_path)
    with pytest.raises(UsageError, match=rf"process {process.pid} on .* is at work in"):
        held(tmp_path).__enter__()
    with held(tmp_path, name=".share-2.lock"):
        pass
    leave.set()
    process.join(30)
    with held(tmp_path):
        assert (tmp_path / NAME).exists()
    assert list(tmp_path.iterdir()) == []


def test_a_killed_run_leaves_no_lock(tmp_path: Path) -> None:
    process, _leave = start(tmp_path)
    process.kill()
    process.join(30)
    assert (tmp_path / NAME).exists()
    with held(tmp_path):
        pass
    assert not (tmp_path / NAME).exists()


def test_a_folder_that_cannot_be_locked_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot lock the folder .*: no such file"):
        held(tmp_path / "missing").__enter__()
    (tmp_path / NAME).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="cannot lock the folder"):
        held(tmp_path).__enter__()


def test_a_lock_on_a_file_that_was_removed_meanwhile_is_no_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, flock = tmp_path / NAME, fcntl.flock

    def removed_first(handle: int, mode: int) -> None:
        monkeypatch.undo()
        path.unlink()  # the run before us ends between our open and our lock
        flock(handle, mode)

    monkeypatch.setattr(fcntl, "flock", removed_first)
    with held(tmp_path):
        with pytest.raises(UsageError, match="is at work in"):
            held(tmp_path).__enter__()
        assert path.exists()


def test_what_fails_under_a_lock_lets_it_go(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), held(tmp_path):
        raise RuntimeError
    with held(tmp_path):
        pass
