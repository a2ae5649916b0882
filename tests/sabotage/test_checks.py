"""The list of checks that can be taken out is true of the code as it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.sabotage.checks import CHECKS
from tests.sabotage.edit import Sabotage, Stale

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_each_check_stands_in_the_code_once_and_can_be_taken_out(check: Sabotage) -> None:
    source = (ROOT / check.file).read_text(encoding="utf-8")
    changed = check.applied(source)
    assert changed != source
    compile(changed, check.file, "exec")


def test_the_tests_of_each_check_are_there() -> None:
    assert [path for check in CHECKS for path in check.tests if not (ROOT / path).exists()] == []


def test_there_are_enough_of_them_on_both_sides_of_the_format() -> None:
    assert len(set(CHECKS)) == len(CHECKS) >= 40
    assert {check.file.split("/")[0] for check in CHECKS} >= {"bundle", "importer"}


def test_a_check_that_is_gone_is_said() -> None:
    with pytest.raises(Stale, match="0 refusals say so"):
        Sabotage("a.py", "nothing").applied("if x:\n    raise ValueError('y')\n")
    with pytest.raises(Stale, match="stands there 2 times"):
        Sabotage("a.py", "x", "y").applied("x = x\n")


def test_a_refusal_is_taken_out_by_its_words() -> None:
    source = "if a == 'ü':\n    msg = 'bad'\n    raise ValueError(msg)\nif b:\n    c()\n"
    assert Sabotage("a.py", "bad").applied(source).startswith("if False:\n    msg")
