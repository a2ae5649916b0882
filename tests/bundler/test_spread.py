"""Groups of chunks on media: as few of a group on one medium as there is room for."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bundle.errors import UsageError
from bundler.spread import (
    Parity,
    Spread,
    advice,
    groups,
    is_medium_covered,
    parity_sizes,
    parse,
    spread,
)


def homes(placed: Spread, parity: Parity) -> list[Counter[int]]:
    """Return for each group how many of its members each medium has."""
    files = iter(placed.files)
    return [
        Counter([placed.chunks[n - 1] for n in group] + [next(files) for _ in range(parity.files)])
        for group in groups(len(placed.chunks), parity)
    ]


@pytest.mark.parametrize(
    ("text", "parity"),
    [("20", Parity(20)), ("1", Parity(1)), ("20+2", Parity(20, 2)), ("255+1", Parity(255))],
)
def test_what_can_be_written(text: str, parity: Parity) -> None:
    assert parse(text) == parity
    assert parse(str(parity)) == parity


@pytest.mark.parametrize("text", ["0", "256", "20+3", "20+0", "-1", "k", "2+", "1.5", "²"])
def test_what_is_no_parity_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UsageError, match="not a parity") as raised:
        parse(text)
    assert "20+2" in raised.value.hint


def test_groups_are_consecutive_and_the_last_has_the_rest() -> None:
    assert groups(5, Parity(2)) == [(1, 2), (3, 4), (5,)]
    assert groups(2, Parity(20)) == [(1, 2)]


def test_a_parity_is_as_long_as_its_largest_chunk() -> None:
    assert parity_sizes([5, 9, 7], Parity(2, 2)) == [9, 9, 7, 7]


@settings(deadline=None)
@given(
    st.lists(st.integers(1, 100), min_size=1, max_size=30),
    st.integers(1, 8),
    st.integers(1, 2),
    st.integers(1, 10),
)
def test_with_room_no_medium_has_more_of_a_group_than_must_be(
    sizes: list[int], chunks: int, files: int, media: int
) -> None:
    parity = Parity(chunks, files)
    placed = spread(sizes, parity, [0] * media, 0)
    assert len(placed.files) == files * len(groups(len(sizes), parity))
    for found in homes(placed, parity):
        assert max(found.values()) == -(-found.total() // media)


@settings(deadline=None)
@given(
    st.lists(st.integers(1, 100), min_size=1, max_size=30),
    st.integers(1, 8),
    st.lists(st.integers(150, 2000), min_size=1, max_size=6),
)
def test_no_medium_gets_more_than_it_holds(
    sizes: list[int], chunks: int, capacities: list[int]
) -> None:
    parity = Parity(chunks)
    try:
        placed = spread(sizes, parity, capacities, 10)
    except UsageError as error:
        assert "too small" in error.message
        return
    used = Counter[int]()
    for size, medium in zip(sizes, placed.chunks, strict=True):
        used[medium] += size
    for size, medium in zip(parity_sizes(sizes, parity), placed.files, strict=True):
        used[medium] += size
    assert all(used[medium] <= left - 10 for medium, left in enumerate(capacities))


def test_what_covers_a_lost_medium() -> None:
    three = spread([1] * 12, Parity(2), [0] * 3, 0)
    assert is_medium_covered(three, Parity(2))
    assert not is_medium_covered(spread([1] * 12, Parity(3), [0] * 3, 0), Parity(3))
    assert not is_medium_covered(spread([1] * 12, Parity(3), [0], 0), Parity(3))
    assert is_medium_covered(spread([1] * 12, Parity(4, 2), [0] * 3, 0), Parity(4, 2))


@pytest.mark.parametrize(("media", "files", "text"), [(1, 1, ""), (3, 1, "2"), (3, 2, "4+2")])
def test_the_advice_is_the_cheapest_parity_that_covers_a_lost_medium(
    media: int, files: int, text: str
) -> None:
    assert advice(media, Parity(99, files)) == text
    if text:
        parity = parse(text)
        assert is_medium_covered(spread([1] * 40, parity, [0] * media, 0), parity)
        more = Parity(parity.chunks + 1, parity.files)
        assert not is_medium_covered(spread([1] * 40, more, [0] * media, 0), more)
