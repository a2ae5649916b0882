"""NIMs: an image's model manifest, read out of its layers without pulling the image."""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING, Final

from bundle.decode import parse_json
from bundle.digest import verified
from bundle.errors import SourceError
from bundle.transfer import resume
from bundler import oci
from bundler.sources import layers, nim_manifest

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from bundle.digest import Descriptor
    from bundle.registry import Registry
    from bundler.lock import LockedArtifact
    from bundler.oci import Parsed
    from bundler.sources.nim_manifest import Profile

MANIFEST: Final = "opt/nim/etc/default/model_manifest.yaml"
PROTOCOL: Final = "com.nvidia.nim.model_download_protocol"
"""The label by which newer images say how they get their models (k8s-nim-operator)."""
NATIVE: Final = "native-v1"
_CONFIG_LIMIT: Final = 1 << 20
_ELSEWHERE: Final = "list the image under images:, and its weights under models: or hf:"


class NimReader:
    """Reads the profiles of NIM images; ``registry`` returns the client of a host."""

    def __init__(
        self,
        registry: Callable[[str], Registry],
        *,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._registry = registry
        self._sleep = sleep

    def profiles(self, image: LockedArtifact) -> tuple[Profile, ...]:
        """Return the profiles of an image that was pinned; those of all its platforms.

        Raises :class:`SourceError` for an image without a manifest, one that gets its models in
        another way, and a manifest that is not in order.
        """
        found: dict[str, Profile] = {}
        read: set[tuple[str, ...]] = set()
        for parsed in self._images(image):
            stack = tuple(str(layer.digest) for layer in parsed.layers)
            if stack not in read:
                read.add(stack)
                for profile in self._of(image, parsed):
                    found.setdefault(profile.id, profile)
        if not read:
            raise SourceError(f"{image.artifact.name} is no image", hint=_ELSEWHERE)
        return tuple(found.values())

    def _images(self, image: LockedArtifact) -> Iterator[Parsed]:
        where = image.origin.where
        registry = self._registry(where["host"])
        for content in image.artifact.contents:
            if content.role != "manifest" or content.subject:
                continue
            _found, data = registry.manifest(where["repository"], content.digest)
            parsed = oci.parse(data, content.media_type, image.artifact.name)
            # Attestations and signatures have manifests too, and no tar in them.
            if parsed.config and any(".tar" in layer.media_type for layer in parsed.layers):
                yield parsed

    def _of(self, image: LockedArtifact, parsed: Parsed) -> tuple[Profile, ...]:
        name = image.artifact.name
        if self._protocol(image, parsed) == NATIVE:
            raise SourceError(
                f"{name} has no model manifest: it downloads its models itself ({NATIVE})",
                hint=_ELSEWHERE,
            )
        try:
            data = layers.find(parsed.layers, MANIFEST, lambda blob: self._blob(image, blob))
            if data is None:
                message = f"{name} has no /{MANIFEST}: it is no NIM, or a generic one"
                raise SourceError(message, hint=_ELSEWHERE)
            return nim_manifest.parse(data)
        except ValueError as fault:
            hint = f"dray reads /{MANIFEST} of schema 1 and 2; {_ELSEWHERE}"
            message = f"the model manifest of {name} cannot be read: {fault}"
            raise SourceError(message, hint=hint) from None

    def _protocol(self, image: LockedArtifact, parsed: Parsed) -> str:
        if parsed.config is None or parsed.config.size > _CONFIG_LIMIT:
            return ""
        try:
            tree = parse_json(b"".join(self._blob(image, parsed.config)), limit=_CONFIG_LIMIT)
        except ValueError:
            return ""
        settings = tree.get("config") if isinstance(tree, dict) else None
        labels = settings.get("Labels") if isinstance(settings, dict) else None
        return str(labels.get(PROTOCOL, "")) if isinstance(labels, dict) else ""

    def _blob(self, image: LockedArtifact, blob: Descriptor) -> Generator[bytes, None, None]:
        where, what = image.origin.where, f"{blob.digest.short} of {image.artifact.name}"
        opener = self._registry(where["host"]).opener(where["repository"], blob)
        blocks = resume(opener, size=blob.size, what=what, sleep=self._sleep)
        # A layer is left in the middle when the file is found: the connection must go then.
        with closing(blocks):
            yield from verified(blocks, digest=blob.digest, size=blob.size, what=what)
