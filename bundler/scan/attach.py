"""What a scanner wrote, as referrers of the image in the lock; its next words take their place."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bundle import instant
from bundle.artifact import Content
from bundle.decode import compact_json
from bundle.digest import Digest
from bundle.fileset import EMPTY, MANIFEST, described
from bundler.lock import LockedContent

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from bundler.lock import LockedArtifact

SCANNER = "com.nvidia.dray.scanner"
"""The annotation of a referrer that names the scanner and its version."""
CREATED = "org.opencontainers.image.created"
_CONFIG = b"{}"


@dataclass(frozen=True, slots=True)
class Document:
    """A report or an SBOM about the manifest ``subject``, by ``tool``, made at ``made``."""

    subject: Content
    media_type: str
    data: bytes
    tool: str
    version: str
    made: datetime

    @property
    def digest(self) -> Digest:
        """The digest of the document."""
        return Digest.of(self.data)


def attach(locked: LockedArtifact, documents: Sequence[Document]) -> LockedArtifact:
    """Return the artifact with the documents, and without what the same scanners said before."""
    tools = {document.tool for document in documents}
    kept = _without(locked.contents, tools)
    added = [item for document in documents for item in _referrer(document)]
    there = {item.content.digest for item in kept}
    fresh: dict[Digest, LockedContent] = {}
    for item in added:
        if item.content.digest not in there:
            fresh.setdefault(item.content.digest, item)
    contents = (*kept, *fresh.values())
    artifact = replace(locked.artifact, contents=tuple(item.content for item in contents))
    return replace(locked, artifact=artifact, contents=contents)


def tools_of(locked: LockedArtifact, subject: Digest) -> dict[str, datetime]:
    """Return which scanners have documents about a manifest in the lock, and of when."""
    found: dict[str, datetime] = {}
    for item in locked.contents:
        if item.content.subject == subject and (said := _said(item)):
            found[said[0]] = said[1]
    return found


def _referrer(document: Document) -> list[LockedContent]:
    data = document.data
    layer = Content("layer", document.media_type, document.digest, len(data))
    config = Content("config", EMPTY, Digest.of(_CONFIG), len(_CONFIG))
    version = f" {document.version}" if document.version else ""
    body = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": document.media_type,
        "config": described(config.descriptor),
        "layers": [described(layer.descriptor)],
        "subject": described(document.subject.descriptor),
        "annotations": {
            CREATED: instant.spell(document.made),
            SCANNER: f"{document.tool}{version}",
        },
    }
    text = compact_json(body)
    manifest = Content(
        "manifest", MANIFEST, Digest.of(text), len(text), subject=document.subject.digest
    )
    return [
        LockedContent(config, text=_CONFIG.decode()),
        LockedContent(layer, kept=True),
        LockedContent(manifest, text=text.decode()),
    ]


def _without(contents: Sequence[LockedContent], tools: set[str]) -> list[LockedContent]:
    """Return the contents without what ``tools`` have said, and what only that referred to."""
    gone: set[Digest] = set()
    used: set[str] = set()
    for item in contents:
        said = _said(item)
        mine = said is not None and said[0] in tools
        if mine:
            gone.add(item.content.digest)
        if said:
            layers = {str(row["digest"]) for row in json.loads(item.text or "")["layers"]}
            used |= set() if mine else layers
    return [
        item
        for item in contents
        if item.content.digest not in gone
        and not (item.kept and str(item.content.digest) not in used)
    ]


def _said(item: LockedContent) -> tuple[str, datetime] | None:
    """Return which scanner a referrer of ours is by, and of when; None for any other content."""
    if item.content.role != "manifest" or item.text is None:
        return None
    try:
        notes = json.loads(item.text)["annotations"]
        return notes[SCANNER].partition(" ")[0], instant.parse(notes[CREATED])
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
