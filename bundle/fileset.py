"""The OCI manifests of what is no OCI content: the same files give the same bytes, on either side.

Format in ``schemas/README.md``, "OCI artifacts for what is no OCI content".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from bundle.artifact import SIGNATURE
from bundle.decode import compact_json
from bundle.digest import Descriptor, Digest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bundle.artifact import Artifact, Content

MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
EMPTY: Final = "application/vnd.oci.empty.v1+json"
"""The media type of a config that says nothing: ``{}`` (OCI image-spec, manifest.md)."""
FILE: Final = "application/vnd.dray.file.v1"
TITLE: Final = "org.opencontainers.image.title"
VERSION: Final = "org.opencontainers.image.version"
SOURCE: Final = "com.nvidia.dray.source"
SIGNATURE_NAME: Final = "result.sigstore"
"""What NGC's own tools call the signature of a version."""
CONFIG: Final = b"{}"
_CONFIG = Descriptor(EMPTY, Digest.of(CONFIG), len(CONFIG))


def body(kind: str, name: str, version: str, files: Iterable[Content]) -> dict[str, Any]:
    """Return the manifest of these files, which are in order of path, but for its config."""
    return {
        "artifactType": f"application/vnd.dray.{kind}.v1",
        "layers": [
            {**described(file.descriptor), "annotations": {TITLE: file.path}} for file in files
        ],
        "annotations": {SOURCE: name, VERSION: version},
    }


def manifest(document: dict[str, Any], config: Descriptor = _CONFIG) -> bytes:
    """Return the bytes of a manifest around its ``document``."""
    return compact_json(
        {"schemaVersion": 2, "mediaType": MANIFEST, **document, "config": described(config)}
    )


def signature(layer: Descriptor, root: Descriptor) -> bytes:
    """Return the manifest of the publisher's signature: a referrer of that of the files."""
    title = {TITLE: SIGNATURE_NAME}
    document = {
        "artifactType": SIGNATURE,
        "layers": [{**described(layer), "annotations": title}],
        "subject": described(root),
    }
    return manifest(document)


def derived(artifact: Artifact) -> dict[Digest, bytes]:
    """Return what of an artifact of files is no file: the config, and manifests, by digest.

    What was packed by other rules than these has other digests, and is not among them.
    """
    files = sorted(artifact.files, key=lambda file: file.path)
    made = [CONFIG, manifest(body(artifact.kind, artifact.name, artifact.version, files))]
    root = Descriptor(MANIFEST, Digest.of(made[1]), len(made[1]))
    if found := artifact.signature:
        made.append(signature(found.descriptor, root))
    return {Digest.of(data): data for data in made}


def described(descriptor: Descriptor) -> dict[str, object]:
    """Return a descriptor as manifests spell it."""
    return {
        "mediaType": descriptor.media_type,
        "digest": str(descriptor.digest),
        "size": descriptor.size,
    }
