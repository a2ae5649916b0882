"""CycloneDX in JSON: its vulnerabilities (bom-1.4 to 1.7, ``vulnerabilities``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bundle.gate.finding import (
    RANK,
    UNKNOWN,
    Finding,
    Report,
    severity_of,
    severity_of_score,
)
from bundle.gate.foreign import digests

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bundle.gate.foreign import Node

FORM = "cyclonedx"


def is_one(document: Node) -> bool:
    """Whether a document has this form."""
    return document.text("bomFormat") == "CycloneDX"


def is_report(document: Node) -> bool:
    """Whether it lists vulnerabilities: programs write an empty list into an SBOM as well.

    So an empty one is not taken for a scan that has found nothing.
    """
    return any(True for _item in document.items("vulnerabilities"))


def report(document: Node) -> Report:
    """Read a report; raise :class:`bundle.gate.foreign.Unreadable`.

    ``analysis`` in it is the word of whoever wrote the report, and suppresses nothing.
    """
    facts = document.child("metadata")
    packages = {one.text("bom-ref"): one for one in components(document)}
    found = tuple(
        finding for one in document.objects("vulnerabilities") for finding in _each(one, packages)
    )
    about = facts.child("component")
    names = [about.text(key) for key in ("name", "version", "purl", "bom-ref")]
    names += [one.text("value") for one in about.objects("properties")]
    return Report(FORM, _tool(facts), facts.moment("timestamp"), found, digests(*names))


def components(document: Node) -> Iterator[Node]:
    """Yield every component, those within others too."""
    waiting = [document]
    while waiting:
        for one in waiting.pop().objects("components"):
            waiting.append(one)
            yield one


def _tool(facts: Node) -> str:
    # Up to 1.4 a list of tools; from 1.5 on an object with components.
    if facts.is_list("tools"):
        tools = list(facts.objects("tools"))
    else:
        tools = list(facts.child("tools").objects("components"))
    return f"{tools[0].text('name')} {tools[0].text('version')}".strip() if tools else ""


def _each(one: Node, packages: dict[str, Node]) -> Iterator[Finding]:
    """Yield a finding for each component that it affects; one of no package where none is named."""
    number = one.need("id")
    others = tuple(dict.fromkeys(ref.text("id") for ref in one.objects("references")))
    aliases = tuple(name for name in others if name and name != number)
    for ref in [row.text("ref") for row in one.objects("affects")] or [""]:
        package = packages.get(ref)
        purl = package.text("purl") if package else ref
        yield Finding(
            number,
            _severity(one),
            package.text("name") if package else ref[:512],
            package.text("version") if package else "",
            _fixed(one),
            FORM,
            purl if purl.startswith("pkg:") else "",
            aliases,
        )


def _severity(one: Node) -> str:
    """Return the worst of the ratings; a score counts where no word is written."""
    found = []
    for rating in one.objects("ratings"):
        word = severity_of(rating.text("severity"))
        if word == UNKNOWN and (score := _number(rating.text("score"))) is not None:
            word = severity_of_score(score)
        found.append(word)
    known = [word for word in found if word != UNKNOWN]
    return max(known, key=RANK.__getitem__) if known else UNKNOWN


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _fixed(one: Node) -> str:
    # 1.4 has no field for it; programs write "Upgrade openssl to version 3.0.2" as recommendation.
    return one.text("recommendation", limit=100_000)[:200]
