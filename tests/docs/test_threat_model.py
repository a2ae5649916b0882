"""Every test that the threat model names is there, under that name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
TEXT = (DOCS / "threat-model.md").read_text(encoding="utf-8")
LINKS = re.findall(r"\[([^\]]+)\]\((\.\./tests/[^)]+)\)", TEXT)


def test_the_threat_model_names_many_tests() -> None:
    assert len(LINKS) > 40
    assert {row.count("|") for row in TEXT.splitlines() if row.startswith("| ")} == {4}


@pytest.mark.parametrize(("words", "link"), LINKS)
def test_what_shows_it_is_there(words: str, link: str) -> None:
    source = (DOCS / link).read_text(encoding="utf-8")
    function = "test_" + re.sub(r"[^a-z0-9]+", "_", words.lower())
    assert f"def {function}(" in source or f'"{words}"' in source


def test_every_attack_is_shown_by_a_test() -> None:
    rows = [row for row in TEXT.splitlines() if row.startswith("| ") and "shown by" not in row]
    assert [row for row in rows if "](../tests/" not in row] == []
