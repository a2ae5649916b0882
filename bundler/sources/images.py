"""Images, and whatever else lies in an OCI registry: resolved to digests with everything around."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from bundle.artifact import MANIFEST_ROLES, Artifact, Content
from bundle.errors import NotFound, SourceError
from bundle.whole import Unranged
from bundler import oci
from bundler.lock import LockedArtifact, LockedContent, Origin
from bundler.sources import evidence

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from bundle.digest import Descriptor, Digest
    from bundle.registry import Registry
    from bundler.sources.base import OpenAt

COSIGN_TAGS = (".sig", ".att", ".sbom")
MAX_DEPTH = 6
"""How deep indexes, and referrers of referrers, are followed."""
CONFIG_LIMIT = 1 << 20


@dataclass(frozen=True)
class Reference:
    """What to resolve: ``reference`` is a tag or a digest, ``tag`` the tag to publish, if any."""

    host: str
    repository: str
    reference: str
    tag: str
    name: str
    kind: str = "image"


class RegistrySource:
    """Resolves and opens what lies in registries (a :class:`bundler.sources.base.Source`).

    ``about`` returns notes about what is in a repository, by host and name.
    """

    def __init__(
        self,
        registry: Callable[[str], Registry],
        about: Callable[[str, str], Mapping[str, str]] = lambda _host, _repository: {},
    ) -> None:
        self._registry = registry
        self._about = about

    def tags(self, host: str, repository: str) -> list[str]:
        """Return every tag of a repository."""
        return self._registry(host).tags(repository)

    def resolve(self, reference: Reference, platforms: Sequence[str]) -> LockedArtifact:
        """Pin a reference and everything that goes with it; empty ``platforms`` means all.

        Raises :class:`SourceError` when it does not exist for a platform wanted.
        """
        found = _Walk(self._registry(reference.host), reference, tuple(platforms)).run()
        notes = self._about(reference.host, reference.repository)
        artifact = replace(found.artifact, notes={**found.artifact.notes, **notes})
        return replace(found, artifact=artifact)

    def opener(self, artifact: LockedArtifact, content: LockedContent) -> OpenAt:
        """Open a blob or manifest where the lock says that it was."""
        where, descriptor = artifact.origin.where, content.content.descriptor
        registry = self._registry(where["host"])
        if content.content.role not in MANIFEST_ROLES:
            return registry.opener(where["repository"], descriptor)

        def manifest(
            offset: int, end: int | None = None
        ) -> AbstractContextManager[Iterator[bytes]]:
            if end is not None:
                raise Unranged
            _found, data = registry.manifest(where["repository"], descriptor.digest)
            return nullcontext(iter([data[offset:]]))

        return manifest

    def close(self) -> None:
        """Nothing to let go: the registries belong to the run."""


@dataclass
class _Walk:
    registry: Registry
    reference: Reference
    platforms: tuple[str, ...]
    contents: dict[Digest, Content] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    texts: dict[Digest, str] = field(default_factory=dict)

    def run(self) -> LockedArtifact:
        ref = self.reference
        root, data = self.registry.manifest(ref.repository, ref.reference)
        parsed = oci.parse(data, root.media_type, ref.name)
        chosen = root
        if parsed.is_index:
            chosen = self._choose(root, data, parsed)
        else:
            self._check_platform(parsed)
        if chosen.digest == root.digest:
            self._add(root, data, parsed, platform="", depth=0)
        tags = (ref.tag,) if ref.tag else ()
        if tags:
            self.contents[chosen.digest] = replace(self.contents[chosen.digest], tags=tags)
        return self._locked(chosen.digest)

    def _locked(self, root: Digest) -> LockedArtifact:
        ref = self.reference
        for digest, content in self.contents.items():
            if content.subject and content.subject not in self.contents:
                # It says what it is about; but that is not carried with it.
                self.contents[digest] = replace(content, subject=None)
        artifact = Artifact(
            kind=ref.kind,
            name=ref.name,
            repository=f"{ref.host}/{ref.repository}",
            version=ref.tag or ref.reference,
            root=root,
            contents=tuple(self.contents.values()),
            notes=self.notes,
        )
        if fault := artifact.fault():
            raise SourceError(f"{ref.name}: {fault}")
        origin = Origin("registry", {"host": ref.host, "repository": ref.repository})
        texts = self.texts
        locked = (LockedContent(c, text=texts.get(c.digest)) for c in artifact.contents)
        return LockedArtifact(artifact, origin, tuple(locked))

    # -- which part of an index -------------------------------------------------------------------

    def _choose(self, root: Descriptor, data: bytes, parsed: oci.Parsed) -> Descriptor:
        """Return the index when it is carried whole, or else the one child that is carried bare."""
        if not parsed.children:
            raise SourceError(f"{self.reference.name} is an index of nothing")
        running = [child for child in parsed.children if child.runs]
        wanted = [child for child in running if self._wants(child.platform)]
        if not wanted and running:
            has = ", ".join(sorted(child.platform or "no platform" for child in running))
            asked = ", ".join(self.platforms)
            raise SourceError(
                f"{self.reference.name} has no {asked}; it has {has}",
                hint="choose one of those in `platforms`, for this image or for the whole spec",
            )
        if len(wanted) == len(running):
            self.notes["index"] = "complete"
            return root
        if len(wanted) > 1:
            names = ", ".join(child.platform for child in wanted)
            why = f"complete, not only {names}: a registry refuses an index without its children"
            self.notes["index"] = why
            return root
        return self._bare(root, data, parsed, wanted[0])

    def _bare(
        self, root: Descriptor, data: bytes, parsed: oci.Parsed, child: oci.Child
    ) -> Descriptor:
        why = "a registry refuses an index without all its children"
        self.notes["index"] = f"left behind: only {child.platform} of {root.digest}; {why}"
        self._manifest(child.descriptor, child.platform, depth=1)
        for other in parsed.children:
            if other.attests == child.descriptor.digest:
                self._manifest(other.descriptor, other.platform, depth=1)
        self._evidence(root, data, child.descriptor)
        return child.descriptor

    def _evidence(self, root: Descriptor, data: bytes, child: Descriptor) -> None:
        """Carry the signatures of an index that is left behind, in a way that can be followed."""
        about = [(found, self._body(found)) for found in self._refers(root.digest)]
        tags = self._cosign_tags(root.digest)
        about += [(found, body) for tag, found, body in tags if tag.endswith(".sig")]
        if signed := evidence.gather(data, child, about):
            for item in signed:
                self.contents.setdefault(item.content.digest, item.content)
                if item.text is not None:
                    self.texts[item.content.digest] = item.text
            note = f"of {root.digest}, the index that is left behind: it goes along as evidence"
            self.notes["signature"] = note
        elif about or tags:
            note = f"what refers to {root.digest} is left behind with the index"
            self.notes["signature"] = note

    def _refers(self, digest: Digest) -> list[Descriptor]:
        return self.registry.referrers(self.reference.repository, digest)

    def _body(self, found: Descriptor) -> bytes:
        return self.registry.manifest(self.reference.repository, found.digest)[1]

    def _wants(self, platform: str) -> bool:
        if not self.platforms:
            return True
        # A platform without a variant takes every variant, as docker does.
        return any(platform == want or platform.startswith(want + "/") for want in self.platforms)

    def _check_platform(self, parsed: oci.Parsed) -> None:
        config = parsed.config
        if not self.platforms or config is None or config.size > CONFIG_LIMIT:
            return
        if not config.media_type.endswith(("container.image.v1+json", "image.config.v1+json")):
            return
        found = oci.config_platform(self._small(config))
        if found and not self._wants(found):
            asked = ", ".join(self.platforms)
            message = f"{self.reference.name} is {found} only, not {asked}"
            raise SourceError(message, hint=f"set `platforms: [{found}]` for this image")

    def _small(self, config: Descriptor) -> bytes:
        from bundle.digest import verified  # noqa: PLC0415
        from bundle.transfer import resume  # noqa: PLC0415

        opener = self.registry.opener(self.reference.repository, config)
        blocks = resume(opener, size=config.size, what=self.reference.name)
        what = f"config of {self.reference.name}"
        return b"".join(verified(blocks, digest=config.digest, size=config.size, what=what))

    # -- the graph --------------------------------------------------------------------------------

    def _manifest(self, descriptor: Descriptor, platform: str, depth: int) -> None:
        name = f"{self.reference.name}: {descriptor.digest.short}"
        found, data = self.registry.manifest(self.reference.repository, descriptor.digest)
        if found.size != descriptor.size:
            raise SourceError(f"{name} is {found.size} bytes, its index says {descriptor.size}")
        self._add(descriptor, data, oci.parse(data, descriptor.media_type, name), platform, depth)

    def _add(
        self, descriptor: Descriptor, data: bytes, parsed: oci.Parsed, platform: str, depth: int
    ) -> None:
        """Add a manifest after everything that it refers to, and then what refers to it."""
        if descriptor.digest in self.contents:
            return
        if depth > MAX_DEPTH:
            raise SourceError(f"{self.reference.name} nests deeper than {MAX_DEPTH} manifests")
        for child in parsed.children:
            self._manifest(child.descriptor, child.platform, depth + 1)
        blobs = [("config", parsed.config)] if parsed.config else []
        for role, blob in [*blobs, *(("layer", layer) for layer in parsed.layers)]:
            known = self.contents.setdefault(blob.digest, _content(role, blob))
            if known.size != blob.size:
                raise SourceError(f"{self.reference.name}: {blob.digest} is given two sizes")
        role = "index" if parsed.is_index else "manifest"
        content = _content(role, descriptor, platform=platform, subject=parsed.subject)
        self.contents[descriptor.digest] = content
        self._referrers(descriptor.digest, depth)

    def _referrers(self, digest: Digest, depth: int) -> None:
        """Carry what refers to ``digest``: OCI referrers, and cosign's tags from before them."""
        for listed in self._refers(digest):
            if listed.digest in self.contents:
                continue
            # Its size may be that of all it names (Harbor up to 2.10): the digest is what counts.
            found, data = self.registry.manifest(self.reference.repository, listed.digest)
            name = f"{self.reference.name}: {found.digest.short}"
            parsed = oci.parse(data, listed.media_type, name)
            self._add(replace(listed, size=found.size), data, parsed, "", depth + 1)
        for tag, descriptor, data in self._cosign_tags(digest):
            if descriptor.digest not in self.contents:
                parsed = oci.parse(data, descriptor.media_type, f"{self.reference.name}: {tag}")
                self._add(descriptor, data, parsed, "", depth + 1)
            known = self.contents[descriptor.digest]
            self.contents[descriptor.digest] = replace(known, tags=(*known.tags, tag))

    def _cosign_tags(self, digest: Digest) -> list[tuple[str, Descriptor, bytes]]:
        found = []
        for suffix in COSIGN_TAGS:
            tag = f"sha256-{digest.hex}{suffix}"
            try:
                found.append((tag, *self.registry.manifest(self.reference.repository, tag)))
            except NotFound:
                continue
        return found


def _content(
    role: str, blob: Descriptor, *, platform: str = "", subject: Digest | None = None
) -> Content:
    known = "" if platform == "unknown/unknown" else platform
    return Content(role, blob.media_type, blob.digest, blob.size, platform=known, subject=subject)
