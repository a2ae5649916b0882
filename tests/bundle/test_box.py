"""A segment opens whole, at its own place, under its own header; or not at all."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundle.box import Box, Damaged
from bundle.segments import HEAD, OVERHEAD, Segment

KEY, HEADER = b"k" * 32, b"h" * 32
HERE = Segment(1024, 600, 3)
DATA = bytes(range(200)) * 3


@pytest.fixture
def box() -> Box:
    return Box(KEY, HEADER)


def test_what_was_sealed_comes_out(box: Box) -> None:
    stored = box.seal(HERE, DATA)
    assert len(stored) == HERE.stored == len(DATA) + OVERHEAD
    assert box.open(HERE, stored) == DATA
    assert DATA[:16] not in stored


def test_no_nonce_comes_twice(box: Box) -> None:
    """What is written again, with the same bytes or others, is under another nonce."""
    made = [box.seal(HERE, DATA) for _ in range(1000)]
    assert len({stored[4:HEAD] for stored in made}) == 1000
    assert len(set(made)) == 1000


@given(st.integers(0, 600 + OVERHEAD - 1), st.integers(1, 255))
def test_any_changed_byte_is_found(at: int, change: int) -> None:
    box = Box(KEY, HEADER)
    stored = bytearray(box.seal(HERE, DATA))
    stored[at] ^= change
    with pytest.raises(Damaged):
        box.open(HERE, bytes(stored))


@pytest.mark.parametrize(
    "other",
    [replace(HERE, offset=512), replace(HERE, last=True), replace(HERE, size=599)],
    ids=["another place", "the end", "another length"],
)
def test_a_segment_opens_only_as_what_it_is(box: Box, other: Segment) -> None:
    with pytest.raises(Damaged):
        box.open(other, box.seal(HERE, DATA))


@pytest.mark.parametrize("stored", [b"", b"\0" * 20, b"\0" * 632], ids=len)
def test_what_is_no_segment_is_refused(box: Box, stored: bytes) -> None:
    with pytest.raises(Damaged):
        box.open(HERE, stored)


def test_a_segment_of_another_header_or_key_is_refused(box: Box) -> None:
    stored = box.seal(HERE, DATA)
    for other in (Box(KEY, b"i" * 32), Box(b"l" * 32, HEADER)):
        with pytest.raises(Damaged):
            other.open(HERE, stored)
