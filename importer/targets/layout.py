"""The index of an OCI image layout on disk: merged with what is there, replaced whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bundle.decode import compact_json, parse_json
from bundle.errors import TargetError
from importer.targets.base import Replaced

if TYPE_CHECKING:
    from bundle.artifact import Artifact
    from importer.targets.tree import Tree

INDEX = "index.json"
REF_NAME = "org.opencontainers.image.ref.name"
_SOURCE_NAME = "io.containerd.image.name"
"""What containerd calls an image that it imports from a layout."""
_LIMIT = 64 << 20
_LAYOUT_FILE = b'{"imageLayoutVersion":"1.0.0"}'


def entries(artifact: Artifact, repository: str) -> list[dict[str, Any]]:
    """Return the descriptors by which an artifact is found in ``index.json``.

    One for each tag (``repository:tag``), for a root without any (``repository@digest``), and for
    each manifest with a subject, which readers of a layout find there alone.
    """
    found: list[dict[str, Any]] = []
    for content in artifact.manifests:
        body = {"mediaType": content.media_type, "digest": str(content.digest)}
        descriptor: dict[str, Any] = {**body, "size": content.size}
        endings = [f":{tag}" for tag in content.tags]
        if content.digest == artifact.root and not endings:
            endings = [f"@{content.digest}"]
        for ending in endings:
            notes = {REF_NAME: repository + ending}
            if artifact.kind == "image":
                notes[_SOURCE_NAME] = artifact.repository + ending
            found.append({**descriptor, "annotations": notes})
        if content.subject and not endings:
            found.append(descriptor)
    return found


def merge(index: dict[str, Any], new: list[dict[str, Any]]) -> tuple[dict[str, Any], list[str]]:
    """Return the index with ``new`` in it, and the digests that lost their name, name by name.

    The second list has one item per entry of ``new``: the digest that had its name, or nothing.
    Entries of others stay as they are, in their order.
    """
    kept: list[dict[str, Any]] = list(index["manifests"])
    before: list[str] = []
    for entry in new:
        name = name_of(entry)
        same = [old for old in kept if name_of(old) == name and (name or old == entry)]
        others = [str(old.get("digest")) for old in same if old.get("digest") != entry["digest"]]
        before.append(others[0] if others else "")
        if same == [entry]:
            continue
        kept = [old for old in kept if old not in same]
        kept.append(entry)
    return {**index, "manifests": kept}, before


def name_of(entry: dict[str, Any]) -> str:
    """Return the name that an entry of the index has, or nothing."""
    notes = entry.get("annotations")
    return str(notes.get(REF_NAME, "")) if isinstance(notes, dict) else ""


def names(tree: Tree, folder: str) -> dict[str, str]:
    """Return the digests below ``folder`` by the names that the index has for them.

    Raises :class:`TargetError` for an index that is none.
    """
    path = f"{folder}/{INDEX}"
    data = tree.read(path, _LIMIT)
    index = _parse(data, str(tree.root / path)) if data is not None else _empty()
    found = {name_of(entry): str(entry.get("digest")) for entry in index["manifests"]}
    return {name: digest for name, digest in found.items() if name}


def publish(
    tree: Tree, folder: str, new: list[dict[str, Any]], *, through: str
) -> tuple[bool, list[Replaced]]:
    """Put ``new`` into the index below ``folder``; return whether it changed, and what it replaced.

    The caller holds the folder's lock, and every blob that is named is there. ``through`` is where
    the new index is written before it takes the old one's place.
    """
    if tree.status(f"{folder}/oci-layout") is None:
        tree.write(f"{folder}/oci-layout", _LAYOUT_FILE, through=through)
    path = f"{folder}/{INDEX}"
    data = tree.read(path, _LIMIT)
    index = _parse(data, str(tree.root / path)) if data is not None else _empty()
    merged, before = merge(index, new)
    if data is not None and merged == index:
        return False, []
    tree.write(path, compact_json(merged), through=through)
    pairs = zip(new, before, strict=True)
    return True, [Replaced(name_of(entry), old, entry["digest"]) for entry, old in pairs if old]


def _empty() -> dict[str, Any]:
    media_type = "application/vnd.oci.image.index.v1+json"
    return {"schemaVersion": 2, "mediaType": media_type, "manifests": []}


def _parse(data: bytes, where: str) -> dict[str, Any]:
    try:
        index = parse_json(data, limit=_LIMIT)
    except ValueError as error:
        raise _broken(where, str(error)) from None
    manifests = index.get("manifests") if isinstance(index, dict) else None
    if not isinstance(index, dict) or not isinstance(manifests, list):
        raise _broken(where, "no list of manifests")
    if not all(isinstance(entry, dict) for entry in manifests):
        raise _broken(where, "a manifest that is no object")
    return index


def _broken(where: str, reason: str) -> TargetError:
    return TargetError(
        f"{where} is not the index of an OCI image layout: {reason}",
        hint="move the folder away, or name another one",
    )
