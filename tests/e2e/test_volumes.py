"""Verification one drive at a time, and what is said of files that are not as they were signed."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from tests.e2e.desk import tree

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.e2e.desk import Desk
    from tests.e2e.upstream import Upstream

pytestmark = pytest.mark.server


@pytest.fixture
def drives(desk: Desk, upstream: Upstream, tmp_path: Path) -> list[Path]:
    """A bundle on three drives; the blob of ``app`` is cut over all of them."""
    upstream.image("app", 5_300_000)
    upstream.image("other", 90_000)
    desk.lock(upstream.name("app:1.0"), upstream.name("other:1.0"))
    folders = [tmp_path / f"drive-{number}" for number in (1, 2, 3)]
    to = [part for folder in folders[1:] for part in ("--to", folder)]
    desk.export(folders[0], *to, "--media", "2.2MB,2.2MB,2.2MB")
    assert all(list(folder.rglob("*.tar")) for folder in folders)
    return folders


def tars(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.tar"))


def test_one_drive_at_a_time_is_verified_and_the_others_are_named(
    desk: Desk, drives: list[Path]
) -> None:
    for number, drive in enumerate(drives, start=1):
        said = desk.dray("verify", drive, "--trust", "trust.json", "--json", code=4).json
        assert said["bad"] == []
        here = {path.name for path in tars(drive)}
        gone = {path.name for other in drives if other != drive for path in tars(other)}
        named = {found["file"] for found in said["missing"]}
        assert named == gone
        assert not named & here
        hints = " ".join(found["hint"] for found in said["missing"])
        for other in {1, 2, 3} - {number}:
            assert f"medium {other} of 3" in hints
        assert said["checkedBytes"] > sum(path.stat().st_size for path in tars(drive)) * 0.9


def test_two_drives_name_what_is_on_the_third(desk: Desk, drives: list[Path]) -> None:
    said = desk.verify(drives[2], drives[0], code=4)
    assert "medium 2 of 3" in said.out + said.err
    assert "medium 1 of 3" not in said.out + said.err
    assert "medium 3 of 3" not in said.out + said.err


def test_all_drives_in_any_order_are_complete_and_untouched(desk: Desk, drives: list[Path]) -> None:
    before = [tree(drive) for drive in drives]
    assert "verified" in desk.verify(*reversed(drives)).out
    assert [tree(drive) for drive in drives] == before


def test_copied_into_one_folder_they_are_complete_too(
    desk: Desk, drives: list[Path], tmp_path: Path
) -> None:
    for drive in drives:
        shutil.copytree(drive, tmp_path / "all", dirs_exist_ok=True)
    desk.verify(tmp_path / "all")
    desk.load(tmp_path / "all", tmp_path / "warehouse")
    assert (tmp_path / "warehouse/oci/index.json").exists()


def test_an_import_of_some_drives_only_publishes_nothing(
    desk: Desk, drives: list[Path], tmp_path: Path
) -> None:
    warehouse = tmp_path / "warehouse"
    said = desk.dray("import", drives[0], "--to", warehouse, "--trust", "trust.json", code=4)
    assert "medium" in said.err
    assert not (warehouse / "oci/index.json").exists()
    desk.load(drives[0], warehouse, options=[*map(str, drives[1:])])
    assert (warehouse / "oci/index.json").exists()


def shorten(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 700)


def flip(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 4]))


def link(path: Path) -> None:
    away = path.parent.parent / "away"
    path.rename(away)
    path.symlink_to(away)


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (shorten, "is 700 bytes short"),
        (flip, "other bytes than were signed"),
        (link, "is a link, not a file"),
        (pipe, "is not a regular file"),
        (folder, "is not a regular file"),
    ],
)
def test_a_chunk_that_is_not_as_signed_is_named_with_what_suffers_and_not_imported(
    desk: Desk,
    drives: list[Path],
    harm: Callable[[Path], None],
    message: str,
    tmp_path: Path,
) -> None:
    victim = tars(drives[1])[0]
    harm(victim)
    said = desk.dray("verify", *drives, "--trust", "trust.json", "--json", code=3).json
    assert {found["file"] for found in said["bad"]} == {str(victim)}
    assert message in said["bad"][0]["message"]
    assert any("/app:1.0" in name for name in said["bad"][0]["artifacts"])
    more = [*map(str, drives[1:])]
    desk.load(drives[0], tmp_path / "warehouse", options=more, code=3)
    assert not (tmp_path / "warehouse/oci/index.json").exists()


def test_swapped_chunks_are_told_apart_from_damaged_ones(desk: Desk, drives: list[Path]) -> None:
    one, other = tars(drives[0])[0], tars(drives[0])[1]
    assert one.stat().st_size == other.stat().st_size
    one.rename(one.with_name("x"))
    other.rename(one)
    one.with_name("x").rename(other)
    said = desk.verify(*drives, code=3)
    assert f"holds the bytes of {other.name}: swapped or renamed" in said.out
    assert f"holds the bytes of {one.name}: swapped or renamed" in said.out


def test_a_foreign_file_on_a_drive_is_named(desk: Desk, drives: list[Path]) -> None:
    (tars(drives[2])[0].parent / "notes.exe").write_bytes(b"MZ")
    said = desk.verify(*drives, code=3)
    assert "notes.exe: is no part of the bundle" in said.out
