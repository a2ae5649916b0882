"""The ledger's chain: whatever is written reads back, and any change of it is found."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import schemas
from bundle.digest import Digest
from bundle.errors import UsageError
from bundle.state import State
from importer.ledger.chain import BrokenChain, Chain
from importer.ledger.entry import FIRST, KIND, OPENED, BrokenEntry, compose, read
from importer.ledger.head import Head
from importer.ledger.streams import Standings

MOMENTS = st.datetimes(datetime(2000, 1, 1), datetime(2999, 12, 31)).map(
    lambda moment: moment.replace(microsecond=0, tzinfo=UTC)
)
KINDS = st.from_regex(KIND, fullmatch=True).filter(lambda kind: kind != OPENED)
DIGESTS = st.binary(min_size=1, max_size=4).map(Digest.of)
STREAMS = st.from_regex("[a-z0-9][a-z0-9-]{0,39}", fullmatch=True)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
BODIES = st.dictionaries(TEXTS, VALUES, max_size=4)


def chain_of(bodies: list[tuple[datetime, str, dict[str, Any]]]) -> bytes:
    data, tip = b"", FIRST
    for number, (when, kind, body) in enumerate(bodies, start=1):
        made = compose(number, tip, when, OPENED if number == 1 else kind, body)
        data, tip = data + made.line + b"\n", made.digest
    return data


CHAINS = st.lists(st.tuples(MOMENTS, KINDS, BODIES), min_size=2, max_size=5).map(chain_of)


@given(MOMENTS, KINDS, BODIES)
def test_an_entry_reads_back_and_is_one_line(
    when: datetime, kind: str, body: dict[str, Any]
) -> None:
    made = compose(3, Digest.of(b"before"), when, kind, body)
    again = read(made.line)
    assert (again, b"\n" in made.line) == (made, False)
    assert (again.when, again.kind, again.number) == (when, kind, 3)
    own = {"mediaType", "number", "previous", "when", "kind"}
    assert dict(again.body) == {key: value for key, value in body.items() if key not in own}
    schemas.validate("ledger", json.loads(made.line))


@given(CHAINS)
def test_a_chain_reads_back(data: bytes) -> None:
    chain = Chain().extend(data)
    assert b"".join(entry.line + b"\n" for entry in chain.entries) == data
    assert (chain.size, chain.torn) == (len(data), b"")


@given(CHAINS, st.integers(0), st.integers(1, 255))
def test_any_changed_byte_before_the_last_line_breaks_the_chain(
    data: bytes, place: int, flip: int
) -> None:
    last = data.rstrip(b"\n").rfind(b"\n") + 1
    changed = bytearray(data)
    changed[place % last] ^= flip
    with pytest.raises(BrokenChain):
        Chain().extend(bytes(changed))


@given(CHAINS, st.integers(0), st.integers(1, 255))
def test_a_changed_last_line_is_another_tip(data: bytes, place: int, flip: int) -> None:
    """The chain alone cannot know its end: the head does."""
    whole = Chain().extend(data)
    last = data.rstrip(b"\n").rfind(b"\n") + 1
    changed = bytearray(data)
    changed[last + place % (len(data) - last)] ^= flip
    try:
        other = Chain().extend(bytes(changed))
    except BrokenChain:
        return
    assert not other.holds(len(whole.entries), whole.tip)


@given(CHAINS, st.data())
def test_a_line_that_is_removed_doubled_or_moved_breaks_the_chain(
    data: bytes, draw: st.DataObject
) -> None:
    lines = [line + b"\n" for line in data.split(b"\n")[:-1]]
    assume(len(lines) > 2)
    place = draw.draw(st.integers(0, len(lines) - 2))
    how = draw.draw(st.sampled_from(["remove", "double", "swap"]))
    if how == "remove":
        del lines[place]
    elif how == "double":
        lines.insert(place, lines[place])
    else:
        lines[place], lines[place + 1] = lines[place + 1], lines[place]
    with pytest.raises(BrokenChain):
        Chain().extend(b"".join(lines))


@given(CHAINS, st.integers(0))
def test_any_cut_leaves_whole_entries_and_a_rest_that_is_none(data: bytes, place: int) -> None:
    whole = Chain().extend(data)
    cut = Chain().extend(data[: place % (len(data) + 1)])
    assert cut.entries == whole.entries[: len(cut.entries)]
    assert cut.size + len(cut.torn) == place % (len(data) + 1)
    assert whole.begins_with(cut)


@given(CHAINS, st.integers(0))
def test_reading_on_is_reading_at_once(data: bytes, place: int) -> None:
    at = place % (len(data) + 1)
    assert Chain().extend(data[:at]).extend(data[at:]) == Chain().extend(data)


@given(st.binary(max_size=200))
def test_no_garbage_is_an_entry(data: bytes) -> None:
    with pytest.raises(BrokenEntry):
        read(data)


STATES = st.builds(State, STREAMS, st.integers(0, 9), st.integers(1, 2**53 - 1), DIGESTS, MOMENTS)


@given(st.lists(STATES, max_size=4), st.integers(1, 10**6), DIGESTS)
def test_a_head_obeys_its_schema_and_reads_back(
    states: list[State], number: int, digest: Digest
) -> None:
    head = Head("0" * 32, "host", number, digest, {state.stream: state for state in states})
    schemas.validate("ledger-head", json.loads(head.to_bytes()))
    assert Head.read(head.to_bytes(), UsageError) == head


@given(st.lists(STATES, max_size=12))
def test_a_stream_stands_at_the_highest_that_was_imported(states: list[State]) -> None:
    known = Standings()
    for number, state in enumerate(states, start=1):
        place = {"epoch": state.epoch, "sequence": state.sequence}
        about = {"stream": state.stream, "manifest": str(state.manifest)}
        known.learn(compose(number, FIRST, state.when, "import-done", {**place, **about}))
    for name, found in known.states().items():
        assert found.place == max(state.place for state in states if state.stream == name)
    opened = compose(1, FIRST, datetime(2026, 1, 1, tzinfo=UTC), OPENED, known.opening())
    again = Standings()
    again.learn(opened)
    assert again.states() == known.states()
