"""Blobs that a bundle leaves out, for a receipt says that the high side has them.

Format: ``schemas/README.md``, "Blobs that are left out". A base names what the high side has by its
source, as artifacts are named everywhere: its target knows where it has put that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bundle.artifact import KINDS, REPOSITORY, Artifact, path_fault
from bundle.progress import counted, human

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bundle.chunks import StoredBlob
    from bundle.decode import Fields
    from bundle.digest import Digest
    from bundle.manifest import Manifest

REQUIRED = "required"
"""The encoding of a blob that is left out, and the feature of a manifest that has one."""
LEFT_OUT = "left-out"
"""The ``case`` of the refusal to read a blob that the bundle has not."""
WHOLE = "for a whole one, on the low side and without --since: dray export SPEC --to DIR --new"
"""What helps when the high side has not what was left out."""
NAME = r"[a-z0-9][a-z0-9-]{0,60}"
"""What a bundle is called."""
SMALLEST = 64 << 10
"""Bytes of the smallest blob that is left out: what is smaller costs nothing to carry."""


@dataclass(frozen=True, slots=True)
class Base:
    """Where the high side has a blob: an artifact by its source, and the path of a file in it.

    ``bundle`` is the name of the bundle whose import said so, one of the manifest's bases.
    """

    artifact: str
    kind: str
    repository: str
    version: str
    path: str = ""
    bundle: str = ""

    def to_dict(self) -> dict[str, str]:
        """Return the object of the manifest."""
        body = {"artifact": self.artifact, "kind": self.kind, "repository": self.repository}
        body["version"] = self.version
        if self.path:
            body["path"] = self.path
        return {**body, "bundle": self.bundle} if self.bundle else body

    @classmethod
    def read(cls, fields: Fields) -> Base:
        """Read what :meth:`to_dict` wrote."""
        path = fields.text("path", "")
        if path and (fault := path_fault(path)):
            raise fields.wrong("path", f"{path[:200]!r} {fault}", "")
        return cls(
            artifact=fields.text("artifact", pattern=r"[\x21-\x7e]+"),
            kind=fields.text("kind", choices=KINDS),
            repository=fields.text("repository", pattern=REPOSITORY, limit=255),
            version=fields.text("version", "", limit=255),
            path=path,
            bundle=fields.text("bundle", "", pattern=NAME),
        )

    def named(self, root: Digest) -> Artifact:
        """Return the artifact as far as a target needs it to say where it has put it."""
        return Artifact(self.kind, self.artifact, self.repository, self.version, root, ())


@dataclass(frozen=True, slots=True)
class BaseBundle:
    """An import that a bundle builds on: the bundle's name and manifest, the receipt's file."""

    name: str
    manifest: Digest
    receipt: Digest

    def to_dict(self) -> dict[str, str]:
        """Return the object of the manifest."""
        return {
            "name": self.name,
            "manifest": str(self.manifest),
            "receipt": str(self.receipt),
        }

    @classmethod
    def read(cls, fields: Fields) -> BaseBundle:
        """Read what :meth:`to_dict` wrote."""
        name = fields.text("name", pattern=NAME)
        return cls(name, fields.digest("manifest"), fields.digest("receipt"))


def sizes(blobs: Iterable[StoredBlob]) -> str:
    """Return how much blobs are, for people."""
    return human(sum(blob.size for blob in blobs))


def left_out(manifest: Manifest) -> str:
    """Say what a bundle leaves out and from where the high side has it; empty for a whole one."""
    left = [blob for blob in manifest.blobs if blob.encoding == REQUIRED]
    if not left:
        return ""
    what = f"{counted(len(left), 'blob')} of {sizes(left)}"
    verb = "is" if len(left) == 1 else "are"
    return f"{what} {verb} left out: the target has to have them from {named(manifest.bases)}"


def named(bases: Iterable[BaseBundle]) -> str:
    """Return the names of the bases: two sites may have the same bundle."""
    return ", ".join(dict.fromkeys(base.name for base in bases))


def notes(manifest: Manifest) -> list[str]:
    """Say what of a bundle is not on its media, and cannot be checked there."""
    text = left_out(manifest)
    return [text.replace(" left out:", " left out, and were not checked:")] if text else []
