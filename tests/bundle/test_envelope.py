"""The header: its file key opens for each recipient, in its own chunk, and for nobody else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundle import envelope
from bundle.digest import Digest
from bundle.envelope import Wrapped
from bundle.segments import HEADER, MAX_RECIPIENTS
from bundler.chunkkeys import wrap
from tests import keys

KEY = b"0123456789abcdef" * 2
NAME = "prod-000001.chunk-00001.tar.enc"
MINE, YOURS = keys.recipient("mine"), keys.recipient("yours")


def header(*names: str) -> bytes:
    return wrap(KEY, NAME, [keys.recipient(name).public_key for name in names or ("mine",)])


def row(number: int) -> Wrapped:
    return Wrapped(Digest.of(b"%d" % number), b"p" * 65, b"s" * 48)


def test_every_recipient_opens_it() -> None:
    made = header("mine", "yours")
    assert len(made) == HEADER
    assert envelope.file_key(made, NAME, MINE) == KEY
    assert envelope.file_key(made, NAME, YOURS) == KEY
    assert KEY not in made


def test_nobody_else_does() -> None:
    with pytest.raises(LookupError):
        envelope.file_key(header("mine"), NAME, YOURS)


def test_it_opens_in_no_other_chunk() -> None:
    with pytest.raises(ValueError, match="not authentic"):
        envelope.file_key(header(), NAME.replace("00001.tar", "00002.tar"), MINE)


def test_a_row_of_somebody_else_under_my_name_opens_nothing() -> None:
    rows = envelope.decode(header("mine", "yours"))
    [mine, yours] = [rows[one.fingerprint] for one in (MINE, YOURS)]
    forged = envelope.encode([Wrapped(mine.recipient, yours.sender, yours.sealed)])
    with pytest.raises(ValueError, match="not authentic"):
        envelope.file_key(forged, NAME, MINE)


def test_a_key_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="rows that are none"):
        wrap(b"short", NAME, [MINE.public_key])


@given(st.integers(1, MAX_RECIPIENTS))
def test_rows_come_out_as_they_went_in(count: int) -> None:
    rows = [row(number) for number in range(count)]
    made = envelope.encode(rows)
    assert len(made) == HEADER
    assert list(envelope.decode(made).values()) == sorted(rows, key=lambda one: one.recipient)


@pytest.mark.parametrize("count", [0, MAX_RECIPIENTS + 1])
def test_nobody_and_too_many_are_refused(count: int) -> None:
    with pytest.raises(ValueError, match="recipients"):
        envelope.encode([row(number) for number in range(count)])


@given(st.binary(max_size=200), st.integers(0, HEADER - 1))
def test_any_bytes_are_a_header_in_its_one_spelling_or_none(noise: bytes, at: int) -> None:
    good = envelope.encode([row(1), row(2)])
    changed = (good[:at] + noise + good[at + len(noise) :])[:HEADER]
    for data in (noise, changed, good + noise):
        try:
            rows = envelope.decode(data)
        except ValueError:
            continue
        assert envelope.encode(list(rows.values())) == data
