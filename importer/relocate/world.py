"""All that an emitter may look at: what is at the targets, and what the site is like."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bundle.artifact import Artifact
    from bundle.digest import Digest
    from importer.relocate.release import Release

CA_NAME = "ca.crt"
ENCODED = "%3Ffile%3D"
"""How a key goes on before the path of a file, in a NIM's mirror: ``?file=``."""


@dataclass(frozen=True, slots=True)
class Stored:
    """An artifact in a registry: ``host`` as its users write it, ``path`` the repository there."""

    artifact: Artifact
    host: str
    path: str

    @property
    def source(self) -> str:
        """The repository that it came from, with its host."""
        return self.artifact.repository

    @property
    def target(self) -> str:
        """The repository that it is in, with its host."""
        return f"{self.host}/{self.path}"

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags of its root."""
        return next(c.tags for c in self.artifact.manifests if c.digest == self.artifact.root)

    @property
    def reference(self) -> str:
        """The name to pull it by: with its first tag, or with its digest where it has none."""
        tags = self.tags
        return f"{self.target}:{tags[0]}" if tags else f"{self.target}@{self.artifact.root}"


@dataclass(frozen=True, slots=True)
class Tree:
    """An artifact as files: below a folder of this host, or below ``s3://bucket/``.

    ``place`` is what the names of its files begin with; ``target`` the label of the target. In a
    bucket that is a model repository of Triton, ``repository`` is its beginning, and ``models`` are
    the folders in it that the artifact has become.
    """

    artifact: Artifact
    target: str
    place: str
    repository: str = ""
    models: tuple[str, ...] = ()

    @property
    def bucket(self) -> str:
        """The bucket; nothing for a folder."""
        return self.place.removeprefix("s3://").partition("/")[0] if self.is_s3 else ""

    @property
    def is_s3(self) -> bool:
        """Whether it is in a bucket."""
        return self.place.startswith("s3://")

    @property
    def is_encoded(self) -> bool:
        """Whether it is in a NIM's mirror, where each key is a percent-encoded source."""
        return self.is_s3 and self.place.endswith(ENCODED)


@dataclass(frozen=True, slots=True)
class Bucket:
    """How an S3 bucket is reached: a URL, or nothing for AWS; ``ca`` in PEM, or nothing."""

    endpoint: str
    region: str
    ca: str = ""


@dataclass(frozen=True)
class Site:
    """What no receipt says. ``authorities`` are CAs in PEM, by registry; ``plain`` have no TLS.

    ``missing`` are names of images that charts may name though they were not loaded; ``pin`` is
    whether values of charts are to have digests.
    """

    pull_secret: str = ""
    authorities: Mapping[str, str] = field(default_factory=dict)
    plain: frozenset[str] = frozenset()
    buckets: Mapping[str, Bucket] = field(default_factory=dict)
    missing: frozenset[str] = frozenset()
    pin: bool = False


@dataclass(frozen=True)
class World:
    """What is where. ``receipts`` are the bundles' names and the digests of their receipts.

    ``left`` says of what cannot be used why, for people. ``releases`` reads the charts at their
    targets, verified, when it is called first, and raises :class:`bundle.errors.TargetError`.
    """

    receipts: tuple[tuple[str, Digest], ...]
    images: tuple[Stored, ...]
    charts: tuple[Stored, ...]
    models: tuple[Stored, ...]
    trees: tuple[Tree, ...]
    left: tuple[str, ...]
    site: Site
    releases: Callable[[], tuple[Release, ...]]


@dataclass
class Emitted:
    """What an emitter has made: files by relative path, and the part of the README about them.

    ``notes`` say what could not be expressed. ``refused`` are reasons not to write anything.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    about: str = ""
    notes: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


class Emitter(Protocol):
    """One format. No file means that it has nothing to say about this world."""

    def __call__(self, world: World, /) -> Emitted:
        """Return the files of the format; the same world gives the same bytes."""
        ...
