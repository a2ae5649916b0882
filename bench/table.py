"""Samples to rows, and rows to a table."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from bench.measure import Measurement

REFERENCE = "dray"
HEADINGS = (
    "what",
    "tool",
    "n",
    "wall s",
    "min s",
    "wall ÷ dray's",
    "CPU s",
    "peak RSS MB",
    "extra disk ÷ content",
    "note",
)
_LEFT = {0, 1, 9}


@dataclass(slots=True)
class Row:
    """One tool in one phase; ``samples`` by round, ``content`` the bytes that were moved."""

    phase: str
    tool: str
    content: int = 0
    samples: dict[int, Measurement] = field(default_factory=dict)
    note: str = ""
    failed: str = ""
    """Why the tool has failed; what it measured before that still counts for nothing."""

    @property
    def walls(self) -> list[float]:
        """Seconds of every round."""
        return [sample.wall for sample in self.samples.values()]


def ratio(row: Row, reference: Row | None) -> float | None:
    """Return how many times as long as the reference it took: the median over rounds of ratios.

    Of one round, because what disturbs a machine for minutes disturbs both.
    """
    if reference is None:
        return None
    shared = row.samples.keys() & reference.samples.keys()
    found = [row.samples[n].wall / reference.samples[n].wall for n in shared]
    return median(found) if found else None


def summary(row: Row, reference: Row | None) -> dict[str, float | int | str | None]:
    """Return a row's figures: seconds, bytes, and ratios; ``None`` where there is nothing."""
    samples = list(row.samples.values())
    body: dict[str, float | int | str | None] = {"phase": row.phase, "tool": row.tool}
    if row.failed:
        return body | {"rounds": 0, "note": "failed", "failed": row.failed}
    body |= {"rounds": len(samples), "note": row.note}
    if not samples:
        return body
    extra = median(sample.extra for sample in samples)
    return body | {
        "wall": median(row.walls),
        "fastest": min(row.walls),
        "ratio": ratio(row, reference),
        "cpu": median(sample.cpu for sample in samples),
        "rss": max(sample.rss for sample in samples),
        "extra": extra,
        "extraRatio": extra / row.content if row.content else None,
    }


def summaries(rows: Iterable[Row]) -> list[dict[str, float | int | str | None]]:
    """Return the figures of all rows, each beside dray in its phase."""
    listed = list(rows)
    references = {row.phase: row for row in listed if row.tool == REFERENCE and not row.failed}
    return [summary(row, references.get(row.phase)) for row in listed]


def cells(figures: Mapping[str, float | int | str | None]) -> list[str]:
    """Return the texts of one line; what was not measured is a dash."""

    def number(key: str, digits: int, unit: float = 1.0) -> str:
        value = figures.get(key)
        return "–" if not isinstance(value, int | float) else f"{value / unit:.{digits}f}"

    return [
        str(figures["phase"]),
        str(figures["tool"]),
        str(figures["rounds"]),
        number("wall", 2),
        number("fastest", 2),
        number("ratio", 2),
        number("cpu", 2),
        number("rss", 0, 1e6),
        number("extraRatio", 2),
        str(figures["note"] or ""),
    ]


def render(figures: Sequence[Mapping[str, float | int | str | None]]) -> str:
    """Return a Markdown table that people can read as it stands, too."""
    lines = [list(HEADINGS), *([_escaped(cell) for cell in cells(row)] for row in figures)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]
    rule = [("-" * width if n in _LEFT else "-" * (width - 1) + ":") for n, width in _each(widths)]
    lines.insert(1, rule)
    return "\n".join(_line(line, widths) for line in lines) + "\n"


def _each(widths: list[int]) -> list[tuple[int, int]]:
    return list(enumerate(max(width, 2) for width in widths))


def _line(texts: Sequence[str], widths: list[int]) -> str:
    padded = [
        text.ljust(width) if n in _LEFT else text.rjust(width)
        for text, (n, width) in zip(texts, _each(widths), strict=True)
    ]
    return "| " + " | ".join(padded).rstrip() + " |"


def _escaped(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
