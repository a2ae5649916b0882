"""Licences: expressions of SPDX, judged by lists of names."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundle.gate import foreign
from bundle.gate.spdx import declared, permits
from fixtures import reports

ALLOW = ("MIT", "Apache-2.0", "BSD-*", "NVIDIA Proprietary Software")
DENY = ("AGPL-*", "GPL-3.0-only")


@pytest.mark.parametrize(
    "text",
    [
        "MIT",
        "mit",
        "MIT AND Apache-2.0",
        "MIT OR AGPL-3.0-only",
        "(GPL-3.0-only OR MIT) AND BSD-3-Clause",
        "Apache-2.0 WITH LLVM-exception",
        "NVIDIA Proprietary Software",
        "AGPL-3.0-only OR GPL-2.0-only OR MIT",
    ],
)
def test_what_can_be_kept_passes(text: str) -> None:
    assert permits(text, ALLOW, DENY)


@pytest.mark.parametrize(
    "text",
    [
        "GPL-2.0-only",
        "MIT AND GPL-3.0-only",
        "MIT AND (AGPL-3.0-only OR GPL-3.0-only)",
        "MIT OR MIT AND GPL-2.0-only WITH x AND",
        "GPL-3.0-only WITH Classpath-exception-2.0",
        "MIT OR",
        "(MIT",
        "MIT)",
        "AND",
        "NVIDIA Proprietary",
        "(" * 200 + "MIT" + ")" * 200,
    ],
)
def test_what_cannot_be_kept_does_not(text: str) -> None:
    assert not permits(text, ALLOW, DENY)


def test_without_an_allow_list_everything_passes_that_is_not_denied() -> None:
    assert permits("Anything at all, really", (), DENY)
    assert not permits("AGPL-1.0", (), DENY)
    assert permits("MIT OR AGPL-1.0", (), DENY)


def test_an_exception_may_be_listed_as_a_whole() -> None:
    whole = "GPL-2.0-only WITH Classpath-exception-2.0"
    assert permits(whole, ("MIT", "GPL-2.0-only"), ())
    assert permits(whole, (whole,), ("GPL-2.0-only",))
    assert not permits(whole, ("GPL-2.0-only",), (whole,))


@given(st.text("()ANDORWITHMIT ", max_size=40))
def test_any_text_has_an_answer(text: str) -> None:
    assert permits(text, (), ()) in {True, False}
    if permits(text, ("MIT",), ()):
        assert "MIT" in text


def test_licences_of_sboms() -> None:
    document = reports.spdx(("a", "MIT"), ("b", "NOASSERTION"), ("c", "GPL-2.0-only OR MIT"))
    found = list(declared(foreign.read(json.dumps(document).encode(), "it")))
    assert [(one.package, one.expression) for one in found] == [
        ("a 1", "MIT"),
        ("b 1", ""),
        ("c 1", "GPL-2.0-only OR MIT"),
    ]
    other = reports.cyclonedx()
    other["components"][0]["licenses"] += [{"license": {"name": "Some (odd) one"}}]
    other["components"][0]["components"] = [{"type": "library", "name": "in", "licenses": []}]
    other["components"].append({"type": "library", "name": "c", "licenses": [{"expression": "X"}]})
    found = list(declared(foreign.read(json.dumps(other).encode(), "it")))
    assert [(one.package, one.expression) for one in found] == [
        ("openssl 3.0.1", "Apache-2.0 AND (Some (odd) one)"),
        ("c", "X"),
        ("in", ""),
    ]
