"""Who fetches which bytes of a blob: every byte once, in claims that can be cut and taken over."""

from __future__ import annotations

import random
import threading

import pytest

from bundler import ranges as module
from bundler.ranges import Claim, Ranges


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"LEAST": 10, "MOST": 40, "SPLIT": 40, "AHEAD": 200}.items():
        monkeypatch.setattr(module, name, value)


def spans(claim: Claim | None) -> tuple[int, int] | None:
    return (claim.position, claim.end) if claim else None


def write(ranges: Ranges, claim: Claim, count: int) -> int:
    wanted = ranges.begin(claim, count)
    if wanted:
        ranges.wrote(claim, wanted)
    return wanted


def test_one_connection_takes_all() -> None:
    ranges = Ranges(1000)
    assert spans(ranges.take()) == (0, 1000)


def test_a_second_connection_cuts_the_first_to_a_step_and_takes_the_next() -> None:
    ranges = Ranges(1000)
    first = ranges.take()
    assert first
    write(ranges, first, 30)
    second = ranges.take(30, 2)
    assert (spans(first), spans(second)) == ((30, 70), (70, 110))
    assert spans(ranges.take(30, 3)) == (110, 150)


def test_what_a_cut_claim_receives_beyond_its_end_is_not_written() -> None:
    ranges = Ranges(1000)
    first = ranges.take()
    assert first
    ranges.take(0, 2)
    assert write(ranges, first, 500) == 40
    assert write(ranges, first, 500) == 0
    assert ranges.extents == ((0, 40),)


def test_claims_grow_smaller_towards_the_end_and_a_small_rest_is_not_cut() -> None:
    ranges = Ranges(100)
    first = ranges.take()
    assert first
    assert spans(ranges.take(0, 4)) == (25, 50)
    assert spans(ranges.take(0, 4)) == (50, 75)
    assert spans(ranges.take(0, 4)) == (75, 100)
    assert ranges.take(0, 5) is None
    assert spans(first) == (0, 25)


def test_nothing_is_given_out_far_ahead_of_the_hash() -> None:
    ranges = Ranges(10_000)
    ranges.take()
    given = [ranges.take(0, 9) for _ in range(9)]
    assert [spans(claim) for claim in given[:4]] == [(40, 80), (80, 120), (120, 160), (160, 200)]
    assert given[4:] == [None] * 5
    assert spans(ranges.take(160, 9)) == (200, 240)


def test_what_is_written_already_is_left_out_and_gaps_come_first() -> None:
    ranges = Ranges(200)
    ranges.add([(0, 20), (50, 90), (80, 100), (-5, 3), (300, 400), (60, 55)])
    assert ranges.extents == ((0, 20), (50, 100))
    assert (ranges.count, ranges.front(), ranges.front(50), ranges.front(30)) == (70, 20, 100, 30)
    assert [spans(ranges.take()) for _ in range(2)] == [(20, 50), (100, 200)]


def test_what_a_claim_gives_back_is_taken_by_the_next() -> None:
    ranges = Ranges(100)
    first, second = ranges.take(0, 2), ranges.take(0, 2)
    assert first
    assert second
    write(ranges, second, 15)
    ranges.leave(second)
    assert spans(second) == (55, 80)
    assert spans(ranges.take(0, 2)) == (55, 95)


def test_the_first_goes_on_to_the_end_where_others_find_no_ranges() -> None:
    ranges = Ranges(1000)
    first, second, third = (ranges.take(0, number) for number in (1, 2, 3))
    assert first
    assert second
    assert third
    write(ranges, third, 5)
    ranges.leave(third)
    ranges.widen()
    assert spans(first) == (0, 40)
    ranges.leave(second)
    ranges.widen()
    assert spans(first) == (0, 80)
    write(ranges, first, 40)
    assert spans(ranges.take(0, 2)) == (85, 125)


def test_a_silent_connection_loses_what_it_has_left() -> None:
    clock = Clock()
    ranges = Ranges(30, clock)
    first = ranges.take()
    assert first
    write(ranges, first, 5)
    clock.now = module.SILENT
    assert ranges.take(5, 2) is None
    clock.now += 1
    assert spans(ranges.take(5, 2)) == (5, 17)
    assert spans(ranges.take(5, 2)) == (17, 29)
    assert write(ranges, first, 25) == 0, "it comes back too late"


def test_a_connection_that_is_writing_is_not_silent() -> None:
    clock = Clock()
    ranges = Ranges(30, clock)
    first = ranges.take()
    assert first
    ranges.begin(first, 5)
    clock.now = 100
    assert ranges.take(0, 2) is None


def test_at_the_end_nothing_is_given_out_and_writers_are_waited_for() -> None:
    ranges = Ranges(100)
    first, second = ranges.take(0, 2), ranges.take(0, 2)
    assert first
    assert second
    ranges.begin(first, 10)
    ended = threading.Event()

    def end() -> None:
        ranges.end()
        ended.set()

    thread = threading.Thread(target=end)
    thread.start()
    assert not ended.wait(0.05)
    assert ranges.take(0, 3) is None
    assert ranges.begin(second, 10) == 0
    ranges.wrote(first, 10)
    thread.join(10)
    assert ended.is_set()


@pytest.mark.parametrize("seed", range(20))
def test_however_connections_come_go_and_fail_each_byte_is_written_once(seed: int) -> None:
    chance, clock = random.Random(seed), Clock()
    size = chance.randint(1, 3000)
    ranges, open_claims, written = Ranges(size, clock), list[Claim](), bytearray(size)
    for _ in range(100_000):
        if ranges.count == size:
            break
        clock.now += chance.random() * 2
        if len(open_claims) < 5 and chance.random() < 0.4:
            claim = ranges.take(ranges.front(), len(open_claims) + 1)
            open_claims += [claim] if claim else []
            continue
        if not open_claims:
            continue
        claim = chance.choice(open_claims)
        count = ranges.begin(claim, chance.randint(1, 30))
        at = claim.position
        if not count or chance.random() < 0.1:
            if count:
                ranges.wrote(claim, 0)
            ranges.leave(claim)
            open_claims.remove(claim)
            continue
        for place in range(at, at + count):
            written[place] += 1
        ranges.wrote(claim, count)
    assert written == b"\x01" * size
