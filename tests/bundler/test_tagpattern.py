"""Patterns for tags: what they match, what they refuse, and the order of what they select."""

from __future__ import annotations

import re
import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bundler import tagpattern
from bundler.tagpattern import TagPattern, Version, compare

PYTORCH = ["23.12-py3", "24.05-py3", "24.12-py3", "24.12-py3-igpu", "25.01-py3", "25.01"]
PYTORCH += ["25.12-py3", "26.01-py3", "latest", "sha256-" + "a" * 64 + ".sig"]


@pytest.mark.parametrize(
    ("pattern", "matched"),
    [
        (">=24.12-py3, <26", ["24.12-py3", "25.01-py3", "25.12-py3"]),
        (">=24.12-py3,<26-py3", ["24.12-py3", "25.01-py3", "25.12-py3"]),
        (">24.12-py3, <=25.12", ["25.01-py3", "25.12-py3"]),
        (">= 24", ["25.01"]),
        ("=24.12-py3-igpu", ["24.12-py3-igpu"]),
        ("24.12-py3", ["24.12-py3"]),
        ("24.*-py3", ["24.05-py3", "24.12-py3"]),
        ("24.*-py3*", ["24.05-py3", "24.12-py3", "24.12-py3-igpu"]),
        ("24.?2-py3", ["24.12-py3"]),
        ("24.*-py3, !=24.05", ["24.12-py3"]),
        ("*-py3, >=25", ["25.01-py3", "25.12-py3", "26.01-py3"]),
        (">=24.12-py3, <26, !=25.01", ["24.12-py3", "25.12-py3"]),
        (">=24-py3, <24", []),
        ("25.01.0", []),
        ("=25.1.0", ["25.01"]),
    ],
)
def test_a_pattern_takes_exactly_these_tags(pattern: str, matched: list[str]) -> None:
    assert TagPattern.parse(pattern).select(PYTORCH) == matched


@pytest.mark.parametrize(
    ("pattern", "tag", "matches"),
    [
        (">=v24.6", "v24.6.0", True),
        (">=v24.6", "24.6.0", False),
        (">=24.6", "v24.6.0", False),
        (">=v24.6, <26", "v25.3.4", True),
        (">=9", "10", True),
        (">=9.9", "9.10", True),
        (">=12.4-base-ubuntu22.04", "12.6.0-base-ubuntu22.04", True),
        (">=12.4-base-ubuntu22.04", "12.6.0-base-ubuntu24.04", False),
        (">=1", "1.0-rc.1", False),
        (">=1", "1.0.rc1", False),
        (">=1.0.rc1", "1.1.rc1", True),
        (">=1", "latest", False),
        ("*", "not a tag", False),
        ("*", "sha256-" + "0" * 64, False),
        ("sha256-*", "sha256-" + "0" * 64 + ".att", False),
        ("a*b*c", "axxbxxc", True),
        ("a.c", "abc", False),
        (">=1", "1" * 30, False),
    ],
)
def test_numbers_compare_as_numbers_and_words_exactly(
    pattern: str, tag: str, matches: bool
) -> None:
    assert TagPattern.parse(pattern).matches(tag) is matches


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("", "a term is missing"),
        (">=1,", "a term is missing"),
        (">=1 <2", "not one term"),
        (">=1 || <2", "not one term"),
        (">=abc", "compares with no version"),
        (">=24.*", "compares with no version"),
        ("~1.2", "neither a comparison"),
        ("^1.2", "neither a comparison"),
        ("==1.2", "neither a comparison"),
        ("[0-9]", "neither a comparison"),
        (">=1-py3, <2-igpu", "both the suffix"),
        (">=v1, <r2", "both the prefix"),
        ("x" * 501, "longer than 500"),
    ],
)
def test_what_is_no_pattern_is_refused_with_the_reason(pattern: str, reason: str) -> None:
    with pytest.raises(ValueError, match=re.escape(reason)):
        TagPattern.parse(pattern)


def test_a_pattern_for_every_tag_is_known_as_one() -> None:
    assert TagPattern.parse("*").matches_all
    assert not TagPattern.parse("*-py3").matches_all


def test_tags_come_oldest_first_and_once() -> None:
    tags = ["1.10", "1.9", "1.9", "1.9.1", "v1.9", "1.10-rc.10", "1.10-rc.2", "beta"]
    assert TagPattern.parse("*").select(tags) == [
        "beta",
        "1.9",
        "v1.9",
        "1.9.1",
        "1.10",
        "1.10-rc.2",
        "1.10-rc.10",
    ]


def test_many_stars_are_not_slow() -> None:
    pattern = TagPattern.parse("*a" * 100 + "b")
    began = time.process_time()
    assert not pattern.matches("a" * 128)
    assert time.process_time() - began < 5


NUMBERS = st.lists(st.integers(0, 30), min_size=1, max_size=4).map(tuple)
TAGS = st.from_regex(
    r"v?[0-9]{1,3}(\.[0-9]{1,2}){0,2}(-(py3|rc\.[0-9]{1,2}|base))?", fullmatch=True
)
ANY_TAG = TAGS | st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,20}", fullmatch=True)


@settings(deadline=None)
@given(NUMBERS, NUMBERS, NUMBERS)
def test_comparing_is_a_total_order(
    one: tuple[int, ...], two: tuple[int, ...], three: tuple[int, ...]
) -> None:
    assert compare(one, two) == -compare(two, one)
    assert compare(one, (*one, 0)) == 0
    if compare(one, two) <= 0 and compare(two, three) <= 0:
        assert compare(one, three) <= 0


@settings(deadline=None)
@given(NUMBERS, NUMBERS)
def test_the_operators_agree_with_each_other(one: tuple[int, ...], two: tuple[int, ...]) -> None:
    tag, bound = ".".join(map(str, one)), ".".join(map(str, two))

    def holds(sign: str) -> bool:
        return TagPattern.parse(f"{sign}{bound}").matches(tag)

    assert holds(">=") is not holds("<")
    assert holds("<=") is not holds(">")
    assert holds("=") is not holds("!=")
    assert holds("=") is (holds(">=") and holds("<="))


@settings(deadline=None)
@given(st.lists(ANY_TAG, max_size=12, unique=True), st.randoms())
def test_the_order_does_not_depend_on_the_order_before(tags: list[str], random: object) -> None:
    pattern = TagPattern.parse("*")
    shuffled = list(tags)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    selected = pattern.select(tags)
    assert pattern.select(shuffled) == selected
    versions = [version for tag in selected if (version := Version.of(tag))]
    for before, after in pairwise(versions):
        assert compare(before.numbers, after.numbers) <= 0


@settings(deadline=None)
@given(st.text(max_size=40) | st.text("<>=!,.*?-v0123456789 ", max_size=40), ANY_TAG)
def test_any_text_is_a_pattern_or_refused(text: str, tag: str) -> None:
    try:
        pattern = TagPattern.parse(text)
    except ValueError as error:
        assert str(error)
    else:
        assert pattern.matches(tag) in {True, False}


@settings(deadline=None)
@given(st.text(max_size=40))
def test_any_text_can_be_ordered(text: str) -> None:
    assert tagpattern.order(text) <= tagpattern.order(text)


@settings(deadline=None)
@given(ANY_TAG)
def test_a_tag_matches_itself(tag: str) -> None:
    assert TagPattern.parse(tag).matches(tag)
