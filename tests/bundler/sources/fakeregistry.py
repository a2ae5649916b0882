"""A registry in memory, with those methods of the real one that resolving uses."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bundle.digest import Descriptor, Digest
from bundle.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bundle.transfer import OpenRange

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


@dataclass
class FakeRegistry:
    """One repository's content; ``refers`` is what the referrers API says."""

    manifests: dict[str, tuple[Descriptor, bytes]] = field(default_factory=dict)
    blobs: dict[Digest, bytes] = field(default_factory=dict)
    refers: dict[Digest, list[Descriptor]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    # -- what the registry is asked ---------------------------------------------------------------

    def manifest(self, _repository: str, reference: str) -> tuple[Descriptor, bytes]:
        self.asked.append(reference)
        if reference not in self.manifests:
            raise NotFound(f"no manifest {reference}")
        return self.manifests[reference]

    def tags(self, _repository: str) -> list[str]:
        return [name for name in self.manifests if not name.startswith("sha256:")]

    def referrers(self, _repository: str, digest: Digest) -> list[Descriptor]:
        return self.refers.get(digest, [])

    def opener(self, _repository: str, descriptor: Descriptor) -> OpenRange:
        @contextmanager
        def open_at(offset: int, end: int | None = None) -> Iterator[Iterator[bytes]]:
            yield iter([self.blobs[descriptor.digest][offset:end]])

        return open_at

    # -- what a publisher pushes ------------------------------------------------------------------

    def blob(self, data: bytes, media_type: str = LAYER) -> dict[str, Any]:
        digest = Digest.of(data)
        self.blobs[digest] = data
        return {"mediaType": media_type, "digest": digest, "size": len(data)}

    def push(self, body: dict[str, Any], media_type: str, *tags: str) -> Descriptor:
        data = json.dumps({"schemaVersion": 2, "mediaType": media_type, **body}).encode()
        found = Descriptor(media_type, Digest.of(data), len(data))
        for name in (found.digest, *tags):
            self.manifests[name] = (found, data)
        return found

    def image(
        self,
        name: str,
        *tags: str,
        platform: str = "linux/amd64",
        subject: Descriptor | None = None,
    ) -> Descriptor:
        system, _, machine = platform.partition("/")
        config = json.dumps({"os": system, "architecture": machine, "name": name}).encode()
        body: dict[str, Any] = {"config": self.blob(config, CONFIG)}
        body["layers"] = [self.blob(f"layer of {name}".encode())]
        if subject:
            body["subject"] = spelt(subject)
        found = self.push(body, MANIFEST, *tags)
        if subject:
            self.refers.setdefault(subject.digest, []).append(found)
        return found

    def index(self, *tags: str, **images: Descriptor) -> Descriptor:
        """Push an index; a name such as ``linux_arm64`` is its platform, ``att_…`` attests."""
        children = []
        first = next(iter(images.values()), None)
        for name, one in images.items():
            child: dict[str, Any] = spelt(one)
            system, _, machine = name.partition("_")
            if name.startswith("att"):
                child["platform"] = {"os": "unknown", "architecture": "unknown"}
                assert first
                child["annotations"] = {"vnd.docker.reference.digest": first.digest}
            elif name != "none":
                child["platform"] = {"os": system, "architecture": machine}
            children.append(child)
        return self.push({"manifests": children}, INDEX, *tags)


def spelt(one: Descriptor, size: int | None = None) -> dict[str, Any]:
    """Return a descriptor as manifests spell it; ``size`` is a lie about its bytes."""
    return {
        "mediaType": one.media_type,
        "digest": one.digest,
        "size": one.size if size is None else size,
    }
