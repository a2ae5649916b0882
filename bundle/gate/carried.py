"""What an artifact carries about itself: reports, VEX and SBOMs that refer to it.

Looked at are OCI referrers, cosign's ``.att`` and ``.sbom`` tags, and BuildKit's attestations in an
index. What calls itself one of these and cannot be read is a fault: it may be the report that
lists what must not pass.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bundle.errors import NotTrusted
from bundle.gate import documents, vex
from bundle.gate.documents import REPORT, SBOM, VEX, Known
from bundle.gate.foreign import LIMIT, Unreadable
from bundle.gate.spdx import Declared, declared
from bundle.upstream import evidence

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bundle.artifact import Artifact, Content
    from bundle.gate.finding import Report
    from bundle.gate.vex import Vex

MOST = 256
"""Documents of an artifact that are read."""
_LICENSE_NOTE = "org.opencontainers.image.licenses"
_CHART_NOTE = "artifacthub.io/license"
_CHART = "application/vnd.cncf.helm.config.v1+json"
_UNKNOWN = "unknown/unknown"
_CONFIG_LIMIT = 1 << 20


@dataclass(frozen=True, slots=True)
class Evidence:
    """A report, and which manifests of the artifact it is about; ``where`` is for people."""

    report: Report
    subjects: frozenset[str]
    where: str


@dataclass
class Carried:
    """What was found. ``faults`` are documents that cannot be read."""

    reports: list[Evidence] = field(default_factory=list)
    vex: list[Vex] = field(default_factory=list)
    licenses: list[Declared] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def machines(artifact: Artifact) -> list[Content]:
    """Return the manifests that are run: of each platform, or the root where there is one alone."""
    found = [
        content
        for content in artifact.manifests
        if content.role == "manifest"
        and content.subject is None
        and content.platform not in {"", _UNKNOWN}
    ]
    return found or [content for content in artifact.manifests if content.digest == artifact.root]


def find(artifact: Artifact, read: Callable[[Content], bytes]) -> Carried:
    """Return what an artifact carries about itself.

    ``read`` returns bytes that were checked against the digest, and may raise what reading raises.
    """
    return _Finder(artifact, read).all()


@dataclass
class _Finder:
    artifact: Artifact
    read: Callable[[Content], bytes]
    found: Carried = field(default_factory=Carried)

    def all(self) -> Carried:
        run = {content.digest for content in machines(self.artifact)}
        self.by_digest = {content.digest: content for content in self.artifact.contents}
        known = {str(content.digest) for content in self.artifact.manifests}
        number = 0
        for manifest in self.artifact.manifests:
            if manifest.role != "manifest" or manifest.digest in run:
                continue
            subject = str(manifest.subject or _tagged(manifest) or self.artifact.root)
            for content in self._layers(manifest):
                number += 1
                if number > MOST:
                    self.found.faults.append(f"it carries more than {MOST} documents")
                    return self.found
                self._take(content, subject, known)
        self._own_license()
        return self.found

    def _layers(self, manifest: Content) -> Iterator[Content]:
        """Yield the contents of a manifest that may be documents."""
        try:
            where = f"the referrer {manifest.digest.short}"
            form = evidence.read(self.read(manifest), where)
        except NotTrusted:
            return  # nothing that this artifact's registry would list as a report
        for layer in form.layers:
            content = self.by_digest.get(layer.digest)
            if content and layer.media_type.endswith(("json", "+sarif")):
                yield content

    def _take(self, content: Content, subject: str, known: set[str]) -> None:
        what = f"the document {content.digest.short} that it carries"
        try:
            if content.size > LIMIT:
                raise Unreadable(f"{what} is larger than {LIMIT} bytes")
            document = documents.open_document(self.read(content), what)
            if document is not None:
                self._keep(document, subject, known, what)
        except Unreadable as error:
            self.found.faults.append(error.message)

    def _keep(self, document: Known, subject: str, known: set[str], what: str) -> None:
        subjects = (document.about & known) or frozenset({subject})
        if REPORT in document.uses:
            self.found.reports.append(Evidence(document.report(), subjects, what))
        if VEX in document.uses:
            self.found.vex.append(vex.vex(document.document, only=self.artifact.name))
        if SBOM in document.uses:
            self.found.licenses += declared(document.document)

    def _own_license(self) -> None:
        """Take what a chart and an image say of their own licence."""
        for content in self.artifact.contents:
            text = ""
            if content.media_type == _CHART:
                text = self._note(content, _CHART_NOTE)
            elif content.digest == self.artifact.root:
                text = self._note(content, _LICENSE_NOTE)
            if text:
                self.found.licenses.append(Declared(self.artifact.name, text, "annotation"))

    def _note(self, content: Content, key: str) -> str:
        if content.size > _CONFIG_LIMIT:
            return ""
        try:
            notes = json.loads(self.read(content)).get("annotations")
            value = notes.get(key) if isinstance(notes, dict) else None
        except (ValueError, RecursionError, AttributeError, NotTrusted):
            return ""
        return value[:4096] if isinstance(value, str) else ""


def _tagged(manifest: Content) -> str:
    """Return what cosign's tag is about: ``sha256-<hex>.att``."""
    for tag in manifest.tags:
        head, _, ending = tag.rpartition(".")
        if ending in {"att", "sbom"} and head.startswith("sha256-"):
            return head.replace("-", ":", 1)
    return ""
