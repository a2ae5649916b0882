"""Several connections for one blob: each byte once, in order for the hash, whoever drops out."""

from __future__ import annotations

import itertools
import threading
from typing import TYPE_CHECKING

import pytest

from bundle.digest import Digest
from bundle.errors import NotFound, SourceError
from bundle.http import Interrupted
from bundler import ranges as ranges_module
from bundler.chunkfile import ChunkFile, MediumError
from bundler.fetch import Fetching, OtherBytes, Stop
from bundler.packing import Piece
from bundler.sink import Sink
from tests.bundler.world import Upstream, in_blocks, journal, lock, locked, noise, plan

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KIB = 1 << 10
DATA = noise("parallel", 1200 * KIB)
DIGEST = Digest.of(DATA)
PIECES = (
    Piece(DIGEST, 0, 0, 500_000, 1, 2048),
    Piece(DIGEST, 1, 500_000, 500_000, 2, 2048),
    Piece(DIGEST, 2, 1_000_000, len(DATA) - 1_000_000, 3, 4096),
)
PATIENCE = 20


class Gate:
    """Holds every connection back until as many as wanted are open at once."""

    def __init__(self, wanted: int) -> None:
        self.open = self.most = 0
        self._wanted = wanted
        self._changed = threading.Condition()

    def __call__(self, data: bytes, offset: int) -> Iterator[bytes]:
        with self._changed:
            self.open += 1
            self.most = max(self.most, self.open)
            self._changed.notify_all()
        try:
            for number, block in enumerate(in_blocks(data, offset, 16 * KIB)):
                yield block
                if not number:  # the first block is what lets others join
                    self._wait()
        finally:
            with self._changed:
                self.open -= 1

    def _wait(self) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self.most >= self._wanted, PATIENCE)


class Crew:
    """A blob that is fetched by one thread, and helpers that join as soon as they may."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        one = locked("one", DATA)
        self.journal = journal(plan(lock(one), folder / "journal"))
        self.upstream, self.stop, self.counted = Upstream.of(DATA), threading.Event(), 0
        self.opener = self.upstream.opener(one, one.contents[0])
        self._lock = threading.Lock()

    def run(self, helpers: int) -> tuple[int, ...]:
        sink = Sink(DIGEST, PIECES, lambda number: ChunkFile(self.folder / f"{number}.tar"))
        fetching = Fetching(
            self.opener,
            sink,
            what="one",
            journal=self.journal,
            stop=self.stop,
            on_bytes=self.count,
        )
        done = threading.Event()
        crew = [threading.Thread(target=self.help, args=(fetching, done)) for _ in range(helpers)]
        for thread in crew:
            thread.start()
        try:
            return fetching.run()
        finally:
            done.set()
            for thread in crew:
                thread.join(PATIENCE)
            sink.close()

    def help(self, fetching: Fetching, done: threading.Event) -> None:
        while not done.wait(0.001):
            if claim := fetching.claim():
                fetching.help(claim)

    def count(self, number: int) -> None:
        with self._lock:
            self.counted += number

    def written(self) -> bytes:
        files = {piece.chunk: self.folder / f"{piece.chunk}.tar.partial" for piece in PIECES}
        return b"".join(
            files[piece.chunk].read_bytes()[piece.offset : piece.offset + piece.size]
            for piece in PIECES
        )

    def check(self) -> None:
        assert self.written() == DATA
        assert self.counted == len(DATA)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = {"LEAST": 32 * KIB, "MOST": 128 * KIB, "SPLIT": 128 * KIB, "AHEAD": 1 << 20}
    for name, value in sizes.items():
        monkeypatch.setattr(ranges_module, name, value)
    monkeypatch.setattr("bundle.transfer.backoff", lambda _failures, after: after or 0)


@pytest.fixture
def crew(tmp_path: Path) -> Iterator[Crew]:
    made = Crew(tmp_path)
    yield made
    made.journal.close()


def asked(crew: Crew) -> int:
    """Return the bytes of all ranges asked for; the first request is open-ended."""
    return sum((end or len(DATA)) - start for start, end in crew.upstream.ranges[1:])


@pytest.mark.parametrize("helpers", [1, 3, 7])
def test_as_many_connections_as_there_are_fetch_one_blob(crew: Crew, helpers: int) -> None:
    gate = Gate(helpers + 1)
    crew.upstream.fail("one", DATA, gate)
    crew.run(helpers)
    assert gate.most == helpers + 1
    crew.check()
    ranges = sorted((start, end) for start, end in crew.upstream.ranges[1:] if end)
    assert all(one[1] <= other[0] for one, other in itertools.pairwise(ranges))


def test_the_crcs_are_those_of_the_pieces_whatever_came_first(crew: Crew) -> None:
    import zlib

    crew.upstream.fail("one", DATA, Gate(4))
    crcs = crew.run(3)
    assert crcs == tuple(zlib.crc32(DATA[p.start : p.start + p.size]) for p in PIECES)


def test_a_server_that_ignores_ranges_is_left_to_one_connection(crew: Crew) -> None:
    crew.upstream.unranged = True
    crew.upstream.fail("one", DATA, slow)
    crew.run(3)
    crew.check()
    whole = [(start, end) for start, end in crew.upstream.ranges if end is None]
    assert whole[0] == (0, None)
    assert len(crew.upstream.ranges) <= 6


def slow(data: bytes, offset: int) -> Iterator[bytes]:
    pause = threading.Event()
    for block in in_blocks(data, offset, 16 * KIB):
        pause.wait(0.002)
        yield block


def test_helpers_that_are_refused_leave_the_blob_to_the_first(crew: Crew) -> None:
    def refuses(data: bytes, offset: int) -> Iterator[bytes]:
        if threading.current_thread() is not threading.main_thread():
            raise SourceError("too many connections")
        return slow(data, offset)

    crew.upstream.fail("one", DATA, refuses)
    crew.run(4)
    crew.check()
    helpers = [start for start, end in crew.upstream.ranges if end is not None]
    assert len(helpers) < 20


def test_a_helper_that_is_told_to_wait_long_gives_up_its_range(crew: Crew) -> None:
    def busy(data: bytes, offset: int) -> Iterator[bytes]:
        if threading.current_thread() is not threading.main_thread():
            raise Interrupted("busy", retry_after=300, status=429)
        return slow(data, offset)

    crew.upstream.fail("one", DATA, busy)
    crew.run(2)
    crew.check()


def test_cut_connections_go_on_in_their_own_ranges(crew: Crew) -> None:
    gate = Gate(4)

    def cut(data: bytes, offset: int) -> Iterator[bytes]:
        for number, block in enumerate(gate(data, offset)):
            yield block
            if number == 2:
                raise Interrupted("cut")

    crew.upstream.fail("one", DATA, cut)
    crew.run(3)
    crew.check()
    assert asked(crew) < 4 * len(DATA)


def test_the_first_that_fails_for_good_ends_all_and_leaves_marks(crew: Crew) -> None:
    gate = Gate(4)

    def fails(data: bytes, offset: int) -> Iterator[bytes]:
        main = threading.current_thread() is threading.main_thread()
        for number, block in enumerate(gate(data, offset)):
            if main and number == 3:
                raise NotFound("gone")
            yield block

    crew.upstream.fail("one", DATA, fails)
    with pytest.raises(NotFound):
        crew.run(3)
    assert crew.counted == 0
    reached, ahead = crew.journal.reached[DIGEST], crew.journal.ahead[DIGEST]
    assert ahead
    kept = reached + sum(end - start for start, end in ahead)
    crew.upstream.faults.clear()
    crew.upstream.ranges.clear()
    crew.run(0)
    crew.check()
    fetched = sum((end or len(DATA)) - start for start, end in crew.upstream.ranges)
    assert fetched == len(DATA) - kept


def test_a_stop_leaves_marks_of_all_ranges(crew: Crew) -> None:
    gate = Gate(4)

    def stops(data: bytes, offset: int) -> Iterator[bytes]:
        for number, block in enumerate(gate(data, offset)):
            yield block
            if number == 3:
                crew.stop.set()

    crew.upstream.fail("one", DATA, stops)
    with pytest.raises(Stop):
        crew.run(3)
    reached = crew.journal.reached[DIGEST]
    assert 0 < reached < len(DATA)
    crew.stop.clear()
    crew.upstream.faults.clear()
    crew.run(0)
    crew.check()


def test_marks_on_the_way_name_what_is_ahead(crew: Crew, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bundler.fetch.MARK_BYTES", 64 * KIB)
    crew.upstream.fail("one", DATA, Gate(4))
    crew.run(3)
    assert b'"ahead"' in crew.journal.path.read_bytes()


@pytest.mark.parametrize("at", [10, 400_000, len(DATA) - 5])
def test_other_bytes_in_any_range_are_found_and_fetched_once_more_by_one(
    crew: Crew, at: int
) -> None:
    times = iter([1])

    def flips(data: bytes, offset: int) -> Iterator[bytes]:
        position = offset
        for block in gate(data, offset):
            spoiled = bytearray(block)
            if position <= at < position + len(block) and next(times, None):
                spoiled[at - position] ^= 1
            position += len(block)
            yield bytes(spoiled)

    gate = Gate(4)
    crew.upstream.fail("one", DATA, flips)
    crew.run(3)
    crew.check()
    assert crew.upstream.ranges[-1] == (0, None)


def test_other_bytes_that_stay_are_never_recorded(crew: Crew) -> None:
    gate = Gate(3)
    crew.upstream.fail("one", DATA, lambda data, at: gate(bytes(len(data)), at))
    with pytest.raises(OtherBytes):
        crew.run(2)
    assert (crew.counted, crew.journal.reached, crew.journal.ahead) == (0, {}, {})


def test_a_journal_that_lies_about_what_is_ahead_costs_a_second_pass(crew: Crew) -> None:
    crew.journal.write(at=DIGEST, bytes=0, ahead=[[200_000, 300_000], [-5, 1 << 40]])
    crew.run(0)
    crew.check()


def test_a_medium_that_fails_under_a_helper_ends_the_run(crew: Crew) -> None:
    (crew.folder / "2.tar.partial").mkdir()
    crew.upstream.fail("one", DATA, Gate(4))
    with pytest.raises(MediumError, match="Is a directory"):
        crew.run(3)


def test_a_helper_that_gets_more_than_its_range_takes_no_more_than_that(crew: Crew) -> None:
    gate = Gate(4)

    def longer(data: bytes, offset: int) -> Iterator[bytes]:
        if threading.current_thread() is not threading.main_thread() and len(data) < len(DATA):
            data += b"x" * 100_000
        return gate(data, offset)

    crew.upstream.fail("one", DATA, longer)
    crew.run(3)
    crew.check()
