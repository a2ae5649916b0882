"""Figures are medians, ratios are of one round, and a tool that failed has none."""

from __future__ import annotations

from bench import table
from bench.measure import Measurement
from bench.table import Row


def row(tool: str, *walls: float, phase: str = "export", content: int = 0) -> Row:
    samples = {n: Measurement(wall, wall / 2, 10_000_000, 500) for n, wall in enumerate(walls)}
    return Row(phase, tool, content, samples)


def test_a_row_has_the_median_and_the_fastest() -> None:
    figures = table.summary(row("dray", 3.0, 1.0, 2.5), None)
    assert (figures["wall"], figures["fastest"], figures["cpu"]) == (2.5, 1.0, 1.25)
    assert figures["ratio"] is None


def test_a_ratio_is_the_median_of_the_rounds_ratios() -> None:
    """The second round was twice as slow for both: of the medians it would be 2.0."""
    dray, other = row("dray", 1.0, 2.0, 1.0), row("other", 3.0, 2.0, 1.0)
    assert table.ratio(other, dray) == 1.0


def test_a_ratio_needs_a_round_in_which_both_ran() -> None:
    late = Row("export", "other", 0, {7: Measurement(1.0, 1.0, 1, 1)})
    assert table.ratio(late, row("dray", 1.0)) is None


def test_every_phase_has_its_own_reference() -> None:
    rows = [row("dray", 1.0), row("x", 2.0), row("dray", 4.0, phase="import")]
    rows.append(row("x", 2.0, phase="import"))
    assert [figures["ratio"] for figures in table.summaries(rows)] == [1.0, 2.0, 1.0, 0.5]


def test_a_failed_tool_has_no_figures_and_is_no_reference() -> None:
    dray, other = row("dray", 1.0), row("other", 2.0)
    dray.failed = "it said no"
    figures = table.summaries([dray, other])
    assert figures[0]["failed"] == "it said no"
    assert "wall" not in figures[0]
    assert figures[1]["ratio"] is None
    assert "it said no" not in table.render(figures)


def test_extra_disk_is_a_multiple_of_the_content() -> None:
    assert table.summary(row("x", 1.0, content=250), None)["extraRatio"] == 2.0
    assert table.summary(row("x", 1.0), None)["extraRatio"] is None


def test_memory_is_the_largest_of_all_rounds() -> None:
    two = row("x", 1.0, 1.0)
    two.samples[1] = Measurement(1.0, 1.0, 90_000_000, 0)
    assert table.cells(table.summary(two, None))[7] == "90"


def test_the_table_is_markdown_with_a_dash_for_what_is_unknown() -> None:
    text = table.render(table.summaries([row("dray", 1.0), row("a|b", 2.0)]))
    lines = text.splitlines()
    assert len({line.replace("\\|", "").count("|") for line in lines}) == 1
    assert "a\\|b" in lines[3]
    assert "–" in lines[2].split("|")[9]
