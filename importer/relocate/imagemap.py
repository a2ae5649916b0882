"""image-map.json: source names, target names and digests, for machines and for scanners.

Format: ``schemas/README.md``, "The image map".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bundle.decode import dump_json
from importer.relocate.world import Emitted

if TYPE_CHECKING:
    from bundle.artifact import Content
    from importer.relocate.world import Stored, Tree, World

FILE = "image-map.json"
_ABOUT = "`image-map.json` lists every source name with its name at the target, and all digests.\n"


def emit(world: World) -> Emitted:
    """Return ``image-map.json``, whatever there is."""
    stored = (*world.images, *world.charts, *world.models)
    body = {
        "apiVersion": "dray/v1",
        "kind": "ImageMap",
        "receipts": [{"bundle": name, "digest": str(digest)} for name, digest in world.receipts],
        "artifacts": [_stored(one) for one in stored],
        "files": [_tree(one) for one in world.trees],
    }
    return Emitted({FILE: dump_json(body)}, _ABOUT)


def _stored(one: Stored) -> dict[str, Any]:
    artifact = one.artifact
    children = [c for c in artifact.manifests if c.digest != artifact.root]
    return {
        "kind": artifact.kind,
        "source": artifact.name,
        "sourceRepository": one.source,
        "target": one.reference,
        "targetRepository": one.target,
        "tags": list(one.tags),
        "digest": str(artifact.root),
        "children": [_child(content) for content in children],
    }


def _child(content: Content) -> dict[str, Any]:
    body: dict[str, Any] = {"digest": str(content.digest), "mediaType": content.media_type}
    if content.platform:
        body["platform"] = content.platform
    if content.tags:
        body["tags"] = list(content.tags)
    if content.subject:
        body["subject"] = str(content.subject)
    return body


def _tree(one: Tree) -> dict[str, Any]:
    artifact = one.artifact
    return {
        "kind": artifact.kind,
        "source": artifact.name,
        "place": one.place,
        "digest": str(artifact.root),
        "files": [
            {"path": file.path, "size": file.size, "digest": str(file.digest)}
            for file in artifact.files
        ],
    }
