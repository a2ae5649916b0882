"""How many connections are opened: more only while each is slow and more bring more."""

from __future__ import annotations

import pytest

from bundler.growth import HOLD, Growth


class Line:
    """A line that gives ``each`` bytes a second to a connection, and ``total`` to all."""

    def __init__(self, each: float, total: float = 1e12) -> None:
        self.each, self.total = each, total
        self.now, self.moved = 0.0, 0.0
        self.growth = Growth(4, 16, lambda: self.now)
        self.seen = [4]

    def run(self, seconds: float, *, busy: bool = True) -> None:
        for _ in range(int(seconds / 0.2)):
            self.now += 0.2
            self.moved += 0.2 * min(self.each * self.growth.wanted, self.total)
            self.growth.observe(int(self.moved), busy=busy)
            if self.growth.wanted != self.seen[-1]:
                self.seen.append(self.growth.wanted)


def test_throttled_connections_become_as_many_as_there_may_be() -> None:
    line = Line(25e6)
    line.run(60)
    assert line.seen == [4, 8, 16]


def test_fast_connections_stay_as_few_as_they_are() -> None:
    line = Line(200e6)
    line.run(60)
    assert line.seen == [4]


def test_a_slow_line_is_tried_and_left_and_tried_again_later() -> None:
    line = Line(25e6, 50e6)
    line.run(HOLD / 2)
    assert line.seen == [4, 8, 4]
    line.run(HOLD)
    assert line.seen == [4, 8, 4, 8, 4]


def test_growth_that_pays_only_once_is_kept_at_that() -> None:
    line = Line(25e6, 180e6)
    line.run(HOLD / 2)
    assert line.seen == [4, 8, 16, 8]


def test_connections_that_nothing_is_for_say_nothing() -> None:
    line = Line(25e6)
    line.run(60, busy=False)
    assert line.seen == [4]


@pytest.mark.parametrize("most", [1, 3, 4])
def test_there_are_never_more_than_allowed(most: int) -> None:
    growth = Growth(4, most, lambda: 0.0)
    assert growth.wanted == min(4, most)
