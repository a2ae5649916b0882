"""Damaged and lost drives: parity, chunks made again, and the name of a second host."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest

from tests.e2e.desk import Desk, chunks, copy, finish, tree
from tests.e2e.points import outlived, spread
from tests.e2e.test_media_faults import mounted, read_only
from tests.e2e.upstream import blob_gets

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.upstream import Upstream

pytestmark = pytest.mark.server
MIB = 1 << 20


@pytest.fixture
def parity() -> str:
    return "2"


@pytest.fixture
def drives(desk: Desk, upstream: Upstream, parity: str, tmp_path: Path) -> list[Path]:
    """A bundle with parity on three drives; the blob of ``app`` is cut over all of them."""
    upstream.image("app", 4_300_000)
    upstream.image("other", 90_000)
    desk.lock(upstream.name("app:1.0"), upstream.name("other:1.0"))
    folders = [tmp_path / f"drive-{number}" for number in (1, 2, 3)]
    to = [part for folder in folders[1:] for part in ("--to", folder)]
    said = desk.export(folders[0], *to, "--media", "8MB,8MB,8MB", "--parity", parity)
    assert "covers damage, lost files and one lost medium" in said.out
    return folders


def spoil(path: Path, at: int = 5000) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def test_parity_is_a_reason_to_export_again_once(
    desk: Desk, upstream: Upstream, tmp_path: Path
) -> None:
    upstream.image("app", 200_000)
    desk.lock(upstream.name("app:1.0"))
    desk.export(tmp_path / "out")
    said = desk.export(tmp_path / "out", "--parity", "2", "--json").json
    assert (said["bundle"], said["parityFiles"]) == ("prod-000002", 1)
    assert "holds this lock already" in desk.export(tmp_path / "out", "--parity", "2").out
    assert "sealed prod-000003" in desk.export(tmp_path / "out", "--parity", "2+2").out


def test_a_lost_drive_is_made_again_and_the_bundle_is_imported(
    desk: Desk, drives: list[Path], tmp_path: Path
) -> None:
    desk.verify(*drives)
    before = tree(drives[1])
    shutil.rmtree(drives[1])
    desk.dray("repair", drives[0], drives[2], "--to", drives[1])
    assert tree(drives[1]) == before
    desk.verify(*drives)
    desk.dray("import", *drives, "--to", tmp_path / "warehouse", "--trust", "trust.json")
    assert (tmp_path / "warehouse/oci/index.json").exists()


def test_parity_that_is_damaged_or_missing_keeps_nobody_from_importing(
    desk: Desk, drives: list[Path], tmp_path: Path
) -> None:
    parities = [path for drive in drives for path in drive.rglob("*.parity-*")]
    parities[0].unlink()
    spoil(parities[1])
    desk.verify(*drives, code=3)
    desk.dray("import", *drives, "--to", tmp_path / "warehouse", "--trust", "trust.json")
    assert (tmp_path / "warehouse/oci/index.json").exists()


@pytest.mark.parametrize("parity", ["1+2"])
def test_killed_wherever_it_touches_the_disk_a_repair_goes_on(
    desk: Desk, drives: list[Path], tmp_path: Path
) -> None:
    good = [tree(drive) for drive in drives]
    chunk = sorted(drives[0].rglob("*.tar"))[0]
    work = tmp_path / "work"

    def place() -> list[Path]:
        shutil.rmtree(work, ignore_errors=True)
        copies = [shutil.copytree(drive, work / drive.name) for drive in drives[:2]]
        spoil(next((work / drives[0].name).rglob(chunk.name)))
        return [*copies, work / drives[2].name]

    def arguments(places: list[Path]) -> tuple[object, ...]:
        return ("repair", *places[:2], "--to", places[2], "--trust", "trust.json")

    through = ("tests.e2e.reaper", work, 0)
    counted = finish(desk.start(*arguments(place()), through=through))
    assert counted.code == 0, counted
    for step in spread(int(counted.err.split()[-1]), "repair"):
        places = place()
        through = ("tests.e2e.reaper", work, step)
        ended = finish(desk.start(*arguments(places), through=through))
        if not outlived(ended, step):
            desk.dray(*arguments(places))
        assert [tree(folder) for folder in places] == good


def test_a_read_only_drive_is_repaired_beside(
    desk: Desk, drives: list[Path], tmp_path: Path
) -> None:
    with mounted(tmp_path / "mount", 16 * MIB) as mount:
        shutil.copytree(drives[0], mount, dirs_exist_ok=True)
        chunk = sorted(mount.rglob("*.tar"))[0]
        spoil(chunk)
        read_only(mount)
        media = (mount, *drives[1:])
        said = desk.dray("repair", *media, code=6)
        assert "Read-only file system" in said.err
        assert "--out DIR" in said.err
        desk.dray("repair", *media, "--out", tmp_path / "out")
        again = next((tmp_path / "out").rglob(chunk.name))
        assert again.read_bytes() == next(drives[0].rglob(chunk.name)).read_bytes()


def test_a_full_drive_says_so_and_keeps_what_it_has(
    desk: Desk, drives: list[Path], tmp_path: Path
) -> None:
    with mounted(tmp_path / "mount", 5 * MIB) as mount:
        shutil.copytree(drives[0], mount, dirs_exist_ok=True)
        with (mount / "ballast").open("wb") as ballast:
            ballast.truncate(0)
        chunk = sorted(mount.rglob("*.tar"))[0]
        spoil(chunk)
        for number in range(40):
            try:
                (mount / f"ballast-{number}").write_bytes(bytes(200_000))
            except OSError:
                break
        before = chunk.read_bytes()
        said = desk.dray("repair", mount, *drives[1:], code=6)
        assert "No space left on device" in said.err
        assert chunk.read_bytes() == before
        assert not list(mount.rglob("*.partial"))


def test_the_command_that_verify_names_makes_the_chunk_again(
    desk: Desk, upstream: Upstream, tmp_path: Path
) -> None:
    upstream.image("app", 3_300_000)
    desk.lock(upstream.name("app:1.0"))
    desk.export(tmp_path / "out")
    expected = chunks(tmp_path / "out")
    bad = sorted((tmp_path / "out").rglob("*.tar"))[1]
    spoil(bad)
    said = desk.verify(tmp_path / "out", code=3)
    wanted = "dray export SPEC --chunks 2 --of prod-000001.manifest.json --to DIR"
    assert wanted in said.err
    assert wanted in desk.dray("repair", tmp_path / "out", code=3).err
    asked = upstream.registry.settled()
    manifest = next((tmp_path / "out").rglob("*.manifest.json"))
    desk.dray("export", "dray.yaml", "--chunks", "2", "--of", manifest, "--to", tmp_path / "again")
    assert len(blob_gets(upstream.registry, asked, upstream.prefix)) == 1
    shutil.copy(next((tmp_path / "again").rglob(bad.name)), bad)
    desk.verify(tmp_path / "out")
    assert chunks(tmp_path / "out") == expected


def test_a_second_host_signs_what_it_makes_itself(
    desk: Desk, upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upstream.image("app", 2_300_000)
    desk.lock(upstream.name("app:1.0"))
    desk.export(tmp_path / "out", "--parity", "2")
    second = copy(desk, tmp_path / "second")
    (second.folder / "dray.key").unlink()
    second.dray("keygen", ".", "--name", "bob", "--no-passphrase")
    monkeypatch.setenv("DRAY_STATE_DIR", str(tmp_path / "second-state"))
    manifest = next((tmp_path / "out").rglob("*.manifest.json"))
    said = second.dray("export", "dray.yaml", "--cosign-of", manifest)
    assert "made again here, the same bytes" in said.out
    trust = json.loads((desk.folder / "trust.json").read_bytes())
    pem = (second.folder / "bob.pub").read_text()
    two = desk.dray("verify", tmp_path / "out", "--pub", second.folder / "bob.pub")
    assert "signed by bob" in two.out
    assert pem not in json.dumps(trust)
