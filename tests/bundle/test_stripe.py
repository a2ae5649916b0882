"""The arithmetic of a stripe: what is lost comes back, and never anything else in its place."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bundle import stripe


def by_hand(one: int, other: int) -> int:
    """Multiply in GF(2^8) bit by bit, as the polynomial 0x11d says."""
    product = 0
    while other:
        if other & 1:
            product ^= one
        one <<= 1
        if one & 0x100:
            one ^= 0x11D
        other >>= 1
    return product


def test_products_are_those_of_the_field() -> None:
    for one in range(256):
        for other in range(0, 256, 7):
            assert stripe.multiply(one, other) == by_hand(one, other)


def test_the_first_parity_is_the_exclusive_or() -> None:
    assert stripe.parity(0, [b"\x0f\xf0", b"\xff\x00", b"\x01"], 2) == b"\xf1\xf0"


def test_the_second_parity_has_powers_of_two_of_the_members() -> None:
    blocks = [b"\x80", b"\x80", b"\x80"]
    assert stripe.parity(1, blocks, 1)[0] == 0x80 ^ by_hand(0x80, 2) ^ by_hand(0x80, 4)


def test_each_of_255_members_has_another_power() -> None:
    assert len({stripe.coefficient(1, j) for j in range(stripe.MEMBERS)}) == stripe.MEMBERS


@settings(deadline=None)
@given(
    st.lists(st.binary(max_size=40), min_size=1, max_size=6),
    st.integers(1, 2),
)
def test_whatever_is_lost_comes_back_up_to_the_number_of_parities(
    blocks: list[bytes], parities: int
) -> None:
    size = max(map(len, blocks))
    made = {number: stripe.parity(number, blocks, size) for number in range(parities)}
    for count in range(parities + 1):
        for lost in combinations(range(len(blocks)), count):
            known = {j: block for j, block in enumerate(blocks) if j not in lost}
            for left in range(parities - count + 1):
                there = dict(list(made.items())[left:])
                found = stripe.solve(known, lost, there, size)
                assert found == {j: blocks[j].ljust(size, b"\0") for j in lost}


@pytest.mark.parametrize("parities", [0, 1, 2])
def test_more_losses_than_parities_are_not_solved(parities: int) -> None:
    made = {number: bytes(4) for number in range(parities)}
    assert stripe.solve({3: b"abcd"}, list(range(parities + 1)), made, 4) is None


def test_blocks_longer_than_a_slice_are_worked_on_piece_by_piece() -> None:
    size = 2 * stripe.SLICE + 17
    blocks = [bytes([n + 1]) * (size - n) for n in range(3)]
    parities = {n: stripe.parity(n, blocks, size) for n in (0, 1)}
    found = stripe.solve({1: blocks[1]}, [0, 2], parities, size)
    assert found == {0: blocks[0], 2: blocks[2] + b"\0\0"}
