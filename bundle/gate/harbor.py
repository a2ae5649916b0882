"""Harbor's own report, ``application/vnd.security.vulnerability.report; version=1.1``.

Source: goharbor/pluggable-scanner-spec, ``api/spec/scanner-adapter-openapi-v1.1.yaml``; and
goharbor/harbor, ``src/pkg/scan/vuln/report.go``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bundle.gate.finding import Finding, Report, severity_of
from bundle.gate.foreign import digests

if TYPE_CHECKING:
    from bundle.gate.foreign import Node

FORM = "harbor"


def is_one(document: Node) -> bool:
    """Whether a document has this form."""
    return "generated_at" in document and ("scanner" in document or "vulnerabilities" in document)


def report(document: Node) -> Report:
    """Read a report; raise :class:`bundle.gate.foreign.Unreadable`."""
    scanner = document.child("scanner")
    return Report(
        FORM,
        f"{scanner.text('name')} {scanner.text('version')}".strip(),
        document.moment("generated_at"),
        tuple(_finding(one, scanner) for one in document.objects("vulnerabilities")),
        digests(document.child("artifact").text("digest")),
    )


def _finding(one: Node, scanner: Node) -> Finding:
    return Finding(
        one.need("id"),
        severity_of(one.text("severity")),
        one.text("package"),
        one.text("version"),
        one.text("fix_version"),
        scanner.text("name").lower() or FORM,
    )
