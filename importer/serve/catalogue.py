"""What a bundle or a folder holds, as the repositories, tags and referrers of a registry.

An artifact has the name that an import would give it, and its source's own name with the host in
front: ``nvidia/cuda`` and ``nvcr.io/nvidia/cuda``. Both hold the same.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bundle.errors import UsageError
from importer.targets.naming import REPOSITORY, Naming

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bundle.artifact import Artifact, Content
    from bundle.digest import Digest


@dataclass
class Repository:
    """What one name holds. ``blobs`` are contents that are no manifests, by digest."""

    name: str
    tags: dict[str, Content] = field(default_factory=dict)
    manifests: dict[Digest, Content] = field(default_factory=dict)
    blobs: dict[Digest, Content] = field(default_factory=dict)
    referrers: dict[Digest, dict[Digest, Content]] = field(default_factory=dict)
    contested: set[str] = field(default_factory=set)
    """Tags that two sources want for different contents: nobody gets them here."""

    def add(self, artifact: Artifact) -> None:
        """Take an artifact in."""
        for content in artifact.contents:
            if content.role not in {"index", "manifest"}:
                self.blobs[content.digest] = content
                continue
            self.manifests[content.digest] = content
            if content.subject:
                self.referrers.setdefault(content.subject, {})[content.digest] = content
            for tag in content.tags:
                self._tag(tag, content)

    def _tag(self, tag: str, content: Content) -> None:
        if self.tags.get(tag, content).digest != content.digest:
            self.contested.add(tag)
            del self.tags[tag]
        elif tag not in self.contested:
            self.tags[tag] = content


@dataclass(frozen=True)
class Catalogue:
    """The repositories by name; ``short`` are the names that an import would give."""

    repositories: dict[str, Repository]
    short: frozenset[str]
    left: tuple[str, ...] = ()
    """Artifacts that no registry has a name for, each with the reason."""

    def find(self, name: str, namespace: str = "") -> Repository | None:
        """Return a repository; with ``namespace`` that of this source host alone.

        containerd asks a mirror for ``nvidia/cuda`` of ``ns=nvcr.io``: content of another source
        with the same path is not what it means.
        """
        return self.repositories.get(f"{namespace}/{name}" if namespace else name)

    @property
    def contested(self) -> list[str]:
        """The names that two sources want for different contents."""
        return sorted(
            f"{name}:{tag}" for name, one in self.repositories.items() for tag in one.contested
        )


def build(artifacts: Iterable[Artifact], given: Mapping[str, str] | None = None) -> Catalogue:
    """Return the catalogue of artifacts that a verified manifest, or receipts, vouch for.

    ``given`` are repositories by artifact name, that an import has given them already.
    """
    found: dict[str, Repository] = {}
    short: set[str] = set()
    left: list[str] = []
    naming = Naming()
    for artifact in artifacts:
        names = [artifact.repository] if re.fullmatch(REPOSITORY, artifact.repository) else []
        try:
            own = (given or {}).get(artifact.name) or naming.repository(artifact, "")
        except UsageError as error:
            left.append(error.message)
        else:
            short.add(own)
            names.append(own)
        for name in dict.fromkeys(names):
            found.setdefault(name, Repository(name)).add(artifact)
    return Catalogue(found, frozenset(short), tuple(left))
