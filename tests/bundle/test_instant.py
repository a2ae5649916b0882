"""Moments: one spelling of each, and nothing that only looks like one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from bundle import instant

MOMENT = datetime(2027, 1, 31, 12, 0, tzinfo=UTC)


def test_a_moment_is_read_as_it_is_written() -> None:
    assert instant.parse("2027-01-31T12:00:00Z") == MOMENT
    there = timezone(timedelta(hours=2))
    assert instant.spell(MOMENT.astimezone(there).replace(microsecond=7)) == "2027-01-31T12:00:00Z"


@pytest.mark.parametrize(
    "text",
    [
        "2027-1-31T12:00:00Z",
        "2027-01-31T12:0:0Z",
        " 2027-01-31T12:00:00Z",
        "2027-01-31T12:00:00Z\n",
        "2027-01-31T12:00:00+00:00",
        "2027-01-31t12:00:00z",
        "2027-01-31T12:00:00.5Z",
        "2027-01-31",
        "\u0662\u0660\u0662\u0667-01-31T12:00:00Z",
        "2027-02-30T12:00:00Z",
        "2027-01-31T24:00:00Z",
        "0000-01-01T00:00:00Z",
        "",
    ],
)
def test_another_spelling_and_a_day_that_does_not_exist_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"not a moment|no such day"):
        instant.parse(text)


def test_a_moment_without_a_time_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="without a time zone"):
        instant.spell(datetime(2027, 1, 31))
