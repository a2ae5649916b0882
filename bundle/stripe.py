"""The arithmetic of parity: a stripe is one block of each member of a group, and its parities.

Parity 0 is the XOR of the members' blocks; parity 1 is the sum of ``2^j`` times the block of member
``j`` over GF(2^8) with the polynomial 0x11d, as in RAID 6 (H. P. Anvin, "The mathematics of
RAID-6"). Any two blocks of a stripe that are lost come back, as long as there are at most 255
members. The whole of it runs on integers and ``bytes.translate``.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

MEMBERS = 255
"""The most members that a group may have: ``2^j`` is different for each."""
PARITIES = 2
"""The most parities that a group may have."""
_POLYNOMIAL = 0x11D
SLICE = 64 << 10
"""Bytes that are worked on at once: integers of this size stay in the processor's cache."""


def _powers() -> tuple[tuple[int, ...], tuple[int, ...]]:
    powers, logs, value = [], [0] * 256, 1
    for exponent in range(255):
        powers.append(value)
        logs[value] = exponent
        value <<= 1
        value ^= _POLYNOMIAL if value & 0x100 else 0
    return tuple(powers), tuple(logs)


_POWERS, _LOGS = _powers()


def multiply(one: int, other: int) -> int:
    """Return the product of two elements of GF(2^8)."""
    if not one or not other:
        return 0
    return _POWERS[(_LOGS[one] + _LOGS[other]) % 255]


def _inverse(value: int) -> int:
    return _POWERS[-_LOGS[value] % 255]


@cache
def _table(factor: int) -> bytes:
    return bytes(multiply(factor, value) for value in range(256))


def coefficient(parity: int, member: int) -> int:
    """Return by what member ``member``, from 0, is multiplied in parity ``parity``, from 0."""
    return _POWERS[member] if parity else 1


def combine(rows: Iterable[tuple[int, bytes | memoryview]], size: int) -> bytes:
    """Return the sum of blocks times factors, ``size`` bytes; shorter blocks end in zeros."""
    terms = [(factor, memoryview(block)) for factor, block in rows if factor]
    made = bytearray()
    for start in range(0, size, SLICE):
        total = 0
        for factor, block in terms:
            piece = block[start : start + SLICE]
            data = piece if factor == 1 else bytes(piece).translate(_table(factor))
            total ^= int.from_bytes(data, "little")
        made += total.to_bytes(min(SLICE, size - start), "little")
    return bytes(made)


def parity(number: int, blocks: Sequence[bytes | memoryview], size: int) -> bytes:
    """Return parity ``number`` of the members' blocks, in their order."""
    return combine([(coefficient(number, j), block) for j, block in enumerate(blocks)], size)


def solve(
    known: Mapping[int, bytes], lost: Sequence[int], parities: Mapping[int, bytes], size: int
) -> dict[int, bytes] | None:
    """Return the blocks of the members ``lost``, or None when there are too few parities.

    ``known`` has the blocks of all other members by number, ``parities`` those that are there.
    """
    if len(lost) > len(parities):
        return None
    sums = {  # what the lost blocks must add up to
        number: combine(
            [(1, block), *((coefficient(number, j), data) for j, data in known.items())], size
        )
        for number, block in parities.items()
    }
    if len(lost) <= 1:
        number = min(sums, default=0)
        return {j: combine([(_inverse(coefficient(number, j)), sums[number])], size) for j in lost}
    one, other = lost
    a, b = coefficient(1, one), coefficient(1, other)
    divisor = _inverse(a ^ b)
    # x + y = P and a x + b y = Q, so x = (b P + Q) / (a + b).
    first = combine([(multiply(b, divisor), sums[0]), (divisor, sums[1])], size)
    return {one: first, other: combine([(1, sums[0]), (1, first)], size)}
