"""Chunks of a blob that is cut are read back while the rest of it is still coming."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from bundle.digest import Digest
from bundle.errors import NotFound
from bundler.export import Export
from bundler.fetch import Stop
from tests.bundler.medium import Flips, damage
from tests.bundler.world import (
    BUNDLE,
    Upstream,
    chunks,
    export,
    in_blocks,
    journal,
    leftovers,
    lock,
    locked,
    noise,
    plan,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bundler.export import Outcome
    from bundler.journal import Journal
    from bundler.plan import Plan

CUT, SMALL = noise("cut early", 3_700_000), noise("small", 9_000)
LOCK = lock(locked("one", CUT), locked("two", SMALL))
DIGEST = Digest.of(CUT)
PATIENCE = 20


@dataclass
class Run:
    """An export of a blob whose end the upstream holds back until its first chunks are proven."""

    folder: Path
    upstream: Upstream = field(default_factory=lambda: Upstream.of(CUT, SMALL))
    stop: threading.Event = field(default_factory=threading.Event)
    read: int = 0

    def __post_init__(self) -> None:
        self.plan: Plan = plan(LOCK, self.folder)
        self.journal: Journal = journal(self.plan)

    def go(self) -> Outcome:
        self.read = 0
        self.export = Export(
            self.plan,
            BUNDLE,
            self.journal,
            self.upstream.opener,
            stop=self.stop,
            on_bytes=lambda _count: None,
            on_sealed=self.count,
            connections=(2, 2),
        )
        return self.export.run()

    def count(self, number: int) -> None:
        self.read += number

    def hold(self, data: bytes, offset: int) -> Iterator[bytes]:
        """Send all but the last bytes; these when three chunks are read back."""
        yield from in_blocks(data[:-50_000], offset)
        self.await_proven()
        yield from in_blocks(data, max(offset, len(data) - 50_000))

    def await_proven(self) -> None:
        pause = threading.Event()
        for _ in range(PATIENCE * 100):
            if len(self.journal.proven) == 3:
                return
            pause.wait(0.01)
        raise AssertionError("the chunks were not read back")


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    made = Run(tmp_path)
    yield made
    made.journal.close()


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Digest]:
    folder = tmp_path_factory.mktemp("expected")
    export(plan(LOCK, folder), Upstream.of(CUT, SMALL))
    return chunks(folder)


def test_what_is_there_is_read_back_before_the_end_and_only_once(
    run: Run, expected: dict[str, Digest]
) -> None:
    run.upstream.fail("one", CUT, run.hold)
    run.go()
    assert chunks(run.folder) == expected
    assert leftovers(run.folder) == []
    assert run.read == sum(path.stat().st_size for path in run.folder.rglob("*.tar"))


def test_nothing_has_its_name_before_the_blob_is_whole(run: Run) -> None:
    def fails(data: bytes, offset: int) -> Iterator[bytes]:
        yield from in_blocks(data[:-50_000], offset)
        run.await_proven()
        raise NotFound("gone")

    run.upstream.fail("one", CUT, fails)
    assert run.go().failures
    assert sorted(run.journal.proven) == [1, 2, 3]
    assert [path.name for path in run.folder.rglob("*.tar")] == []


def cut_off(run: Run) -> None:
    """End a run when three chunks are read back, and the blob is not whole."""

    def stops(data: bytes, offset: int) -> Iterator[bytes]:
        yield from in_blocks(data[:-50_000], offset)
        run.await_proven()
        run.stop.set()
        yield data[-50_000:-40_000]

    run.upstream.fail("one", CUT, stops)
    with pytest.raises(Stop):
        run.go()
    run.stop.clear()
    run.upstream.faults.clear()
    run.journal.close()
    run.journal = journal(run.plan)


def test_a_run_that_goes_on_reads_only_what_was_not_read(
    run: Run, expected: dict[str, Digest]
) -> None:
    cut_off(run)
    proven = set(run.journal.proven)
    sizes = sum(run.plan.packing.sizes[number - 1] for number in proven)
    run.go()
    assert run.read == sum(run.plan.packing.sizes) - sizes
    assert chunks(run.folder) == expected
    assert leftovers(run.folder) == []


@pytest.mark.parametrize("left", [0, 500_000])
def test_a_chunk_that_was_shortened_meanwhile_is_written_and_read_again(
    run: Run, expected: dict[str, Digest], left: int
) -> None:
    cut_off(run)
    partial = next(run.folder.rglob("*chunk-00002.tar.partial"))
    with partial.open("r+b") as file:
        file.truncate(left)
    run.go()
    assert chunks(run.folder) == expected


def test_a_chunk_that_is_gone_though_its_blob_is_done_is_fetched_again(
    run: Run, expected: dict[str, Digest]
) -> None:
    cut_off(run)
    run.journal.write(done=DIGEST, crc=[0, 0, 0, 0])
    next(run.folder.rglob("*chunk-00002.tar.partial")).unlink()
    run.go()
    assert chunks(run.folder) == expected


def test_other_bytes_are_found_at_the_end_and_all_is_written_and_read_again(
    run: Run, expected: dict[str, Digest]
) -> None:
    cut_off(run)
    wrong = bytearray(CUT)
    wrong[-1] ^= 1
    times = iter([1])

    def lies(data: bytes, offset: int) -> Iterator[bytes]:
        yield from in_blocks(bytes(wrong) if next(times, None) else data, offset)

    run.upstream.fail("one", CUT, lies)
    run.go()
    assert chunks(run.folder) == expected
    assert run.upstream.opened[-1][2] == 0 or run.upstream.opened[-2][2] == 0


def test_a_chunk_that_comes_back_wrong_early_is_fetched_again(
    run: Run, expected: dict[str, Digest], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = threading.Event()

    def waits(data: bytes, offset: int) -> Iterator[bytes]:
        yield from in_blocks(data[:-50_000], offset)
        assert seen.wait(PATIENCE)
        yield from in_blocks(data, max(offset, len(data) - 50_000))

    damage(monkeypatch, Flips("chunk-00002", 100_000), then=seen.set)
    run.upstream.fail("one", CUT, waits)
    run.go()
    assert sum(digest == DIGEST for _name, digest, _at in run.upstream.opened) == 2
    assert chunks(run.folder) == expected
