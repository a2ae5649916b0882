"""SARIF 2.1.0 (OASIS): results of any scanner; their severity is a property of the rule."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bundle.gate.finding import UNKNOWN, Finding, Report, severity_of, severity_of_score
from bundle.gate.foreign import digests

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from bundle.gate.foreign import Node

FORM = "sarif"
_SCORE = r"[0-9]{1,2}(?:\.[0-9]{1,4})?"
_MESSAGE = re.compile(
    r"Package: (?P<package>[^\n]{1,512})\n"
    r"Installed Version: (?P<version>[^\n]{0,512})\n"
    r"(?:.{0,4096}?\n)?Fixed Version: (?P<fixed>[^\n]{0,512})(?:\n|$)",
    re.DOTALL,
)
"""The text of a result as Trivy writes it (pkg/report/sarif.go): SARIF has no fields for these."""


def is_one(document: Node) -> bool:
    """Whether a document has this form."""
    return "runs" in document and ("$schema" in document or "version" in document)


def report(document: Node) -> Report:
    """Read a report; raise :class:`bundle.gate.foreign.Unreadable`.

    A result that is ``suppressed`` in it counts: what may be let through is for the policy to say.
    """
    if document.text("version") != "2.1.0":
        raise document.fault(f"is version {document.text('version')[:20]!r}, not 2.1.0")
    runs = list(document.objects("runs"))
    if not runs:
        raise document.fault("has no run: nothing was looked at", "runs")
    tools = [run.child("tool").child("driver") for run in runs]
    about: set[str] = set()
    for run in runs:
        facts = run.child("properties")
        about |= digests(facts.text("imageID"), facts.text("imageName"))
        about |= digests(*facts.texts("repoDigests"))
    found = [finding for run, tool in zip(runs, tools, strict=True) for finding in _run(run, tool)]
    return Report(FORM, _named(tools[0]), _made(runs), tuple(found), frozenset(about))


def _named(tool: Node) -> str:
    version = tool.text("version") or tool.text("semanticVersion")
    return f"{tool.text('name')} {version}".strip()


def _made(runs: list[Node]) -> datetime | None:
    """Return when the oldest of the runs ended, None when one of them does not say."""
    ends = []
    for run in runs:
        known = [one.moment("endTimeUtc") for one in run.objects("invocations")]
        ends.append(max((end for end in known if end), default=None))
    dated = [end for end in ends if end]
    return min(dated) if len(dated) == len(ends) else None


def _run(run: Node, tool: Node) -> Iterator[Finding]:
    for invocation in run.objects("invocations"):
        if not invocation_ended_well(invocation):
            raise invocation.fault("says that the scan did not end well")
    rules = [*tool.objects("rules")]
    for extension in run.child("tool").objects("extensions"):
        rules += extension.objects("rules")
    by_id = {rule.text("id"): rule for rule in rules}
    for one in run.objects("results"):
        counts = one.text("kind") in {"", "fail", "open", "review"}
        if counts and one.text("baselineState") != "absent":
            yield _finding(one, by_id, tool)


def invocation_ended_well(invocation: Node) -> bool:
    """Whether a run says that it ended well; one that says nothing is taken to have."""
    return invocation.flag("executionSuccessful", default=True)


def _finding(one: Node, rules: dict[str, Node], tool: Node) -> Finding:
    number = one.text("ruleId") or one.child("rule").need("id")
    rule = rules.get(number)
    said = _MESSAGE.search(one.child("message").text("text", limit=1 << 20))
    parts = said.groupdict() if said else {"package": "", "version": "", "fixed": ""}
    # Grype's rule is called CVE-2024-1-openssl: the vulnerability, and where it is.
    found = re.match(r"(CVE-[0-9]{4}-[0-9]{4,}|GHSA(?:-[0-9a-z]{4}){3})", number)
    package = parts["package"].strip() or (number[found.end() :].strip("-") if found else "")
    return Finding(
        found[1] if found else number,
        _severity(one, rule),
        package,
        parts["version"].strip(),
        parts["fixed"].strip(),
        tool.text("name") or FORM,
    )


def _severity(one: Node, rule: Node | None) -> str:
    """Return what ``security-severity`` says (a CVSS score), else a tag that is a severity.

    The level of a result (error, warning, note) is no severity: programs map it as they like.
    """
    places = [one.child("properties")] + ([rule.child("properties")] if rule else [])
    for facts in places:
        score = facts.text("security-severity").strip()
        if re.fullmatch(_SCORE, score):
            return severity_of_score(float(score))
        if score:
            return severity_of(score)
    for facts in places:
        for tag in facts.texts("tags"):
            if (word := severity_of(tag)) != UNKNOWN:
                return word
    return UNKNOWN
