"""The names of what was loaded, at the source and at the target, as charts spell them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bundle.charts import naming
from importer.relocate import mirrors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bundle.charts.mentions import Mention
    from importer.relocate.world import Stored

_HUB = ("", "docker.io/library/", "docker.io/")
"""What a name without a host may begin with."""


@dataclass
class Names:
    """What was loaded, by its names at the source and at the target."""

    images: Sequence[Stored]
    _sources: dict[str, list[Stored]] = field(default_factory=dict)
    _targets: dict[str, list[Stored]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for one in self.images:
            self._sources.setdefault(one.source, []).append(one)
            self._targets.setdefault(one.target, []).append(one)

    def target(self, name: str) -> tuple[str, str] | None:
        """Return where the repository of a source name is, and the digest to name there.

        That is another one where the index that is named stayed behind, and its child was carried.
        """
        repository, _tag, digest = naming.split(name)
        for beginning in _HUB:
            if found := self._sources.get(beginning + repository):
                same = next((one for one in found if one.artifact.name == name), None)
                return found[0].target, str(same.artifact.root) if same and digest else ""
        return None

    def has(self, mention: Mention) -> bool:
        """Whether a name at the target is there; an operator may append to its tag."""
        repository, tag, digest = naming.split(mention.name)
        there = self._targets.get(repository, [])
        if digest:
            return any(digest == c.digest for one in there for c in one.artifact.manifests)
        tags = {tag for one in there for c in one.artifact.manifests for tag in c.tags}
        if mention.suffix:
            return any(known.startswith(f"{tag}-") for known in tags)
        return tag in tags

    def common(self, prefix: str) -> str | None:
        """Return the target of everything below the beginning of a source name."""
        own = {
            source: held[0].target
            for source, held in self._sources.items()
            if f"{source}/".startswith(f"{prefix}/")
        }
        return mirrors.common(prefix, own) if own else None

    def root(self, mention: Mention) -> str:
        """Return the digest of a name at the target with a tag; nothing where it is not there."""
        repository, tag, _digest = naming.split(mention.name)
        for one in self._targets.get(repository, []):
            for content in one.artifact.manifests:
                if tag and tag in content.tags:
                    return str(content.digest)
        return ""
