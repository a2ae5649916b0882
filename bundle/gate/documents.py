"""Documents of others about an artifact: told apart by what is in them, and unwrapped.

An in-toto statement (in a DSSE envelope, in a Sigstore bundle) is opened, and its signature is not
looked at: what an artifact carries is vouched for by whoever signed the bundle.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from bundle.gate import cyclonedx, foreign, grype, harbor, sarif, spdx, trivy, vex
from bundle.gate.foreign import Node, Unreadable, digests, read

if TYPE_CHECKING:
    from bundle.gate.finding import Report


class _Form(Protocol):
    def is_one(self, document: Node) -> bool: ...

    def report(self, document: Node) -> Report: ...


FORMS: tuple[_Form, ...] = (cyclonedx, trivy, grype, harbor, sarif)
"""The forms of reports."""
REPORT, VEX, SBOM = "report", "vex", "sbom"
_STATEMENT = "https://in-toto.io/Statement/"
_WRAPS = 4


@dataclass(frozen=True, slots=True)
class Known:
    """A document of a known form: what it is good for, and the digests of what it is about."""

    uses: frozenset[str]
    document: Node
    about: frozenset[str] = frozenset()

    def report(self) -> Report:
        """Read it as a report; raise :class:`Unreadable`."""
        return _form(self.document).report(self.document)


def report(data: bytes, what: str) -> Report:
    """Return the report in ``data``, of whichever form; ``what`` names it in messages.

    Raises :class:`Unreadable`, for an SBOM without vulnerabilities too.
    """
    found = open_document(data, what)
    if found is None or REPORT not in found.uses:
        hint = "known: Trivy, Grype, SARIF 2.1.0, CycloneDX with vulnerabilities, Harbor's own"
        raise Unreadable(f"{what} is no report of vulnerabilities of a known form", hint=hint)
    return found.report()


def open_document(data: bytes, what: str) -> Known | None:
    """Return a document with what wraps it taken off, None for a form that is not known here.

    Raises :class:`Unreadable` for what is no JSON, or is wrapped wrongly.
    """
    document, about = read(data, what), frozenset[str]()
    for _ in range(_WRAPS):
        inner, named = _unwrapped(document)
        about |= named
        if inner is None:
            break
        document = inner
    uses = _uses(document)
    return Known(uses, document, about) if uses else None


def _uses(document: Node) -> frozenset[str]:
    if vex.is_one(document):
        return frozenset({VEX})
    if spdx.is_one(document):
        return frozenset({SBOM})
    if cyclonedx.is_one(document):
        return frozenset({SBOM, REPORT} if cyclonedx.is_report(document) else {SBOM})
    return frozenset({REPORT} if any(form.is_one(document) for form in FORMS) else ())


def _form(document: Node) -> _Form:
    return next(form for form in FORMS if form.is_one(document))


def _unwrapped(document: Node) -> tuple[Node | None, frozenset[str]]:
    """Return what is in an envelope or a statement, and which digests the statement is about."""
    if "dsseEnvelope" in document:
        return document.child("dsseEnvelope"), frozenset()
    if "payloadType" in document and "payload" in document:
        text = document.text("payload", limit=foreign.LIMIT)
        try:
            return read(base64.b64decode(text, validate=True), document.what), frozenset()
        except ValueError:
            raise document.fault("is not base64", "payload") from None
    if not document.text("_type").startswith(_STATEMENT) or "predicate" not in document:
        return None, frozenset()
    sums = [one.child("digest").text("sha256") for one in document.objects("subject")]
    inner = document.child("predicate")
    # cosign's vuln predicate holds the report of its scanner (specs/COSIGN_VULN_ATTESTATION_SPEC).
    scanner = inner.child("scanner") if "scanner" in inner and "metadata" in inner else None
    if scanner and "result" in scanner:
        inner = scanner.child("result")
    # Older attestations of SBOMs keep them one step further in.
    elif "Data" in inner and not inner.is_text("Data"):
        inner = inner.child("Data")
    return inner, digests(*(f"sha256:{one}" for one in sums))
