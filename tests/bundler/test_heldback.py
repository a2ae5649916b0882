"""What waits in memory for the rest of its segment: found until it is in the file, never twice."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from bundler.heldback import HeldBack, joined

KEY = (1, 7)
PAIRS = st.tuples(st.integers(0, 60), st.integers(1, 20)).map(lambda p: (p[0], p[0] + p[1]))


@given(st.permutations(list(range(10))), st.integers(0, 3))
def test_a_segment_is_whole_when_the_last_of_its_bytes_came_in_any_order(
    order: list[int], padding: int
) -> None:
    held, data = HeldBack(), bytes(range(40))
    for count, number in enumerate(order, start=1):
        at = number * 4
        whole = held.add(KEY, (100, 140), 40 + padding, at, data[at : at + 4])
        assert whole == (data + bytes(padding) if count == len(order) else None)
        assert held.get(KEY, slice(at, at + 4)) == data[at : at + 4]
    held.drop(KEY)
    assert held.get(KEY, slice(0, 4)) is None


def test_of_what_did_not_come_nothing_is_returned() -> None:
    held = HeldBack()
    held.add(KEY, (0, 40), 40, 10, b"abcd")
    assert held.get(KEY, slice(0, 10)) == b""
    assert held.get(KEY, slice(12, 40)) == b"cd"
    assert held.get((2, 7), slice(0, 4)) is None
    held.clear()
    assert held.get(KEY, slice(12, 40)) is None


@given(st.lists(PAIRS), st.lists(PAIRS, max_size=4))
def test_what_is_in_memory_alone_does_not_count_as_written(
    extents: list[tuple[int, int]], parts: list[tuple[int, int]]
) -> None:
    held, apart = HeldBack(), joined(parts)
    for number, (start, end) in enumerate(apart):
        held.add((1, number), (start, end + 1), 100, 0, b"x" * (end - start))
    written = joined(extents)
    kept = {n for start, end in written for n in range(start, end)}
    kept -= {n for start, end in apart for n in range(start, end + 1)}
    found = held.without(written)
    assert {n for start, end in found for n in range(start, end)} == kept
    assert list(found) == sorted(found)


@given(st.lists(PAIRS))
def test_stretches_that_touch_are_one(extents: list[tuple[int, int]]) -> None:
    made = joined(extents)
    assert {n for a, b in made for n in range(a, b)} == {n for a, b in extents for n in range(a, b)}
    assert all(one[1] < two[0] for one, two in pairwise(made))
