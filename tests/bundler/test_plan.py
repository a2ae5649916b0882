"""The plan: pure arithmetic, the same for the same lock, and refused before a byte is fetched."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from bundle import ustar
from bundle.digest import Digest
from bundle.errors import UsageError
from bundler import plan as module
from bundler.packing import MIN_CHUNK, pack, place, room
from bundler.plan import Options, check_space, make, reserve
from tests.bundler.world import BUNDLE, MIB, PLAIN, lock, locked, noise, plan, text

if TYPE_CHECKING:
    from pathlib import Path

BIG, SMALL, EMPTY = noise("big", 2_500_000), noise("small", 5_000), b""
WORDS = text("words", 300_000)
LOCK = lock(locked("one", BIG, EMPTY), locked("two", SMALL, BIG))


def digests(count: int) -> list[Digest]:
    return [Digest.of(bytes([number])) for number in range(count)]


@pytest.mark.parametrize("order", [1, -1])
def test_chunks_are_exactly_filled_whatever_the_order_of_the_blobs(order: int) -> None:
    sizes = [0, 1, 511, 512, 513, 700_000, 400_000, 1_047_552, 3_000_000, 999_000]
    blobs = dict(list(zip(digests(len(sizes)), sizes, strict=True))[::order])
    packing = pack(blobs, chunk_size=MIB, prefix=2048)
    assert packing == pack(dict(sorted(blobs.items())), chunk_size=MIB, prefix=2048)
    for pieces, size in zip(packing.chunks, packing.sizes, strict=True):
        position = 2048
        for piece in pieces:
            assert piece.offset == position + ustar.RECORD
            position += ustar.span(piece.size)
        assert size == position + len(ustar.TRAILER) <= MIB
    for digest, pieces in packing.pieces().items():
        assert sum(piece.size for piece in pieces) == blobs[digest]
        starts = [piece.start for piece in pieces]
        assert starts == sorted(starts)
        assert (len(pieces) > 1) == (ustar.span(blobs[digest]) > room(MIB, 2048))


def test_the_parts_of_a_cut_blob_lie_in_chunks_that_follow_each_other() -> None:
    one, two = digests(2)
    packing = pack({one: 3_000_000, two: 2_000_000}, chunk_size=MIB, prefix=2048)
    for pieces in packing.pieces().values():
        chunks = [piece.chunk for piece in pieces]
        assert chunks == list(range(chunks[0], chunks[0] + len(chunks)))
        assert [piece.part for piece in pieces] == list(range(len(pieces)))


def test_what_just_fits_is_not_cut_and_one_byte_more_is() -> None:
    (one,) = digests(1)
    fits = room(MIB, 2048) - ustar.RECORD
    assert len(pack({one: fits}, chunk_size=MIB, prefix=2048).pieces()[one]) == 1
    assert len(pack({one: fits + 1}, chunk_size=MIB, prefix=2048).pieces()[one]) == 2


def test_a_blob_goes_into_the_first_chunk_with_room() -> None:
    a, b, c, d = sorted(digests(4))
    sizes = {a: 700_000, b: 600_000, c: 400_000, d: 300_000}
    packing = pack(sizes, chunk_size=MIB, prefix=2048)
    assert [[piece.digest for piece in chunk] for chunk in packing.chunks] == [[a, d], [b, c]]


@pytest.mark.parametrize("size", [0, 1000, MIN_CHUNK - 1])
def test_a_chunk_size_that_is_too_small_is_refused_with_the_least(size: int) -> None:
    with pytest.raises(UsageError, match="is too small") as caught:
        pack({}, chunk_size=size, prefix=2048)
    assert str(MIN_CHUNK) in caught.value.hint


def test_a_lock_with_a_long_index_asks_for_larger_chunks() -> None:
    with pytest.raises(UsageError) as caught:
        room(MIN_CHUNK, MIN_CHUNK)
    assert f"{MIN_CHUNK + 2048} bytes at least" in caught.value.hint


def test_a_blob_of_more_than_99999_parts_is_refused() -> None:
    (one,) = digests(1)
    with pytest.raises(UsageError, match="more than 99999 parts"):
        pack({one: 1 << 40}, chunk_size=MIB, prefix=2048)


def test_chunks_go_to_the_first_medium_with_room() -> None:
    assert place([50, 50, 30, 20], [120, 70], reserve=10) == [0, 0, 1, 1]
    assert place([50, 50], [0], reserve=10) == [0, 0]


def test_media_that_do_not_suffice_are_refused_with_what_lacks() -> None:
    with pytest.raises(UsageError, match="too small: 80 bytes of chunks find no room"):
        place([50, 50, 30], [70], reserve=10)


def test_a_drive_that_is_full_is_no_drive_without_a_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = type("Full", (), {"f_bavail": 0, "f_frsize": 4096})
    monkeypatch.setattr(os, "statvfs", lambda _path: full)
    with pytest.raises(UsageError, match="the media are too small"):
        plan(LOCK, tmp_path / "a", tmp_path / "b")


def test_a_plan_writes_nothing(tmp_path: Path) -> None:
    made = plan(LOCK, tmp_path / "a", tmp_path / "b")
    made.to_dict(BUNDLE)
    check_space(made, BUNDLE)
    assert list(tmp_path.iterdir()) == []


def test_each_drive_has_its_size_or_none_has(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="2 folders but 1 media sizes"):
        plan(LOCK, tmp_path / "a", tmp_path / "b", media=(10**9,))


def test_several_sizes_in_one_folder_are_folders_of_their_own(tmp_path: Path) -> None:
    made = plan(LOCK, tmp_path, media=(1_500_000, 10**8))
    body = made.to_dict(BUNDLE)
    assert [medium["folder"] for medium in body["media"]] == [
        str(tmp_path / BUNDLE / f"medium-{number}") for number in (1, 2)
    ]
    assert [len(medium["chunks"]) for medium in body["media"]] == [1, 2]
    assert sum(medium["bytes"] for medium in body["media"]) == body["chunkBytes"]


def test_several_drives_hold_a_folder_of_the_bundle_each(tmp_path: Path) -> None:
    made = plan(LOCK, tmp_path / "a", tmp_path / "b", media=(1_500_000, 10**8))
    assert [made.folder(number, BUNDLE) for number in (0, 1)] == [
        tmp_path / "a" / BUNDLE,
        tmp_path / "b" / BUNDLE,
    ]
    assert [medium.chunks for medium in made.media(made.placed)] == [(1,), (2, 3)]


def test_the_plans_identity_changes_with_lock_and_options_and_with_nothing_else(
    tmp_path: Path,
) -> None:
    first = plan(LOCK, tmp_path / "a")
    assert plan(LOCK, tmp_path / "elsewhere").digest == first.digest
    others = [
        plan(LOCK, tmp_path / "a", chunk_size=2 * MIB),
        plan(LOCK, tmp_path / "a", media=(10**9,)),
        plan(LOCK, tmp_path / "a", tmp_path / "b"),
        plan(LOCK, tmp_path / "a", compress=True),
        plan(lock(locked("one", BIG)), tmp_path / "a"),
    ]
    assert len({first.digest, *(other.digest for other in others)}) == 6


def test_only_what_may_gain_is_encoded(tmp_path: Path) -> None:
    made = lock(locked("one", WORDS, SMALL, media_type=PLAIN), locked("two", BIG))
    compressed = plan(made, tmp_path, compress=True)
    assert compressed.encode == (Digest.of(WORDS),)
    assert Digest.of(WORDS) not in compressed.packing.pieces()
    assert plan(made, tmp_path).encode == ()
    assert compressed.most_bytes >= sum(compressed.packing.sizes) + len(WORDS)


def test_a_blob_that_gains_in_one_artifact_is_encoded_for_all(tmp_path: Path) -> None:
    made = lock(locked("one", WORDS), locked("two", WORDS, media_type=PLAIN))
    assert plan(made, tmp_path, compress=True).encode == (Digest.of(WORDS),)


def test_free_space_is_checked_for_all_folders_of_a_device_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = plan(LOCK, tmp_path / "a", tmp_path / "b", media=(1_500_000, 10**8))
    needed = made.most_bytes + reserve(LOCK)
    for free, fits in ((needed, True), (needed - 1, False)):
        found = type("Found", (), {"f_bavail": free, "f_frsize": 1})
        monkeypatch.setattr(os, "statvfs", lambda _path, found=found: found)
        if fits:
            check_space(made, BUNDLE)
        else:
            with pytest.raises(UsageError, match="1 fewer than the export needs"):
                check_space(made, BUNDLE)


@pytest.mark.parametrize("ending", ["", ".partial"])
def test_what_is_written_already_needs_no_space(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    made = plan(LOCK, tmp_path)
    folder = made.folder(0, BUNDLE)
    folder.mkdir()
    path = folder / f"{BUNDLE}.chunk-00001.tar{ending}"
    path.write_bytes(noise("x", made.packing.sizes[0]))
    free = made.most_bytes - made.packing.sizes[0] + reserve(LOCK)
    found = type("Found", (), {"f_bavail": free, "f_frsize": 1})
    monkeypatch.setattr(os, "statvfs", lambda _path: found)
    check_space(made, BUNDLE)


def test_a_hole_in_a_partial_file_is_still_to_be_written(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    with path.with_name("x.tar.partial").open("wb") as file:
        file.truncate(10 << 20)
    assert module._present(path) < 1 << 20


def test_the_prefix_is_that_of_the_locks_artifacts(tmp_path: Path) -> None:
    made = plan(LOCK, tmp_path)
    assert made.prefix.count(b"org.opencontainers.image.ref.name") == 2
    assert make(replace(LOCK), Options((tmp_path,), MIB)).prefix == made.prefix
