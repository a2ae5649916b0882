"""Small artifacts and the blobs of them, as an import hands them to a target."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from bundle.artifact import SIGNATURE, Artifact, Content
from bundle.decode import compact_json
from bundle.digest import BLOCK, Digest, verified
from bundle.errors import PartlyDone

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
EMPTY = "application/vnd.oci.empty.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
FILE = "application/vnd.dray.file.v1"


@dataclass
class Sample:
    """Bytes as they lie on a medium that may be bad; satisfies the Blob protocol.

    ``stop`` ends the first reading after so many bytes; ``read_bytes`` counts what was read.
    """

    data: bytes
    digest: Digest
    size: int
    stop: int | None = None
    read_bytes: int = 0

    def blocks(self, *, offset: int = 0, sha: hashlib._Hash | None = None) -> Iterator[bytes]:
        plain = self._plain(offset)
        yield from verified(
            plain, digest=self.digest, size=self.size, what="the sample", start=offset, sha=sha
        )

    def read(self) -> bytes:
        return b"".join(self.blocks())

    def _plain(self, offset: int) -> Iterator[bytes]:
        while offset < len(self.data):
            if self.stop is not None and offset >= self.stop:
                raise PartlyDone("interrupted")
            block = self.data[offset : offset + BLOCK]
            offset += len(block)
            self.read_bytes += len(block)
            yield block


@dataclass
class Shelf:
    """All bytes that the samples of one test are made of."""

    data: dict[Digest, bytes] = field(default_factory=dict)

    def add(self, data: bytes, **what: Any) -> Content:
        digest = Digest.of(data)
        self.data[digest] = data
        return Content(digest=digest, size=len(data), **what)

    def blob(self, digest: Digest) -> Sample:
        return Sample(self.data[digest], digest, len(self.data[digest]))

    def bad(self, digest: Digest) -> Sample:
        """The blob with its last byte flipped."""
        data = self.data[digest]
        return Sample(data[:-1] + bytes([data[-1] ^ 1]), digest, len(data))

    def cut_off(self, digest: Digest, stop: int) -> Sample:
        """The blob, of whose bytes ``stop`` come before the run is interrupted."""
        return Sample(self.data[digest], digest, len(self.data[digest]), stop=stop)

    def image(
        self, name: str, tag: str, layers: Mapping[str, bytes], *, kind: str = "image"
    ) -> Artifact:
        """One platform's image; the keys of ``layers`` only tell them apart."""
        contents = [
            self.add(data, role="layer", media_type=LAYER) for _key, data in sorted(layers.items())
        ]
        contents = list({content.digest: content for content in contents}.values())
        config = self.add(compact_json({"of": name}), role="config", media_type=CONFIG)
        body = {"schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor(config)}
        data = compact_json({**body, "layers": [descriptor(layer) for layer in contents]})
        tags = (tag,) if tag else ()
        manifest = self.add(data, role="manifest", media_type=MANIFEST, tags=tags)
        every = (*contents, config, manifest)
        shown = f"nvcr.io/{name}:{tag}"
        return Artifact(kind, shown, f"nvcr.io/{name}", tag, manifest.digest, every)

    def index(self, name: str, tag: str, images: Mapping[str, Artifact]) -> Artifact:
        """An index over images of other platforms."""
        contents: dict[Digest, Content] = {}
        entries = []
        for platform, image in images.items():
            contents |= {content.digest: content for content in image.contents}
            root = contents[image.root]
            system, machine = platform.split("/")
            where = {"os": system, "architecture": machine}
            entries.append({**descriptor(root), "platform": where})
        data = compact_json({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries})
        index = self.add(data, role="index", media_type=INDEX, tags=(tag,))
        every = (*contents.values(), index)
        shown = f"nvcr.io/{name}:{tag}"
        return Artifact("image", shown, f"nvcr.io/{name}", tag, index.digest, every)

    def signed(self, image: Artifact, text: bytes) -> Artifact:
        """The image with one more manifest that has it as its subject."""
        layer = self.add(text, role="layer", media_type="text/plain")
        config = self.add(b"{}", role="config", media_type=EMPTY)
        root = next(content for content in image.contents if content.digest == image.root)
        body = {"schemaVersion": 2, "mediaType": MANIFEST, "artifactType": "application/test.sig"}
        body |= {"config": descriptor(config), "layers": [descriptor(layer)]}
        data = compact_json({**body, "subject": descriptor(root), "annotations": {"by": "test"}})
        manifest = self.add(data, role="manifest", media_type=MANIFEST, subject=image.root)
        contents = (*image.contents, layer, config, manifest)
        return Artifact(
            image.kind, image.name, image.repository, image.version, image.root, contents
        )

    def signed_model(
        self, name: str, version: str, files: Mapping[str, bytes], signature: bytes
    ) -> Artifact:
        """A model, and its publisher's signature as a referrer of its manifest."""
        model = self.model(name, version, files)
        root = next(content for content in model.contents if content.digest == model.root)
        layer = self.add(signature, role="layer", media_type=SIGNATURE)
        config = next(content for content in model.contents if content.role == "config")
        body = {"schemaVersion": 2, "mediaType": MANIFEST, "artifactType": SIGNATURE}
        body |= {"config": descriptor(config), "layers": [descriptor(layer)]}
        data = compact_json({**body, "subject": descriptor(root)})
        manifest = self.add(data, role="manifest", media_type=MANIFEST, subject=root.digest)
        return replace(model, contents=(*model.contents, layer, manifest))

    def model(
        self, name: str, version: str, files: Mapping[str, bytes], *, kind: str = "model"
    ) -> Artifact:
        """A file set; the keys of ``files`` are paths."""
        contents = [
            self.add(data, role="file", media_type=FILE, path=path)
            for path, data in sorted(files.items())
        ]
        config = self.add(b"{}", role="config", media_type=EMPTY)
        body = {"schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor(config)}
        layers = [
            {**descriptor(c), "annotations": {"org.opencontainers.image.title": c.path}}
            for c in contents
        ]
        data = compact_json({**body, "layers": layers, "annotations": {"of": f"{name} {version}"}})
        manifest = self.add(data, role="manifest", media_type=MANIFEST, tags=(version,))
        every = (*contents, config, manifest)
        shown = f"ngc/{name}:{version}"
        return Artifact(kind, shown, f"ngc/{name}", version, manifest.digest, every)


def descriptor(content: Content) -> dict[str, Any]:
    """Return the OCI descriptor of a content."""
    body = {"mediaType": content.media_type, "digest": str(content.digest)}
    return {**body, "size": content.size}


def noise(size: int, seed: str = "") -> bytes:
    """Return bytes that look random and are the same every time."""
    block = b"".join(hashlib.sha256(f"{seed}{n}".encode()).digest() for n in range(2048))
    return (block * (size // len(block) + 1))[:size]


def ignore(_count: int) -> None:
    """Take progress and do nothing with it."""


def fill(
    target: Any, artifact: Artifact, shelf: Shelf, blob: Callable[..., Any] | None = None
) -> None:
    """Put what the target lacks, as an import does."""
    for content in artifact.contents:
        if content.role not in {"manifest", "index"} and not target.has(artifact, content):
            target.put(artifact, content, (blob or shelf.blob)(content.digest), ignore)
