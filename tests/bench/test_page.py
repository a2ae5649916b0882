"""The page of results keeps its text, and the page in the repository can take results."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bench import page

if TYPE_CHECKING:
    from pathlib import Path


def test_results_replace_results_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "performance.md"
    path.write_text(f"before\n\n{page.BEGIN}\n\nold\n\n{page.END}\n\nafter\n")
    page.write("new\n", path)
    page.write("newer\n", path)
    assert path.read_text() == f"before\n\n{page.BEGIN}\n\nnewer\n\n{page.END}\n\nafter\n"


def test_a_page_without_marks_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "performance.md"
    path.write_text("text\n")
    with pytest.raises(ValueError, match="does not have the lines"):
        page.write("new", path)
    assert path.read_text() == "text\n"


def test_the_page_of_the_repository_has_the_marks_once() -> None:
    text = page.PAGE.read_text(encoding="utf-8")
    assert [text.count(mark) for mark in (page.BEGIN, page.END)] == [1, 1]
    assert text.index(page.BEGIN) < text.index(page.END)


def test_absent_tools_are_named() -> None:
    assert page.absences({"zarf": "x", "hauler": "y"}) == "- not here, not measured: hauler, zarf\n"
    assert page.absences({}) == ""
