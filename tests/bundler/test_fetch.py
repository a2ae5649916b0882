"""A blob's way into its chunks: in order, hashed, marked, and never recorded when it is wrong."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest

from bundle.digest import Digest
from bundle.errors import MediaIncomplete, NotFound, SourceError, UsageError, VerificationError
from bundler import fetch as module
from bundler.chunkfile import ChunkFile, MediumError
from bundler.fetch import Fetching as Job
from bundler.fetch import OtherBytes, Stop, unpinned
from bundler.packing import Piece
from bundler.sink import Sink
from tests.bundler.world import Upstream, in_blocks, journal, lock, locked, noise, plan

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bundler.journal import Journal

DATA = noise("data", 300_000)
DIGEST = Digest.of(DATA)
PIECES = (
    Piece(DIGEST, 0, 0, 120_000, 1, 2048),
    Piece(DIGEST, 1, 120_000, 120_000, 2, 2048),
    Piece(DIGEST, 2, 240_000, 60_000, 3, 4096),
)


class Fetching:
    """One blob in three chunks, an upstream, and what became of it."""

    def __init__(self, folder: Path) -> None:
        one = locked("one", DATA)
        self.folder, self.locked = folder, one
        self.journal: Journal = journal(plan(lock(one), folder / "journal"))
        self.upstream, self.stop, self.counted = Upstream.of(DATA), threading.Event(), 0

    def run(self) -> tuple[int, ...]:
        sink = Sink(DIGEST, PIECES, lambda number: ChunkFile(self.folder / f"{number}.tar"))
        opener = self.upstream.opener(self.locked, self.locked.contents[0])
        try:
            return Job(
                opener,
                sink,
                what="one",
                journal=self.journal,
                stop=self.stop,
                on_bytes=self.count,
            ).run()
        finally:
            sink.close()

    def count(self, number: int) -> None:
        self.counted += number

    def written(self) -> bytes:
        return b"".join(
            (self.folder / f"{piece.chunk}.tar.partial").read_bytes()[
                piece.offset : piece.offset + piece.size
            ]
            for piece in PIECES
        )


@pytest.fixture
def fetching(tmp_path: Path) -> Iterator[Fetching]:
    made = Fetching(tmp_path)
    yield made
    made.journal.close()


@pytest.mark.parametrize("block", [1000, 65536, 120_000, 300_000])
def test_a_blob_is_cut_at_its_pieces_whatever_its_blocks_are(
    fetching: Fetching, block: int
) -> None:
    import zlib

    fetching.upstream.fail("one", DATA, lambda data, at: in_blocks(data, at, block))
    crcs = fetching.run()
    assert fetching.written() == DATA
    assert crcs == tuple(zlib.crc32(DATA[p.start : p.start + p.size]) for p in PIECES)
    assert fetching.counted == len(DATA)


def test_a_blob_goes_on_where_the_journal_says(fetching: Fetching) -> None:
    fetching.run()
    fetching.counted = 0
    fetching.journal.write(at=DIGEST, bytes=130_000)
    fetching.run()
    assert [at for _name, _digest, at in fetching.upstream.opened] == [0, 130_000]
    assert fetching.counted == len(DATA)


def test_a_journal_that_says_more_than_the_blob_has_does_no_harm(fetching: Fetching) -> None:
    fetching.run()
    fetching.journal.write(at=DIGEST, bytes=1 << 40)
    assert fetching.run()
    assert len(fetching.upstream.opened) == 1


def test_a_file_shorter_than_the_journal_says_is_gone_on_with_where_it_ends(
    fetching: Fetching,
) -> None:
    fetching.run()
    with (fetching.folder / "2.tar.partial").open("r+b") as file:
        file.truncate(2048 + 10_000)
    fetching.journal.write(at=DIGEST, bytes=250_000)
    fetching.run()
    assert fetching.upstream.opened[-1][2] == 130_000
    assert fetching.written() == DATA


@pytest.mark.parametrize("start", [0, 100_000])
def test_other_bytes_are_never_recorded(fetching: Fetching, start: int) -> None:
    fetching.run()
    fetching.journal.write(at=DIGEST, bytes=start)
    fetching.upstream.fail("one", DATA, lambda data, at: in_blocks(bytes(len(data)), at))
    fetching.counted = 0
    with pytest.raises(OtherBytes, match=f"one: upstream sent other bytes than {DIGEST}") as caught:
        fetching.run()
    assert caught.value.exit_code == 6
    assert fetching.journal.reached == {}
    assert fetching.counted == 0
    assert len(fetching.upstream.opened) == (3 if start else 2)


def test_more_bytes_than_pinned_are_the_upstreams_fault(fetching: Fetching) -> None:
    fetching.upstream.fail("one", DATA, lambda data, at: in_blocks(data + b"x", at))
    with pytest.raises(OtherBytes, match="one is longer than the 300000 bytes that are pinned"):
        fetching.run()


def test_fewer_bytes_than_pinned_are_tried_again_and_then_given_up(
    fetching: Fetching, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bundle.transfer.backoff", lambda _failures, _after: 0)
    fetching.upstream.fail("one", DATA, lambda data, at: in_blocks(data[:-5], at))
    with pytest.raises(SourceError, match="ended after 299995 of 300000 bytes"):
        fetching.run()
    assert fetching.journal.reached == {DIGEST: 299_995}


def test_what_came_before_a_failure_is_not_fetched_again(fetching: Fetching) -> None:
    def fails(data: bytes, offset: int) -> Iterator[bytes]:
        yield data[offset : offset + 150_000]
        raise NotFound("gone")

    fetching.upstream.fail("one", DATA, fails)
    with pytest.raises(NotFound):
        fetching.run()
    fetching.upstream.faults.clear()
    fetching.run()
    assert [at for _name, _digest, at in fetching.upstream.opened] == [0, 150_000]


def test_a_stop_leaves_a_mark(fetching: Fetching) -> None:
    def stops(data: bytes, offset: int) -> Iterator[bytes]:
        yield data[offset : offset + 150_000]
        fetching.stop.set()
        yield data[offset + 150_000 : offset + 160_000]
        pytest.fail("the next block was asked for")

    fetching.upstream.fail("one", DATA, stops)
    with pytest.raises(Stop) as caught:
        fetching.run()
    assert caught.value.exit_code == 8
    assert fetching.journal.reached == {DIGEST: 160_000}
    with pytest.raises(Stop):
        fetching.run()


def test_marks_are_set_on_the_way(fetching: Fetching, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MARK_BYTES", 50_000)
    fetching.upstream.fail("one", DATA, lambda data, at: in_blocks(data, at, 20_000))
    fetching.run()
    lines = fetching.journal.path.read_text().splitlines()
    assert [line.partition('"bytes": ')[2] for line in lines if '"at"' in line] == [
        f"{count}}}" for count in range(60_000, 300_001, 60_000)
    ]


def test_a_medium_that_fails_is_no_failure_of_the_upstream(fetching: Fetching) -> None:
    (fetching.folder / "2.tar.partial").mkdir()
    with pytest.raises(MediumError, match=r"2\.tar cannot be written: Is a directory"):
        fetching.run()


def test_writing_out_begins_before_the_end(
    fetching: Fetching, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[int, int]] = []
    monkeypatch.setattr("bundler.sink.WRITE_OUT", 50_000)
    monkeypatch.setattr(
        os, "posix_fadvise", lambda _handle, start, count, _how: told.append((start, count))
    )
    fetching.run()
    assert sum(count for _start, count in told) > 200_000


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (VerificationError("other bytes"), OtherBytes),
        (UsageError("a broken file", hint="mend it"), SourceError),
        (MediaIncomplete("x"), SourceError),
        (NotFound("x"), NotFound),
        (MediumError("x"), MediumError),
        (Stop(), Stop),
    ],
)
def test_what_goes_wrong_at_a_source_is_the_sources(error: Exception, kind: type) -> None:
    with pytest.raises(kind) as caught, unpinned("one"):
        raise error
    assert type(caught.value) is kind


def test_a_name_is_said_once() -> None:
    said: list[str] = []
    for message in ("one has other bytes", "has other bytes"):
        with pytest.raises(OtherBytes) as caught, unpinned("one"):
            raise VerificationError(message)
        said.append(caught.value.message)
    assert said == ["one has other bytes", "one: has other bytes"]
