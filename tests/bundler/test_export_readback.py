"""What a medium returns wrongly is fetched again, once, wherever else the blob lies too."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from bundle.digest import Digest
from bundler.chunkfile import ChunkFile, ReadBackError
from tests.bundler.medium import Flips, damage
from tests.bundler.world import (
    PLAIN,
    Upstream,
    chunks,
    export,
    journal,
    leftovers,
    lock,
    locked,
    noise,
    plan,
    text,
)

if TYPE_CHECKING:
    from pathlib import Path

CUT, OTHER, SMALL = noise("cut", 2_500_000), noise("other", 300_000), noise("small", 9_000)
LOCK = lock(locked("one", CUT, OTHER), locked("two", SMALL))
WORDS, MORE = text("words", 900_000), noise("more", 1_600_000)
ENCODED = lock(locked("one", WORDS, MORE, media_type=PLAIN), locked("two", SMALL))


@pytest.fixture
def upstream() -> Upstream:
    return Upstream.of(CUT, OTHER, SMALL, WORDS, MORE)


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Digest]:
    folder = tmp_path_factory.mktemp("expected")
    export(plan(LOCK, folder), Upstream.of(CUT, OTHER, SMALL))
    return chunks(folder)


def asked(upstream: Upstream, blob: bytes) -> int:
    return sum(digest == Digest.of(blob) for _name, digest, _at in upstream.opened)


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("chunk", ["00001", "00002", "00003"])
def test_a_part_that_comes_back_wrong_is_fetched_again_into_every_chunk(
    tmp_path: Path,
    upstream: Upstream,
    expected: dict[str, Digest],
    monkeypatch: pytest.MonkeyPatch,
    chunk: str,
    workers: int,
) -> None:
    damage(monkeypatch, Flips(f"chunk-{chunk}", 100_000))
    outcome = export(plan(LOCK, tmp_path), upstream, workers=workers)
    assert asked(upstream, CUT) == 2
    assert chunks(tmp_path) == expected
    assert leftovers(tmp_path) == []
    assert outcome.failures == {}


def test_a_blob_that_is_damaged_in_two_chunks_is_fetched_again_and_all_is_well(
    tmp_path: Path,
    upstream: Upstream,
    expected: dict[str, Digest],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    damage(
        monkeypatch,
        Flips("chunk-00001", 200_000),
        Flips("chunk-00002", 200_000),
        Flips("chunk-00003", 200_000),
    )
    export(plan(LOCK, tmp_path), upstream, workers=4)
    assert asked(upstream, CUT) <= 4
    assert chunks(tmp_path) == expected
    assert leftovers(tmp_path) == []


def test_only_what_is_damaged_is_fetched_again(
    tmp_path: Path,
    upstream: Upstream,
    expected: dict[str, Digest],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = plan(LOCK, tmp_path)
    (piece,) = made.packing.pieces()[Digest.of(OTHER)]
    damage(monkeypatch, Flips(f"chunk-{piece.chunk:05d}", piece.offset + 7))
    export(made, upstream)
    assert [asked(upstream, blob) for blob in (CUT, OTHER, SMALL)] == [1, 2, 1]
    assert chunks(tmp_path) == expected


@pytest.mark.parametrize("place", [3, 1030])
def test_a_header_that_comes_back_wrong_is_written_again(
    tmp_path: Path,
    upstream: Upstream,
    expected: dict[str, Digest],
    monkeypatch: pytest.MonkeyPatch,
    place: int,
) -> None:
    damage(monkeypatch, Flips("chunk-00001", place))
    export(plan(LOCK, tmp_path), upstream)
    assert chunks(tmp_path) == expected


def test_a_medium_that_returns_other_bytes_twice_is_given_up(
    tmp_path: Path, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    damage(monkeypatch, Flips("chunk-00001", 100_000, times=2))
    with pytest.raises(ReadBackError, match=r"chunk-00001\.tar on the medium has other bytes"):
        export(plan(LOCK, tmp_path), upstream)


def test_a_run_killed_while_it_reopened_chunks_leaves_no_chunk_sealed_over_a_hole(
    tmp_path: Path, upstream: Upstream, expected: dict[str, Digest]
) -> None:
    made = plan(LOCK, tmp_path)
    export(made, upstream)
    opened = journal(made)
    opened.write(undone=Digest.of(CUT))  # and killed before the chunks were unsealed
    opened.close()
    export(made, upstream)
    assert chunks(tmp_path) == expected
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("chunk", ["00001", "00002", "00003"])
def test_an_encoded_blob_that_comes_back_wrong_is_encoded_again_with_all_after_it(
    tmp_path: Path, upstream: Upstream, monkeypatch: pytest.MonkeyPatch, chunk: str
) -> None:
    good, bad = tmp_path / "good", tmp_path / "bad"
    export(plan(ENCODED, good, compress=True), upstream)
    assert f"prod-000001.chunk-{chunk}.tar" in chunks(good)
    damage(monkeypatch, Flips(f"chunk-{chunk}", 5_000))
    outcome = export(plan(ENCODED, bad, compress=True), upstream)
    assert outcome.failures == {}
    assert chunks(bad) == chunks(good)
    assert leftovers(bad) == []


@pytest.mark.parametrize("damage_to", ["gone", "short"])
def test_an_encoded_chunk_that_is_lost_is_made_again(
    tmp_path: Path, upstream: Upstream, damage_to: str
) -> None:
    made = plan(ENCODED, tmp_path, compress=True)
    export(made, upstream)
    before = chunks(tmp_path)
    path = sorted(tmp_path.rglob("*.tar"))[1]
    path.unlink() if damage_to == "gone" else path.write_bytes(path.read_bytes()[:-512])
    export(made, upstream)
    assert chunks(tmp_path) == before


def test_no_chunk_is_written_to_while_it_is_read_back(
    tmp_path: Path, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two chunks of one blob are sealed at once; the one that fails waits for the other."""
    sealing: set[str] = set()
    clashes: list[str] = []
    both = threading.Barrier(2, timeout=20)
    real_seal, real_writing = ChunkFile.seal, ChunkFile.writing

    def seal(self: ChunkFile, *arguments: object) -> object:
        first = not sealing and "chunk-00003" not in self.path.name
        sealing.add(self.path.name)
        try:
            if both.n_waiting or first:
                both.wait()
            return real_seal(self, *arguments)  # type: ignore[arg-type]
        finally:
            sealing.discard(self.path.name)

    def writing(self: ChunkFile) -> object:
        if self.path.name in sealing and threading.current_thread().name.startswith("fetch"):
            clashes.append(self.path.name)
        return real_writing(self)

    monkeypatch.setattr(ChunkFile, "writing", writing)
    monkeypatch.setattr(ChunkFile, "seal", seal)
    damage(monkeypatch, Flips("chunk-00001", 100_000))
    export(plan(LOCK, tmp_path), upstream, workers=4)
    assert clashes == []
    assert leftovers(tmp_path) == []
