"""Reports of Grype in its own JSON (grype/presenter/models/document.go)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bundle.gate.finding import Finding, Report, severity_of
from bundle.gate.foreign import digests

if TYPE_CHECKING:
    from bundle.gate.foreign import Node

FORM = "grype"


def is_one(document: Node) -> bool:
    """Whether a document has this form."""
    return "matches" in document and "descriptor" in document


def report(document: Node) -> Report:
    """Read a report; raise :class:`bundle.gate.foreign.Unreadable`.

    What Grype was told to ignore is not among its matches, and does not count.
    """
    made = document.child("descriptor")
    if made.text("name") not in {"", "grype"}:
        raise document.fault(f"is by {made.text('name')[:40]!r}, not by grype", "descriptor")
    source = document.child("source")
    about = (
        # Of a folder or a file the target is a path.
        source.child("target") if source.text("type") == "image" else source
    )
    names = [about.text(key) for key in ("userInput", "imageID", "manifestDigest")]
    return Report(
        FORM,
        f"Grype {made.text('version')}".strip(),
        made.moment("timestamp"),
        tuple(_finding(one) for one in document.objects("matches")),
        digests(*names, *about.texts("repoDigests")),
    )


def _finding(match: Node) -> Finding:
    about, package = match.child("vulnerability"), match.child("artifact")
    others = tuple(one.need("id") for one in match.objects("relatedVulnerabilities"))
    fixed = ", ".join(about.child("fix").texts("versions"))
    return Finding(
        about.need("id"),
        severity_of(about.text("severity")),
        package.text("name"),
        package.text("version"),
        fixed[:500],
        FORM,
        package.text("purl"),
        tuple(name for name in others if name != about.text("id")),
    )
