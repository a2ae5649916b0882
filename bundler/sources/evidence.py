"""Evidence for an index that is left behind: its bytes and its signatures, around one manifest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bundle.artifact import Content
from bundle.decode import compact_json
from bundle.digest import Descriptor, Digest
from bundle.errors import NotTrusted
from bundle.fileset import EMPTY, MANIFEST, described
from bundle.upstream import cosign, evidence
from bundle.upstream.envelope import MAX_BYTES, MEDIA_TYPES
from bundler.lock import LockedContent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bundle.upstream.evidence import Layer


def gather(
    index: bytes, child: Descriptor, about: Sequence[tuple[Descriptor, bytes]]
) -> list[LockedContent]:
    """Return the contents of an evidence artifact, the manifest last; none without a signature.

    ``about`` are the manifests that refer to the index, by a tag or as a subject. Their bytes go
    into the lock: whoever exports needs nothing from the upstream but what was signed.
    """
    signatures = [(data, layers) for found, data in about if (layers := _signed(data))]
    texts = [_text(index, evidence.INDEX)]
    texts += [_text(data, evidence.SIGNATURE) for data, _layers in signatures]
    if not signatures or None in texts:
        return []
    carried = [_text(b"{}", EMPTY, role="config"), *texts]
    carried += [
        LockedContent(Content("layer", layer.media_type, layer.digest, layer.size))
        for _data, layers in signatures
        for layer in layers
    ]
    contents = {item.content.digest: item for item in carried if item}
    return [*contents.values(), _manifest(list(contents.values()), child)]


def _signed(data: bytes) -> list[Layer]:
    """Return the layers of a manifest that hold signatures of an image."""
    try:
        form = evidence.read(data, "manifest")
    except NotTrusted:
        return []
    kinds = {cosign.SIMPLE_SIGNING, *MEDIA_TYPES}
    return [layer for layer in form.layers if layer.media_type in kinds and layer.size <= MAX_BYTES]


def _text(data: bytes, media_type: str, *, role: str = "layer") -> LockedContent | None:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return None  # no JSON then, and nothing that anybody has signed
    return LockedContent(Content(role, media_type, Digest.of(data), len(data)), text=text)


def _manifest(carried: Sequence[LockedContent], child: Descriptor) -> LockedContent:
    config, *layers = [described(item.content.descriptor) for item in carried]
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": evidence.ARTIFACT_TYPE,
        "config": config,
        "layers": layers,
        "subject": described(child),
    }
    data = compact_json(document)
    what = Content("manifest", MANIFEST, Digest.of(data), len(data), subject=child.digest)
    return LockedContent(what, text=data.decode())
