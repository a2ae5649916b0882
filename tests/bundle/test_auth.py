from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundle.auth import challenges


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("", {}),
        ("Negotiate", {"negotiate": {}}),
        ("Basic realm=x", {"basic": {"realm": "x"}}),
        (
            'Bearer realm="https://nvcr.io/proxy_auth",scope="repository:a/b:pull,push"',
            {
                "bearer": {
                    "realm": "https://nvcr.io/proxy_auth",
                    "scope": "repository:a/b:pull,push",
                }
            },
        ),
        (
            'Bearer realm="https://h/t", service="", error="invalid_token"',
            {"bearer": {"realm": "https://h/t", "service": "", "error": "invalid_token"}},
        ),
        (
            'bearer Realm="a\\"b" , Basic realm="c, Bearer realm=d"',
            {"bearer": {"realm": 'a"b'}, "basic": {"realm": "c, Bearer realm=d"}},
        ),
        ('Bearer realm="first",realm="second"', {"bearer": {"realm": "first"}}),
    ],
)
def test_a_challenge_is_read_with_its_quotes(header: str, found: dict[str, object]) -> None:
    assert challenges(header) == found


@given(st.text())
def test_no_challenge_breaks_the_reader(header: str) -> None:
    assert all(isinstance(each, dict) for each in challenges(header).values())


def test_a_hostile_challenge_costs_no_time() -> None:
    assert challenges('Bearer realm="' + "\\" * 1_000_000) is not None
    assert challenges("a " * 1_000_000) is not None
