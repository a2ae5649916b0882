"""A set of files as one OCI artifact: the same files give the same manifest, byte for byte."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from bundle.artifact import REPOSITORY, SIGNATURE, Artifact, Content, path_fault
from bundle.decode import compact_json
from bundle.digest import Descriptor, Digest
from bundle.errors import SourceError
from bundle.progress import human
from bundler.lock import LockedArtifact, LockedContent

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from bundler.lock import Origin

MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
EMPTY: Final = "application/vnd.oci.empty.v1+json"
"""The media type of a config that says nothing: ``{}`` (OCI image-spec, manifest.md)."""
FILE: Final = "application/vnd.dray.file.v1"
TITLE: Final = "org.opencontainers.image.title"
VERSION: Final = "org.opencontainers.image.version"
SOURCE: Final = "com.nvidia.dray.source"
SIGNATURE_NAME: Final = "result.sigstore"
"""What NGC's own tools call the signature of a version."""
MANIFEST_LIMIT: Final = 4 << 20
"""Bytes that registries take as a manifest (OCI distribution-spec, "Pushing Manifests")."""
LARGEST: Final = 1 << 50
"""Bytes of a file that are believed: NGC's own limit is 1 TiB."""


@dataclass(frozen=True, slots=True)
class File:
    """A file of a set; ``size`` in bytes, ``unvouched`` and ``url`` as in the lock."""

    path: str
    size: int
    digest: Digest
    unvouched: bool = False
    url: str = ""


@dataclass(frozen=True, slots=True)
class Identity:
    """What an artifact is called: the fields of :class:`bundle.artifact.Artifact`."""

    kind: str
    name: str
    repository: str
    version: str


def build(
    identity: Identity, files: Iterable[File], *, origin: Origin, notes: Mapping[str, str]
) -> LockedArtifact:
    """Return the files as an artifact: contents are the files by path, the config, the manifest.

    Raises :class:`SourceError` for a path that some target could not hold, for two files in one
    place, for no files, and for more than a manifest can list.
    """
    layers = sorted(files, key=lambda file: file.path)
    if not layers:
        raise SourceError(f"{identity.name} has no files")
    check_paths(identity.name, [file.path for file in layers])
    contents = [
        LockedContent(
            Content("file", FILE, file.digest, file.size, path=file.path),
            url=file.url,
            unvouched=file.unvouched,
        )
        for file in layers
    ]
    annotations = {SOURCE: identity.name, VERSION: identity.version}
    body = {
        "artifactType": f"application/vnd.dray.{identity.kind}.v1",
        "layers": [
            {**described(item.content.descriptor), "annotations": {TITLE: item.content.path}}
            for item in contents
        ],
        "annotations": annotations,
    }
    return assemble(identity, contents, body, config=(EMPTY, "{}"), origin=origin, notes=notes)


def signed(locked: LockedArtifact, signature: bytes) -> LockedArtifact:
    """Add the publisher's signature of the files: a referrer of the manifest, which stays as it is.

    Its bytes are pinned and not kept: the origin hands them out again.
    """
    artifact, config = locked.artifact, next(c for c in locked.contents if c.text == "{}")
    root = next(content for content in artifact.contents if content.digest == artifact.root)
    content = Content("layer", SIGNATURE, Digest.of(signature), len(signature))
    title = {TITLE: SIGNATURE_NAME}
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": SIGNATURE,
        "config": described(config.content.descriptor),
        "layers": [{**described(content.descriptor), "annotations": title}],
        "subject": described(root.descriptor),
    }
    manifest = _written(MANIFEST, compact_json(document).decode(), role="manifest")
    manifest = replace(manifest, content=replace(manifest.content, subject=root.digest))
    contents = (*locked.contents, LockedContent(content, unvouched=True), manifest)
    said = f"of its publisher (OMS), {content.digest[:19]}, {human(content.size)}: goes along"
    notes = {**artifact.notes, "signature": said}
    plain = tuple(item.content for item in contents)
    return replace(
        locked, artifact=replace(artifact, contents=plain, notes=notes), contents=contents
    )


def assemble(
    identity: Identity,
    layers: Sequence[LockedContent],
    body: Mapping[str, object],
    *,
    config: tuple[str, str],
    origin: Origin,
    notes: Mapping[str, str],
) -> LockedArtifact:
    """Add ``config`` (media type and text) and the manifest around ``body`` to the layers."""
    what = _written(config[0], config[1], role="config")
    document = {"schemaVersion": 2, "mediaType": MANIFEST, **body}
    document["config"] = described(what.content.descriptor)
    document.setdefault("layers", [described(item.content.descriptor) for item in layers])
    text = compact_json(document).decode()
    root = _written(MANIFEST, text, role="manifest", tags=(tag(identity.version),))
    if root.content.size > MANIFEST_LIMIT:
        raise SourceError(
            f"{identity.name} has {len(layers)} files, more than one manifest can list",
            hint="carry it as an archive, or in parts",
        )
    contents = (*layers, what, root)
    artifact = Artifact(
        kind=identity.kind,
        name=identity.name,
        repository=identity.repository,
        version=identity.version,
        root=root.content.digest,
        contents=tuple(item.content for item in contents),
        notes=dict(notes),
    )
    if fault := artifact.fault():
        raise SourceError(f"{identity.name}: {fault}", hint="the upstream's own list says so")
    return LockedArtifact(artifact, origin, contents)


def _written(media_type: str, text: str, *, role: str, tags: tuple[str, ...] = ()) -> LockedContent:
    data = text.encode()
    return LockedContent(
        Content(role, media_type, Digest.of(data), len(data), tags=tags), text=text
    )


def described(descriptor: Descriptor) -> dict[str, object]:
    """Return a descriptor as manifests spell it."""
    return {
        "mediaType": descriptor.media_type,
        "digest": str(descriptor.digest),
        "size": descriptor.size,
    }


def check_paths(what: str, paths: Iterable[str]) -> None:
    """Raise :class:`SourceError` for a path that is unsafe, or given twice on some file system."""
    folded: dict[str, str] = {}
    for path in paths:
        if fault := path_fault(path):
            raise SourceError(f"{what} has a file called {path[:200]!r}, which {fault}")
        key = unicodedata.normalize("NFC", path).casefold()
        if key in folded:
            raise SourceError(
                f"{what} has {folded[key]!r} and {path!r}, which are one file on some systems"
            )
        folded[key] = path


def tag(version: str) -> str:
    """Return ``version`` as a tag: what a tag can't hold, ``+`` for one, becomes ``_``."""
    text = re.sub(r"[^A-Za-z0-9._-]", "_", version)[:128]
    return re.sub(r"\A[.-]", "_", text) or "_"


def repository(*parts: str) -> str:
    """Join ``parts`` to a repository, in lower case; what a repository can't hold becomes ``-``."""
    steps = [step for part in parts for step in part.lower().split("/")]
    clean = [re.sub(r"[^a-z0-9.:_-]+", "-", step).strip(".:_-") for step in steps]
    joined = "/".join(step for step in clean if step)
    if not re.fullmatch(REPOSITORY, joined) or len(joined) > 255:
        raise SourceError(f"{'/'.join(parts)[:200]!r} can't be the name of a repository")
    return joined
