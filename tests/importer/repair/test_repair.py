"""Damage and loss are repaired to the same bytes, or it is said what cannot be and what to do."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests.importer.repair.drives import now
from tests.refusals.table import dray

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.importer.repair.conftest import Make


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-700_000])


def lengthen(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"more")


def link(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.parent / "trust.json")


def empty(path: Path) -> None:
    path.write_bytes(b"")


DAMAGE: dict[str, Callable[[Path], object]] = {
    "cut": cut,
    "longer": lengthen,
    "empty": empty,
    "gone": lambda path: path.unlink(),
    "link": link,
}


@pytest.mark.parametrize("kind", ["one drive", "two parities", "three drives", "packed"])
def test_what_is_good_is_left_alone(drives: Make, kind: str) -> None:
    made = drives(kind)
    before = [path.stat().st_mtime_ns for path in made.good]
    assert "nothing to repair" in made.repair().out
    assert made.is_good()
    assert [path.stat().st_mtime_ns for path in made.good] == before


@pytest.mark.parametrize(
    "kind", ["one drive", "tiny", "packed", "one chunk", "three drives", "encrypted"]
)
@pytest.mark.parametrize("damage", ["flip", *DAMAGE])
def test_any_one_chunk_of_a_group_comes_back(drives: Make, kind: str, damage: str) -> None:
    made = drives(kind)
    numbers = [chunk.number for chunk in made.bundle.manifest.chunks]
    for number in numbers:
        path = made.chunk(number)
        made.flip(path) if damage == "flip" else DAMAGE[damage](path)
        said = made.told()
        assert made.is_good(), (number, made.changed())
        assert [item["path"] for item in said["repaired"]] == [str(path)]
        assert said["ok"] is True


@pytest.mark.parametrize("damage", ["flip", *DAMAGE])
def test_a_parity_file_is_made_again(drives: Make, damage: str) -> None:
    made = drives("two parities")
    for number in (1, 2, 3):
        path = made.parity(number)
        made.flip(path, 1) if damage == "flip" else DAMAGE[damage](path)
        made.repair()
        assert made.is_good(), made.changed()


def test_damage_in_other_places_of_two_chunks_is_repaired_block_by_block(drives: Make) -> None:
    made = drives("one drive")
    made.flip(made.chunk(1), 0, 2)
    made.flip(made.chunk(2), 1, 3)
    said = made.told()
    assert made.is_good()
    assert [(item["blocks"], item["from"]) for item in said["repaired"]] == [(2, "parity")] * 2


def test_damage_in_the_same_place_of_two_chunks_is_refused_and_nothing_is_changed(
    drives: Make,
) -> None:
    made = drives("one drive")
    made.flip(made.chunk(1), 1)
    made.flip(made.chunk(2), 1)
    before = now(made.root)
    said = made.repair(code=3)
    assert now(made.root) == before
    assert "CANNOT prod-000001.chunk-00001.tar: 1 of 4 blocks are damaged" in said.out
    assert "chunk-00002.tar" in said.out
    command = "dray export SPEC --chunks 1-2 --of prod-000001.manifest.json --to DIR"
    assert f"on the low side: {command}" in said.out
    assert f"hint: on the low side: {command}" in said.err


def test_an_encrypted_chunk_that_is_lost_can_only_be_exported_anew(drives: Make) -> None:
    made = drives("encrypted")
    made.flip(made.chunk(1), 1)
    made.flip(made.chunk(2), 1)
    before = now(made.root)
    said = made.repair(code=3)
    assert "on the low side: dray export SPEC --to DIR --encrypt-to KEY --new" in said.out
    assert now(made.root) == before


def test_two_losses_in_a_group_come_back_with_a_second_parity(drives: Make) -> None:
    made = drives("two parities")
    (first, *_rest) = made.bundle.manifest.parity
    files = [made.chunk(n) for n in first.chunks] + [made.parity(1), made.parity(2)]
    for one in range(len(files)):
        for other in range(one):
            files[one].unlink()
            made.flip(files[other], 0, 1)
            made.repair()
            assert made.is_good(), (one, other, made.changed())


def test_three_losses_in_a_group_are_refused(drives: Make) -> None:
    made = drives("two parities")
    for number in (1, 2, 3):
        made.flip(made.chunk(number), 1)
    before = now(made.root)
    made.repair(code=3)
    assert now(made.root) == before


def test_what_can_be_repaired_is_beside_what_cannot(drives: Make) -> None:
    made = drives("one drive")
    for number in (1, 2, 3):
        made.flip(made.chunk(number), 1)
    said = made.told(code=3)
    assert [item["path"] for item in said["repaired"]] == [str(made.chunk(3))]
    assert made.changed() == [made.chunk(1).name, made.chunk(2).name]
    assert said["lowSide"].split()[3:5] == ["--chunks", "1-2"]


def test_without_parity_the_command_names_exactly_the_bad_chunks(drives: Make) -> None:
    made = drives("no parity")
    made.flip(made.chunk(2), 1)
    made.chunk(4).unlink()
    said = made.repair(code=3)
    assert "4 of 4 blocks" in said.out, "there are no hashes to tell blocks by"
    assert "there is no parity over it" in said.out
    assert "--chunks 2,4 --of" in said.out


def test_damage_between_the_parts_of_a_chunk_needs_no_parity(drives: Make) -> None:
    made = drives("no parity")
    data = bytearray(made.chunk(2).read_bytes())
    data[0] ^= 1
    data[-1] ^= 1
    made.chunk(2).write_bytes(data)
    said = made.told()
    assert made.is_good()
    assert said["repaired"][0]["from"] == "parts"


def test_swapped_files_get_their_bytes_back(drives: Make) -> None:
    made = drives("no parity")
    one, other = made.chunk(1), made.chunk(2)
    one.rename(one.with_name("between"))
    other.rename(one)
    one.with_name("between").rename(other)
    made.repair()
    assert made.is_good()


def test_a_ring_of_swapped_files_gets_its_bytes_back(drives: Make) -> None:
    made = drives("one drive")
    data = [made.chunk(n).read_bytes() for n in (1, 2, 3, 4)]
    for number, content in zip((2, 3, 4, 1), data, strict=True):
        made.chunk(number).write_bytes(content)
    made.repair()
    assert made.is_good()


def test_two_damaged_copies_make_up_for_each_other(drives: Make) -> None:
    made = drives("three drives")
    path = made.chunk(1)
    other = next(folder for folder in made.folders if folder != path.parent) / path.name
    shutil.copy(path, other)
    made.flip(path, 0, 1)
    made.flip(other, 2)
    for file in [made.parity(1), made.chunk(2)]:
        file.unlink()
    said = made.told(code=4)
    assert {item["path"] for item in said["repaired"]} >= {str(path), str(other)}
    assert path.read_bytes() == other.read_bytes() == made.good[path]


@pytest.mark.parametrize("kind", ["three drives", "five drives"])
def test_any_one_lost_medium_is_made_again(drives: Make, kind: str, tmp_path: Path) -> None:
    made = drives(kind)
    for number, lost in enumerate(made.folders):
        left = tuple(folder for folder in made.folders if folder != lost)
        to = tmp_path / f"new-{number}"
        made.repair("--to", to, folders=left)
        again = now(to / made.bundle.name)
        assert {path.name: data for path, data in again.items()} == {
            path.name: data for path, data in made.good.items() if path.parent == lost
        }


def test_a_lost_folder_is_made_again_where_it_lay(drives: Make, tmp_path: Path) -> None:
    made = drives("three drives")
    left, place = made.folders[1:], tmp_path / made.bundle.name / "medium-1"
    made.repair("--to", place, folders=left)
    assert {path.parent for path in now(place)} == {place}
    shutil.rmtree(place)
    made.repair("--to", place.parent, folders=left)
    assert {path.parent for path in now(place.parent)} == {place.parent}


def test_two_lost_media_are_made_again_with_two_parities(drives: Make, tmp_path: Path) -> None:
    made = drives("five drives")
    to = [part for n in (1, 2) for part in ("--to", tmp_path / f"new-{n}")]
    said = made.told(*to, folders=made.folders[2:])
    assert said["ok"] is True
    for number, lost in enumerate(made.folders[:2], start=1):
        again = now(tmp_path / f"new-{number}" / made.bundle.name)
        assert {path.name: data for path, data in again.items()} == {
            path.name: data for path, data in made.good.items() if path.parent == lost
        }


def test_a_medium_that_lost_all_but_its_small_files_is_filled_where_it_is(drives: Make) -> None:
    made = drives("three drives")
    for path in made.folders[1].iterdir():
        if path.suffix == ".tar" or ".parity-" in path.name:
            path.unlink()
    made.repair()
    assert made.is_good(), made.changed()


def test_what_is_missing_is_told_in_one_line_for_each_medium(drives: Make) -> None:
    made = drives("three drives")
    answer = dray("verify", made.folders[0], "--trust", made.bundle.trust, folder=made.root)
    assert answer.out.count("MISSING") == 2
    assert "and 1 parity file not here" in answer.out
    shown = dray("inspect", *made.folders, "--trust", made.bundle.trust, folder=made.root).out
    assert "parity: 3 parity files for groups of 2 chunks at most" in shown


def test_a_medium_that_is_not_here_is_not_taken_for_lost(drives: Make) -> None:
    made = drives("three drives")
    said = made.repair(folders=made.folders[1:], code=4)
    assert "MISSING medium 1 of 3" in said.out
    assert "hint: insert it; if it is lost, --to DIR makes it again" in said.err
    assert made.is_good()


def test_a_lost_medium_that_cannot_be_made_again_names_the_command(drives: Make) -> None:
    made = drives("three drives")
    said = made.repair(folders=made.folders[:1], code=4)
    assert "if it is lost, on the low side: dray export SPEC --chunks" in said.out


def test_fewer_new_media_than_lost_ones_are_refused(drives: Make, tmp_path: Path) -> None:
    made = drives("five drives")
    said = made.repair("--to", tmp_path / "new", folders=made.folders[2:], code=2)
    assert "give a --to DIR for each" in said.err
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    "ending", ["manifest.json", "lock.yaml", "blocks", "manifest.json.dray.sig", "sha256sums"]
)
@pytest.mark.parametrize("damage", ["flip", "empty", "gone"])
def test_small_files_come_from_another_medium(drives: Make, ending: str, damage: str) -> None:
    made = drives("three drives")
    path = made.folders[1] / f"{made.bundle.name}.{ending}"
    made.flip(path) if damage == "flip" else DAMAGE[damage](path)
    said = made.told()
    assert made.is_good(), made.changed()
    assert said["copied"] == [str(path)]


def test_a_damaged_signature_comes_from_another_medium(drives: Make) -> None:
    made = drives("three drives")
    made.flip(made.folders[0] / f"{made.bundle.name}.manifest.json.dray.sigstore.json")
    made.repair()
    assert made.is_good()


def test_without_a_good_block_list_whole_chunks_still_come_back(drives: Make) -> None:
    made = drives("one drive")
    made.flip(made.path("blocks"))
    made.flip(made.chunk(1), 2)
    said = made.told(code=4)
    assert made.changed() == [made.path("blocks").name]
    assert said["repaired"][0]["path"] == str(made.chunk(1))
    assert [item["file"] for item in said["failed"]] == [made.path("blocks").name]


def test_the_plan_says_it_all_and_writes_nothing(drives: Make) -> None:
    made = drives("three drives")
    made.flip(made.chunk(1), 2)
    made.parity(3).unlink()
    before = now(made.root)
    planned = made.told("--plan")
    assert now(made.root) == before
    done = made.told()
    assert made.is_good()
    assert planned["repaired"] == done["repaired"]
    assert (planned["plan"], done["plan"]) == (True, False)


def test_out_takes_what_is_repaired_and_the_media_stay_as_they_are(
    drives: Make, tmp_path: Path
) -> None:
    made = drives("three drives")
    made.flip(made.chunk(1), 2)
    before, out = now(made.root), tmp_path / "out"
    made.repair("--out", out)
    assert now(made.root) == before
    again = out / made.bundle.name
    assert (again / made.chunk(1).name).read_bytes() == made.good[made.chunk(1)]
    assert "nothing to repair" in made.repair("--out", out).out
    assert now(made.root) == before
    assert {path.name for path in again.glob("*.tar")} == {made.chunk(1).name}


def test_what_lies_in_another_bundle_is_taken_from_there(
    drives: Make, built: object, tmp_path: Path
) -> None:
    made, other = drives("no parity"), drives("three drives")
    made.chunk(2).unlink()
    made.flip(made.chunk(3), 1)
    said = made.told("--from", other.root)
    assert made.is_good()
    assert {item["from"] for item in said["repaired"]} == {"parts"}


def test_what_is_in_a_bundle_that_nobody_trusts_is_not_looked_at(drives: Make) -> None:
    made, other = drives("no parity"), drives("three drives")
    made.chunk(2).unlink()
    other.bundle.lie(lambda body: body, "stranger")
    said = made.repair("--from", other.root, code=2)
    assert "no trusted key signed" in said.err


def test_a_group_comes_back_when_another_bundle_has_one_of_two_lost_chunks(
    drives: Make,
) -> None:
    made, other = drives("one drive"), drives("no parity")
    made.chunk(1).unlink()
    made.chunk(2).unlink()
    for path in other.root.rglob("*.tar"):
        if path.name != other.chunk(1).name:
            path.write_bytes(b"")
    said = made.told("--from", other.root)
    assert made.is_good()
    assert {item["from"] for item in said["repaired"]} == {"parts", "parity"}
