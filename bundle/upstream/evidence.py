"""Signed indexes that are left behind: carried as bytes, so that their signature can be followed.

A registry refuses an index without all its children, so for one platform only its manifest goes
along; publishers sign the index. An evidence artifact refers to the manifest that is carried, and
its layers are the bytes of the index, of the manifests that sign it, and of what these hold. The
chain is: the signature names the digest of the index, the index has this digest and lists the
manifest. Format in ``schemas/README.md``, "Evidence".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bundle.digest import Digest
from bundle.errors import NotTrusted
from bundle.upstream import cosign
from bundle.upstream.envelope import fields_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bundle.decode import Fields

ARTIFACT_TYPE = "application/vnd.dray.index-evidence.v1+json"
INDEX = "application/vnd.dray.evidence.index.v1+json"
SIGNATURE = "application/vnd.dray.evidence.signature.v1+json"
"""The media types of the layers: not those that a registry would take for manifests."""
MANIFEST_LIMIT = 4 << 20
"""Bytes of a manifest or an index (OCI distribution-spec, "Pushing Manifests")."""


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer as a manifest describes it; the annotations are those that cosign writes."""

    media_type: str
    digest: Digest
    size: int
    signature: str = ""
    keyless: bool = False


@dataclass(frozen=True, slots=True)
class Form:
    """What a manifest that refers to another says of itself; of its children, where an index."""

    artifact_type: str
    config_type: str
    layers: tuple[Layer, ...]
    children: tuple[tuple[Digest, int], ...]


def read(data: bytes, where: str) -> Form:
    """Read a manifest or an index for what signatures need; raise :class:`NotTrusted` for others.

    Its bytes were checked against a digest that is pinned; what it says is not believed for that.
    """
    fields = fields_of(data, where, MANIFEST_LIMIT)

    def layer(item: Fields) -> Layer:
        notes = item.child("annotations")
        return Layer(
            item.text("mediaType", "", limit=255),
            item.digest("digest"),
            item.integer("size"),
            notes.text(cosign.SIGNATURE, "", limit=8192),
            cosign.CERTIFICATE in notes,
        )

    layers = tuple(layer(item) for item in fields.objects("layers"))
    children = tuple(
        (item.digest("digest"), item.integer("size")) for item in fields.objects("manifests")
    )
    config = fields.child("config").text("mediaType", "", limit=255)
    return Form(fields.text("artifactType", "", limit=255), config, layers, children)


def index_of(index: bytes, root: Digest, size: int, where: str) -> Digest:
    """Return the digest of an index; raise :class:`NotTrusted` unless it lists the manifest."""
    if (root, size) not in read(index, where).children:
        raise NotTrusted(f"{where}: the index does not list {root}")
    return Digest.of(index)


def only(layers: Sequence[Layer], media_type: str, where: str) -> Layer:
    """Return the one layer of a type."""
    found = [layer for layer in layers if layer.media_type == media_type]
    if len(found) != 1:
        raise NotTrusted(f"{where} has {len(found)} layers of type {media_type}, not one")
    return found[0]
