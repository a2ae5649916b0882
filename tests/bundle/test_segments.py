"""Where segments are: every plain byte in exactly one, and every offset known from sizes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundle import segments, ustar
from bundle.segments import HEADER, OVERHEAD, SEGMENT, Cuts

SIZES = st.lists(
    st.one_of(st.integers(0, 5000), st.sampled_from([SEGMENT - 1, SEGMENT, SEGMENT + 1])),
    max_size=6,
)
PREFIXES = st.sampled_from([2048, 3 * 512, SEGMENT, SEGMENT + 512])


def members(prefix: int, sizes: list[int]) -> list[tuple[int, int]]:
    found, position = [], prefix
    for size in sizes:
        found.append((position + ustar.RECORD, size))
        position += ustar.span(size)
    return found


@given(PREFIXES, SIZES)
def test_segments_cover_a_chunk_and_its_file_without_gaps(prefix: int, sizes: list[int]) -> None:
    cuts = Cuts(prefix, members(prefix, sizes))
    offset, position = 0, HEADER
    for number, segment in enumerate(cuts):
        assert (segment.offset, segment.position, segment.number) == (offset, position, number)
        assert 0 < segment.size <= SEGMENT
        assert segment.last == (number + 1 == cuts.segments)
        offset += segment.size
        position += segment.stored
    plain = prefix + sum(map(ustar.span, sizes)) + len(ustar.TRAILER)
    assert (offset, position) == (cuts.size, cuts.file_size) == (plain, position)
    costs = sum(map(segments.member_cost, sizes))
    assert cuts.file_size == segments.ends_cost(prefix) + costs


@given(PREFIXES, SIZES, st.data())
def test_any_byte_is_found_in_its_segment(
    prefix: int, sizes: list[int], data: st.DataObject
) -> None:
    cuts = Cuts(prefix, members(prefix, sizes))
    offset = data.draw(st.integers(0, cuts.size - 1))
    [segment] = [s for s in cuts if s.offset <= offset < s.offset + s.size]
    assert cuts.at(offset) == segment


@given(PREFIXES, SIZES)
def test_no_segment_belongs_to_two_members(prefix: int, sizes: list[int]) -> None:
    starts = {0, prefix}
    for offset, size in members(prefix, sizes):
        starts |= {offset - ustar.RECORD, offset, offset + size + ustar.padding(size)}
    for segment in Cuts(prefix, members(prefix, sizes)):
        inside = range(segment.offset + 1, segment.offset + segment.size)
        assert not [start for start in starts if start in inside]


@pytest.mark.parametrize(
    "room", [1088, 1089, 4000, SEGMENT, SEGMENT + 575, SEGMENT + 576, 4_000_000_000]
)
def test_the_most_data_of_a_room_fits_and_a_record_more_does_not(room: int) -> None:
    most = segments.most_data(room)
    assert most % ustar.RECORD == 0
    assert segments.member_cost(most) <= room < segments.member_cost(most + ustar.RECORD)


def test_a_room_for_one_header_and_no_data_holds_none() -> None:
    assert segments.most_data(ustar.RECORD + OVERHEAD) == 0
