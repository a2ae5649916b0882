"""A set of files as one OCI artifact: the same files give the same manifest, byte for byte."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from bundle import fileset
from bundle.artifact import REPOSITORY, SIGNATURE, Artifact, Content, path_fault
from bundle.digest import Digest
from bundle.errors import SourceError
from bundle.fileset import EMPTY, FILE, MANIFEST, described
from bundle.progress import human
from bundler.lock import LockedArtifact, LockedContent

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from bundler.lock import Origin

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
    plain = (item.content for item in contents)
    body = fileset.body(identity.kind, identity.name, identity.version, plain)
    config = (EMPTY, fileset.CONFIG.decode())
    return assemble(identity, contents, body, config=config, origin=origin, notes=notes)


def signed(locked: LockedArtifact, signature: bytes) -> LockedArtifact:
    """Add the publisher's signature of the files: a referrer of the manifest, which stays as it is.

    Its bytes are pinned and not kept: the origin hands them out again.
    """
    artifact = locked.artifact
    root = next(content for content in artifact.contents if content.digest == artifact.root)
    content = Content("layer", SIGNATURE, Digest.of(signature), len(signature))
    text = fileset.signature(content.descriptor, root.descriptor).decode()
    manifest = _written(MANIFEST, text, role="manifest")
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
    document = {"layers": [described(item.content.descriptor) for item in layers], **body}
    text = fileset.manifest(document, what.content.descriptor).decode()
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
