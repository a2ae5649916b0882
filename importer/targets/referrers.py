"""The fallback tag of registries without a referrers API: an index that nobody's entries leave.

Source: OCI distribution-spec 1.1, "Pushing Manifests with Subject" and "Unavailable Referrers API".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bundle.decode import compact_json, parse_json
from bundle.errors import TargetError

if TYPE_CHECKING:
    from bundle.artifact import Content

INDEX = "application/vnd.oci.image.index.v1+json"
LIMIT = 4 << 20
"""Bytes of an index that every registry takes (OCI distribution-spec, "Pushing Manifests")."""


def merge(index: bytes | None, content: Content, manifest: bytes) -> bytes:
    """Return the index with ``content`` in it, whose bytes are ``manifest``; other entries stay.

    Raises :class:`TargetError` when ``index`` is something else, or has no room.
    """
    document = _parse(index) if index is not None else _empty()
    entries = document["manifests"]
    if not any(entry.get("digest") == content.digest for entry in entries):
        entries.append(_entry(content, manifest))
    data = compact_json(document)
    if len(data) > LIMIT:
        raise TargetError(f"{_tag(content)} has no room for another entry: {len(data)} bytes")
    return data


def _entry(content: Content, manifest: bytes) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "mediaType": content.media_type,
        "digest": str(content.digest),
        "size": content.size,
    }
    try:
        document = parse_json(manifest, limit=LIMIT)
    except ValueError:
        return entry  # the registry took it: it is found by its digest, if not by its type
    if not isinstance(document, dict):
        return entry
    config = document.get("config")
    kind = document.get("artifactType") or (
        config.get("mediaType") if isinstance(config, dict) else None
    )
    if isinstance(kind, str) and kind:
        entry["artifactType"] = kind
    notes = document.get("annotations")
    if isinstance(notes, dict) and notes:
        entry["annotations"] = notes
    return entry


def _empty() -> dict[str, Any]:
    return {"schemaVersion": 2, "mediaType": INDEX, "manifests": []}


def _parse(data: bytes) -> dict[str, Any]:
    try:
        document = parse_json(data, limit=LIMIT)
    except ValueError as error:
        raise TargetError(f"a referrers tag holds no index: {error}") from None
    entries = document.get("manifests") if isinstance(document, dict) else None
    if not isinstance(document, dict) or not isinstance(entries, list):
        raise TargetError(
            "a referrers tag holds no index",
            hint="remove the tag sha256-<digest> at the registry, or update the registry",
        )
    if not all(isinstance(entry, dict) for entry in entries):
        raise TargetError("a referrers tag holds an index with an entry that is no descriptor")
    return document


def _tag(content: Content) -> str:
    return f"sha256-{content.subject.hex}" if content.subject else "the index"
