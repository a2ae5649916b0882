"""Media that fail, fill up, lie and refuse; repairs that are killed; data that lies."""

from __future__ import annotations

import errno
import fcntl
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bundle.digest import Digest
from bundle.parity import BLOCK
from importer.repair import beside, run
from tests.importer.repair.drives import copied, now
from tests.refusals.table import dray

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.factory import Bundle
    from tests.importer.repair.conftest import Make


class Killed(BaseException):
    """Stands for the end of the process."""


def tidies_nothing(file: beside.Beside, *_exc: object) -> None:
    """Do what the system does for a process that was killed."""
    if file._handle >= 0:
        os.close(file._handle)


def name_of(handle: int) -> str:
    return Path(f"/proc/self/fd/{handle}").readlink().name


def failing(monkeypatch: pytest.MonkeyPatch, name: str, *blocks: int) -> None:
    """Let reads that touch these blocks of a file fail, as a disk with bad sectors does."""
    real = os.pread

    def pread(handle: int, count: int, offset: int) -> bytes:
        touched = range(offset // BLOCK, (offset + max(count, 1) - 1) // BLOCK + 1)
        if name_of(handle) == name and any(block in touched for block in blocks):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(handle, count, offset)

    monkeypatch.setattr(os, "pread", pread)


def test_regions_that_cannot_be_read_count_as_damaged(
    drives: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = drives("one drive")
    path = made.chunk(1)
    with monkeypatch.context() as patch:
        failing(patch, path.name, 1, 3)
        said = made.told()
    assert made.is_good()
    assert said["repaired"] == [{"path": str(path), "from": "parity", "blocks": 2, "of": 4}]
    assert not path.with_name(path.name + ".partial").exists()


def test_a_manifest_and_a_signature_that_cannot_be_read_come_from_another_medium(
    drives: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = drives("three drives")
    for ending in ("manifest.json", "manifest.json.dray.sigstore.json", "manifest.json.dray.sig"):
        path = made.folders[0] / f"{made.bundle.name}.{ending}"
        path.write_bytes(bytes(path.stat().st_size))
    made.repair()
    assert made.is_good()


def test_bytes_that_parity_gives_and_nobody_signed_never_get_a_name(drives: Make) -> None:
    """Whoever holds a key may sign a block list and parity that lie: the chunk's digest decides."""
    made = drives("one drive")
    for folder in made.folders:
        parity = folder / made.parity(1).name
        made.flip(parity, 1)
        blocks = bytearray((folder / made.path("blocks").name).read_bytes())
        sizes = [chunk.size for chunk in made.bundle.manifest.chunks]
        at = sum(-(-size // BLOCK) for size in sizes) * 32
        for block in range(4):
            data = parity.read_bytes()[block * BLOCK : (block + 1) * BLOCK]
            blocks[at + 32 * block : at + 32 * block + 32] = bytes.fromhex(Digest.of(data).hex)
        (folder / made.path("blocks").name).write_bytes(blocks)

    def lie(body: dict[str, Any]) -> None:
        body["parity"][0]["files"][0]["digest"] = str(Digest.of(made.parity(1).read_bytes()))
        for file in body["files"]:
            if file["name"].endswith(".blocks"):
                file["digest"] = str(Digest.of(made.path("blocks").read_bytes()))

    made.bundle.lie(lie)
    made.flip(made.chunk(1), 1)
    before = now(made.root)
    said = made.repair(code=3)
    assert "is not what was signed: it is left alone" in said.out
    assert now(made.root) == before


def test_parity_that_was_changed_on_the_medium_is_not_used(drives: Make) -> None:
    made = drives("two parities")
    made.flip(made.parity(1), 1)
    made.flip(made.chunk(2), 1)
    made.repair()
    assert made.is_good()


def test_a_block_list_that_calls_a_damaged_block_good_does_not_hide_it(drives: Make) -> None:
    made = drives("one drive")
    made.flip(made.chunk(1), 0)
    blocks = bytearray(made.path("blocks").read_bytes())
    blocks[:32] = bytes.fromhex(Digest.of(made.chunk(1).read_bytes()[:BLOCK]).hex)
    made.path("blocks").write_bytes(blocks)
    digest = str(Digest.of(bytes(blocks)))

    def lie(body: dict[str, Any]) -> None:
        for file in body["files"]:
            if file["name"].endswith(".blocks"):
                file["digest"] = digest

    made.bundle.lie(lie)
    before = now(made.root)
    made.repair(code=3)
    assert now(made.root) == before


@pytest.mark.parametrize("moment", ["write", "fsync", "rename", "after"])
@pytest.mark.parametrize("kind", ["one drive", "three drives"])
def test_killed_at_any_moment_nothing_is_worse_and_the_next_run_completes(
    drives: Make, monkeypatch: pytest.MonkeyPatch, moment: str, kind: str
) -> None:
    made = drives(kind)
    made.flip(made.chunk(1), 1)
    made.chunk(3).unlink()
    for count in range(1, 4):
        left = [count]
        with monkeypatch.context() as patch:
            patch.setattr(beside.Beside, "__exit__", tidies_nothing)

            def dies(*arguments: Any, real: Any, left: list[int] = left) -> Any:
                left[0] -= 1
                if left[0] == 0:
                    raise Killed
                return real(*arguments)

            places: dict[str, tuple[Any, str]] = {
                "write": (os, "pwrite"),
                "fsync": (os, "fsync"),
                "rename": (Path, "rename"),
                "after": (beside, "sync_folder"),
            }
            owner, name = places[moment]
            real = getattr(owner, name)
            patch.setattr(owner, name, lambda *a, real=real, dies=dies: dies(*a, real=real))
            with suppress(Killed):
                made.repair()
        for path, data in made.good.items():
            if path not in (made.chunk(1), made.chunk(3)):
                assert path.read_bytes() == data
    made.repair()
    assert made.is_good(), made.changed()


def test_told_to_stop_it_stops_and_the_next_run_completes(
    drives: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = drives("one drive")
    made.flip(made.chunk(1), 1)
    real = beside.Beside.write

    def write(file: beside.Beside, data: bytes) -> None:
        real(file, data)
        os.kill(os.getpid(), 2)

    with monkeypatch.context() as patch:
        patch.setattr(beside.Beside, "write", write)
        said = made.repair(code=8)
    assert "run the same command again" in said.err
    assert not list(made.root.rglob("*.partial"))
    made.repair()
    assert made.is_good()


@pytest.mark.parametrize(
    ("number", "hint"), [(errno.EROFS, "--out DIR"), (errno.ENOSPC, "--out DIR")]
)
def test_a_medium_that_cannot_be_written_is_named_and_stays_as_it_is(
    drives: Make, monkeypatch: pytest.MonkeyPatch, number: int, hint: str
) -> None:
    made = drives("one drive")
    made.flip(made.chunk(1), 1)
    before = now(made.root)

    def pwrite(*_arguments: object) -> int:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", pwrite)
        said = made.repair(code=6)
    assert os.strerror(number) in said.err
    assert hint in said.err
    assert now(made.root) == before


def test_what_is_in_the_way_is_named(drives: Make) -> None:
    made = drives("one drive")
    made.chunk(1).unlink()
    made.chunk(1).mkdir()
    said = made.repair(code=6)
    assert "move away what lies there" in said.err


def test_two_repairs_at_once_do_not_write_into_each_other(drives: Make) -> None:
    made = drives("one drive")
    made.flip(made.chunk(1), 1)
    partial = made.chunk(1).with_name(made.chunk(1).name + ".partial")
    with partial.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        said = made.repair(code=6)
    assert "another repair is writing" in said.err
    made.repair()
    assert made.is_good()


def test_a_medium_that_returns_other_bytes_than_were_written_keeps_the_old_file(
    drives: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = drives("one drive")
    made.flip(made.chunk(1), 1)
    before = now(made.root)
    real = beside.Beside._again
    with monkeypatch.context() as patch:
        patch.setattr(beside.Beside, "_again", lambda file: real(file)[::-1])
        made.repair(code=3)
    assert now(made.root) == before


def test_a_medium_that_changes_its_mind_is_noticed(
    drives: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = drives("one drive")
    made.flip(made.chunk(1), 1)
    before = now(made.root)
    real = run.Repair.run

    def later(repair: run.Repair, on_bytes: Callable[[int], object]) -> run.Outcome:
        made.flip(made.chunk(2), 1)
        return real(repair, on_bytes)

    with monkeypatch.context() as patch:
        patch.setattr(run.Repair, "run", later)
        made.repair(code=3)
    made.chunk(2).write_bytes(before[made.chunk(2)])
    assert now(made.root) == before


def test_an_unsigned_bundle_is_not_touched(drives: Make) -> None:
    made = drives("one drive")
    made.flip(made.chunk(1), 1)
    made.bundle.lie(lambda body: body, "stranger")
    before = now(made.root)
    made.repair(code=5)
    assert now(made.root) == before


@pytest.fixture(scope="module")
def kinds(built: Callable[[str], Bundle]) -> dict[str, Bundle]:
    return {kind: built(kind) for kind in ("three drives", "two parities", "tiny")}


@settings(
    deadline=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_whatever_happens_to_a_few_files_all_is_good_again_or_nothing_is_worse(
    kinds: dict[str, Bundle], tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    bundle = kinds[data.draw(st.sampled_from(sorted(kinds)))]
    made = copied(bundle, tmp_path_factory.mktemp("drawn") / "desk")
    names = {chunk.name for chunk in bundle.manifest.chunks}
    names |= {file.name for group in bundle.manifest.parity for file in group.files}
    paths = sorted(path for path in made.good if path.name in names)
    for path in data.draw(st.lists(st.sampled_from(paths), min_size=1, max_size=3, unique=True)):
        content = bytearray(made.good[path])
        match data.draw(st.sampled_from(["flip", "cut", "gone"])):
            case "flip":
                for at in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=3)):
                    content[at] ^= 0xFF
                path.write_bytes(content)
            case "cut":
                path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
            case _:
                path.unlink()
    before = now(made.root)
    answer = dray("repair", *made.folders, "--trust", bundle.trust, folder=made.root)
    after = now(made.root)
    assert answer.code in {0, 3, 4}, answer
    if answer.code == 0:
        assert after == made.good
    for path in after.keys() | before.keys():
        assert after.get(path) in (before.get(path), made.good[path])
