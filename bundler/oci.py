"""What an image manifest or an index refers to: read strictly, believed only about itself."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bundle.artifact import MEDIA_TYPE
from bundle.decode import Fields, Path, parse_json, spell
from bundle.digest import Descriptor, Digest
from bundle.errors import DrayError, SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator

INDEXES = frozenset(
    {
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
    }
)
MANIFESTS = frozenset(
    {
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    }
)
LIMIT = 4 << 20
MAX_CHILDREN = 1000
PART = r"[a-z0-9._-]+"
"""One word of a platform, as :data:`bundle.artifact.PLATFORM` has them."""
ATTESTED = "vnd.docker.reference.digest"
"""The annotation by which BuildKit's attestation names the manifest that it is about."""


@dataclass(frozen=True, slots=True)
class Child:
    """An entry of an index: a descriptor, its platform, and what it attests to."""

    descriptor: Descriptor
    platform: str
    attests: Digest | None

    @property
    def runs(self) -> bool:
        """Whether this is an image for a machine, and no attestation."""
        return self.platform != "unknown/unknown" and self.attests is None


@dataclass(frozen=True, slots=True)
class Parsed:
    """A manifest or index: its children, or its config and layers; and what it refers to."""

    is_index: bool
    children: tuple[Child, ...] = ()
    config: Descriptor | None = None
    layers: tuple[Descriptor, ...] = ()
    subject: Digest | None = None


def parse(data: bytes, media_type: str, what: str) -> Parsed:
    """Read a manifest's bytes; ``media_type`` is what the registry called it.

    Source: OCI image-spec, manifest.md and image-index.md; distribution, schema 2. Raises
    :class:`SourceError` for anything else, and for a body that calls itself something else.
    """

    def fault(path: Path, message: str, hint: str) -> DrayError:
        where = f": {spell(path)}" if path else ""
        return SourceError(f"{what}{where} {message}", hint=hint)

    try:
        document = parse_json(data, limit=LIMIT)
    except ValueError as error:
        raise fault((), f"is no manifest: {error}", "") from None
    fields = Fields(document, (), fault)
    inner = fields.text("mediaType", "")
    if inner and inner != media_type:
        message = f"calls itself {inner!r}, but the registry says {media_type!r}"
        raise fault((), message, "ask the publisher to push it again")
    if media_type not in INDEXES | MANIFESTS:
        hint = "schema 1 images must be pushed again as schema 2 or OCI by their publisher"
        raise fault((), f"has the type {media_type!r}, which cannot be carried", hint)
    subject = _descriptor(fields.child("subject")).digest if "subject" in fields else None
    if media_type in INDEXES:
        return Parsed(True, children=tuple(_children(fields, fault)), subject=subject)
    layers = tuple(_descriptor(item) for item in fields.objects("layers", required=True))
    return Parsed(False, config=_descriptor(fields.child("config")), layers=layers, subject=subject)


def _children(fields: Fields, fault: object) -> Iterator[Child]:
    items = list(fields.objects("manifests", required=True))
    if len(items) > MAX_CHILDREN:
        raise fields.wrong("manifests", f"has more than {MAX_CHILDREN} entries")
    for item in items:
        platform = _platform(item.child("platform")) if "platform" in item else ""
        notes = item.child("annotations")
        attests = notes.digest(ATTESTED) if ATTESTED in notes else None
        yield Child(_descriptor(item), platform, attests)


def _platform(fields: Fields) -> str:
    parts = [fields.text("os", "unknown"), fields.text("architecture", "unknown")]
    variant = fields.text("variant", "")
    parts = [part.lower() for part in ([*parts, variant] if variant else parts)]
    return "/".join(parts) if all(re.fullmatch(PART, part) for part in parts) else ""


def _descriptor(fields: Fields) -> Descriptor:
    media_type = fields.text("mediaType", pattern=MEDIA_TYPE)
    return Descriptor(media_type, fields.digest("digest"), fields.integer("size"))


def config_platform(data: bytes) -> str:
    """Return ``os/arch[/variant]`` of an image config, or nothing for what is no image."""
    try:
        document = parse_json(data, limit=LIMIT)
    except ValueError:
        return ""
    if not isinstance(document, dict):
        return ""
    parts = [document.get(key) for key in ("os", "architecture", "variant")]
    found = [part for part in parts if isinstance(part, str) and part]
    return "/".join(found) if len(found) >= 2 else ""
