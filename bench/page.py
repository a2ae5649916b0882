"""The page docs/performance.md: its text is written by hand, the results between two marks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.servers import programs

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PAGE = programs.CHECKOUT / "docs" / "performance.md"
BEGIN = "<!-- results: written by python -m bench --write-docs -->"
END = "<!-- end of the results -->"


def absences(absent: Mapping[str, str]) -> str:
    """Return a line of Markdown that names the tools that were not measured."""
    return f"- not here, not measured: {', '.join(sorted(absent))}\n" if absent else ""


def write(text: str, page: Path = PAGE) -> None:
    """Replace what is between the marks; raise ``ValueError`` when a mark is not there."""
    before, begin, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        msg = f"{page.name} does not have the lines {BEGIN} and {END}"
        raise ValueError(msg)
    page.write_text(f"{before}{BEGIN}\n\n{text.strip()}\n\n{END}{after}", encoding="utf-8")
