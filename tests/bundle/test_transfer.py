from __future__ import annotations

import errno
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundle.errors import SourceError, TargetError, VerificationError
from bundle.http import Interrupted
from bundle.transfer import resume

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bundle.http import Http
    from tests.bundle.faulty import Faulty

DATA = bytes(range(256)) * 4


class Source:
    """Bytes that break off after each of ``cuts`` in turn, counted from where they were opened."""

    def __init__(self, *cuts: int | Exception, data: bytes = DATA, block: int = 100) -> None:
        self.cuts = list(cuts)
        self.data = data
        self.block = block
        self.opened: list[int] = []
        self.open = 0

    @contextmanager
    def __call__(self, offset: int) -> Iterator[Iterator[bytes]]:
        self.opened.append(offset)
        cut = self.cuts.pop(0) if self.cuts else len(self.data)
        if isinstance(cut, Exception):
            raise cut
        self.open += 1
        try:
            yield self.blocks(offset, cut)
        finally:
            self.open -= 1

    def blocks(self, offset: int, cut: int) -> Iterator[bytes]:
        end = min(offset + cut, len(self.data))
        for start in range(offset, end, self.block):
            yield self.data[start : min(start + self.block, end)]
        if end < len(self.data):
            raise Interrupted("cut")


def read(
    source: Source,
    pauses: list[float],
    *,
    size: int = len(DATA),
    start: int = 0,
    attempts: int = 8,
) -> bytes:
    blocks = resume(
        source, size=size, start=start, what="blob x", attempts=attempts, sleep=pauses.append
    )
    return b"".join(blocks)


@given(st.lists(st.integers(1, 400), max_size=6), st.integers(0, len(DATA)), st.integers(1, 2000))
def test_every_byte_comes_once_wherever_it_breaks_off(
    cuts: list[int], start: int, block: int
) -> None:
    source = Source(*cuts, block=block)
    assert read(source, [], start=start) == DATA[start:]
    assert source.opened == sorted(source.opened)
    assert source.open == 0


def test_bytes_that_came_start_the_count_anew() -> None:
    source, pauses = Source(*[10] * 50), list[float]()
    assert read(source, pauses, attempts=2) == DATA
    assert len(pauses) == 50


def test_a_source_that_gives_nothing_is_given_up() -> None:
    pauses: list[float] = []
    with pytest.raises(SourceError, match=r"blob x: cut \(tried 3 times\)") as caught:
        read(Source(100, 0, 0, 0, 0), pauses, attempts=3)
    assert len(pauses) == 2
    assert "again" in caught.value.hint


def test_the_error_is_of_the_side_that_reads() -> None:
    with pytest.raises(TargetError):
        list(resume(Source(0), size=9, what="x", attempts=1, error=TargetError))


def test_a_source_that_ends_early_is_opened_again_and_then_refused() -> None:
    source = Source(data=DATA[:500])
    with pytest.raises(SourceError, match="ended after 500 of 1024 bytes"):
        read(source, [], attempts=3)
    assert source.opened == [0, 500, 500]


def test_too_many_bytes_are_refused_before_they_are_passed_on() -> None:
    source, got = Source(), list[bytes]()
    with pytest.raises(VerificationError, match="longer than the 250 bytes"):
        got.extend(resume(source, size=250, what="blob x"))
    source = Source()
    blocks = resume(source, size=250, what="blob x")
    assert [len(next(blocks)), len(next(blocks))] == [100, 100]
    with pytest.raises(VerificationError):
        next(blocks)
    assert source.open == 0


def test_retry_after_is_honoured() -> None:
    pauses: list[float] = []
    read(Source(Interrupted("busy", retry_after=42)), pauses)
    assert 42 <= pauses[0] < 43


@pytest.mark.parametrize(
    "fault", [OSError(errno.ENOSPC, "disk full"), SourceError("403"), VerificationError("other")]
)
def test_what_will_not_pass_is_not_tried_again(fault: Exception) -> None:
    source, pauses = Source(fault), list[float]()
    with pytest.raises(type(fault)) as caught:
        read(source, pauses)
    assert caught.value is fault
    assert pauses == []


def test_a_reader_that_stops_lets_the_connection_go() -> None:
    source = Source()
    blocks = resume(source, size=len(DATA), what="x")
    next(blocks)
    assert source.open == 1
    blocks.close()
    assert source.open == 0


def test_nothing_is_opened_for_nothing() -> None:
    source = Source()
    assert read(source, [], size=0) == b""
    assert source.opened == []


@pytest.mark.parametrize("ranges", [True, False])
def test_over_http_three_cuts_cost_no_byte_and_repeat_none(
    http: Http, server: Faulty, *, ranges: bool
) -> None:
    from tests.bundle.faulty import Reply, ranged

    data = DATA * 4000
    cuts = [1_200_000] * 3 if ranges else [1_200_000, 2_500_000, 3_900_000]

    def script(asked: object) -> Reply:
        reply = ranged(server.seen[-1], data) if ranges else Reply(200, data)
        cut = cuts.pop(0) if cuts else None
        return Reply(reply.status, reply.body, reply.headers, cut)

    server.script = script
    got = resume(
        lambda offset: http.stream(server.url, offset=offset, end=len(data)),
        size=len(data),
        what="blob",
        sleep=lambda _seconds: None,
    )
    assert b"".join(got) == data
    assert len(server.seen) == 4
