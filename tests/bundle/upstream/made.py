"""Artifacts in memory with real signatures, and the keys that made them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from bundle.artifact import Artifact, Content
from bundle.digest import Digest
from bundle.upstream.keys import Keys, RawKey
from bundle.upstream.openpgp import Keyring
from fixtures import charts, signatures

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fixtures.content import Graph
    from fixtures.openpgp import PgpKey

VENDOR = signatures.signing_key("vendor")
OTHER = signatures.signing_key("other")
OCI = "application/vnd.oci.image.manifest.v1+json"


def raw(name: str = "vendor", key: Any = VENDOR) -> RawKey:
    """Return a key as a policy has it."""
    return RawKey.from_pem(name, signatures.public_pem(key), what=name)


def ring(name: str = "charts", key: PgpKey = charts.PUBLISHER) -> Keyring:
    """Return a keyring as a policy has it."""
    return Keyring.read(name, key.armored, what=name)


KEYS = Keys(raw=(raw(),))


@dataclass
class Made:
    """An artifact that grows; ``bytes`` are what its contents are."""

    kind: str
    name: str
    contents: list[Content] = field(default_factory=list)
    data: dict[Digest, bytes] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)

    def add(self, role: str, media_type: str, data: bytes, **more: Any) -> Digest:
        digest = Digest.of(data)
        self.data[digest] = data
        self.contents.append(Content(role, media_type, digest, len(data), **more))
        return digest

    def graph(self, graph: Graph, **more: Any) -> Digest:
        """Add a manifest of the fixtures with all its blobs."""
        known = {content.digest for content in self.contents}
        for blob in graph.blobs:
            if blob.digest not in known:
                self.add("layer", blob.media_type, blob.read())
        return self.add("manifest", graph.manifest.media_type, graph.manifest.read(), **more)

    def artifact(self, root: Digest) -> Artifact:
        repository, _, version = self.name.rpartition(":")
        contents = tuple(self.contents)
        made = Artifact(self.kind, self.name, repository, version, root, contents, self.notes)
        assert not made.fault()
        return made

    def read(self, content: Content) -> bytes:
        """Return a content's bytes, as whoever checks signatures reads them."""
        return self.data[content.digest]


def image(seed: str = "a") -> tuple[Made, Graph, Digest]:
    """Return an image without signatures, its graph, and its root."""
    from fixtures.content import Graph, blob, encode

    made = Made("image", "nvcr.io/nvidia/a:1")
    config = blob(json.dumps({"os": "linux", "architecture": "amd64", "for": seed}).encode(), "a/c")
    body = {"schemaVersion": 2, "mediaType": OCI, "config": config.descriptor(), "layers": []}
    graph = Graph(blob(encode(body), OCI), (config,))
    return made, graph, made.graph(graph, tags=("1",))


def tagged(made: Made, of: Graph, signature: Graph) -> None:
    """Add a cosign signature under its tag."""
    made.graph(signature, tags=(signatures.signature_tag(of),))


def model(files: Mapping[str, bytes]) -> tuple[Made, Digest]:
    """Return a model of these files, without a signature."""
    made = Made("model", "ngc/nvidia/riva:1")
    for path, data in files.items():
        made.add("file", "application/vnd.dray.file.v1", data, path=path)
    return made, made.add("manifest", OCI, json.dumps({"files": sorted(files)}).encode())


def refers(made: Made, root: Digest, media_type: str, data: bytes) -> Digest:
    """Add a referrer of ``root`` with one layer."""
    layer = {"mediaType": media_type, "digest": Digest.of(data), "size": len(data)}
    made.add("layer", media_type, data)
    body = {"artifactType": media_type, "config": {}, "layers": [layer]}
    return made.add("manifest", OCI, json.dumps(body).encode(), subject=root)


def renamed(content: Content, **changes: Any) -> Content:
    """Return a content with something else in it."""
    return replace(content, **changes)
