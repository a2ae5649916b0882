"""The findings for people: a table of items and checks, and below it what to do."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from bundler.doctor.findings import CHECKS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bundler.doctor.findings import Finding, Report

MARKS: Final = {"ok": "ok", "warn": "warn", "fail": "FAIL", "not checked": "-"}
_WIDTH = 90


def lines(report: Report) -> Iterator[str]:
    """Yield the report: this host, the table, and every sentence that asks for something."""
    for finding in report.findings:
        if finding.check not in CHECKS:
            yield f"{MARKS[finding.verdict]:5} {_subject(finding)}: {finding.message}"
            yield from _advice(finding)
    rows = list(_rows(report))
    if rows:
        width = min(max(len(name) for name, _ in rows), _WIDTH)
        yield ""
        yield "  ".join([f"{'':{width}}", *(f"{check:7}" for check in CHECKS)]).rstrip()
        for name, marks in rows:
            yield "  ".join([f"{name:{width}}", *(f"{mark:7}" for mark in marks)]).rstrip()
    for finding in _notes(report):
        yield ""
        yield f"{MARKS[finding.verdict]:5} {finding.group} {finding.item}: {finding.check}"
        yield f"      {finding.message}"
        yield from _advice(finding)
    yield ""
    yield _sum(report)


def _subject(finding: Finding) -> str:
    return finding.item if finding.group != "disk" else f"room in {finding.item}"


def _advice(finding: Finding) -> Iterator[str]:
    if finding.hint and finding.verdict != "ok":
        yield f"      -> {finding.hint}"


def _rows(report: Report) -> Iterator[tuple[str, list[str]]]:
    found: dict[tuple[str, str], dict[str, str]] = {}
    for finding in report.findings:
        if finding.check in CHECKS:
            marks = found.setdefault((finding.group, finding.item), {})
            marks[finding.check] = MARKS[finding.verdict]
    for (group, name), marks in found.items():
        yield f"{group} {name}", [marks[check] for check in CHECKS]


def _notes(report: Report) -> Iterator[Finding]:
    """Yield what asks for a sentence; what two checks fail of for one reason is told once.

    The registry gives no request ids: that of the catalogue's refusal stands for both.
    """
    notes = [finding for finding in report.findings if _is_note(finding)]
    for number, finding in enumerate(notes):
        after = notes[number + 1] if number + 1 < len(notes) else None
        if after and _same(finding, after):
            continue
        before = next((one for one in notes if one is not finding and _same(one, finding)), None)
        if before and before.request and not finding.request:
            message = f"{finding.message} [request {before.request}]"
            finding = replace(finding, message=message, request=before.request)  # noqa: PLW2901
        yield finding


def _same(one: Finding, other: Finding) -> bool:
    same_item = (one.group, one.item, one.verdict) == (other.group, other.item, other.verdict)
    return same_item and bool(one.case) and one.case == other.case and one.check != other.check


def _is_note(finding: Finding) -> bool:
    if finding.check not in CHECKS or not finding.message:
        return False
    return finding.verdict in {"warn", "fail"} or bool(finding.case)


def _sum(report: Report) -> str:
    items = {(finding.group, finding.item) for finding in report.findings}
    counts = dict.fromkeys(MARKS, 0)
    for item in items:
        own = [f.verdict for f in report.findings if (f.group, f.item) == item]
        worst = next((mark for mark in ("fail", "warn") if mark in own), "")
        counts[worst or ("ok" if "ok" in own else "not checked")] += 1
    parts = [f"{count} {mark}" for mark, count in counts.items() if count]
    return ", ".join(parts)


def document(report: Report) -> dict[str, Any]:
    """Return the report as ``--json`` prints it; an ``error`` is in it when something will fail."""
    error = report.error()
    body: dict[str, Any] = {"ok": error is None, "login": report.login}
    body["findings"] = [finding.to_dict() for finding in report.findings]
    return {**body, **({"error": error.to_dict()} if error else {})}
