"""Reports of Trivy in its own JSON (pkg/types/report.go, SchemaVersion 2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bundle.gate.finding import Finding, Report, severity_of
from bundle.gate.foreign import digests

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bundle.gate.foreign import Node

FORM = "trivy"


def is_one(document: Node) -> bool:
    """Whether a document has this form."""
    return "SchemaVersion" in document and "ArtifactName" in document


def report(document: Node) -> Report:
    """Read a report; raise :class:`bundle.gate.foreign.Unreadable`.

    Vulnerabilities count, and the secrets and failed checks that the scanner was asked for.
    """
    if document.text("SchemaVersion") != "2":
        raise document.fault(f"is version {document.text('SchemaVersion')!r}, not 2")
    facts, tool = document.child("Metadata"), document.child("Trivy")
    version = tool.text("Version")
    return Report(
        FORM,
        f"Trivy {version}".strip(),
        document.moment("CreatedAt"),
        tuple(_findings(document)),
        digests(facts.text("ImageID"), document.text("ArtifactName"), *facts.texts("RepoDigests")),
    )


def _findings(document: Node) -> Iterator[Finding]:
    for result in document.objects("Results"):
        for one in result.objects("Vulnerabilities"):
            yield _vulnerability(one)
        for one in result.objects("Secrets"):
            severity, where = severity_of(one.text("Severity")), result.text("Target")
            yield Finding(one.need("RuleID"), severity, where, source=FORM)
        for one in result.objects("Misconfigurations"):
            if one.text("Status") != "PASS":
                number = one.text("ID") or one.need("AVDID")
                severity, where = severity_of(one.text("Severity")), result.text("Target")
                yield Finding(number, severity, where, source=FORM)


def _vulnerability(one: Node) -> Finding:
    return Finding(
        one.need("VulnerabilityID"),
        severity_of(one.text("Severity")),
        one.text("PkgName"),
        one.text("InstalledVersion"),
        one.text("FixedVersion"),
        FORM,
        one.child("PkgIdentifier").text("PURL"),
        one.texts("VendorIDs"),
    )
