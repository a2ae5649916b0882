"""The lock: what a spec resolved to, every byte pinned, written for people to review."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bundle.artifact import Artifact, Content

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bundle.decode import Fields
    from bundle.digest import Digest

API_VERSION = "dray/v1"
ORIGINS = ("registry", "helm", "ngc", "https", "huggingface")


@dataclass(frozen=True, slots=True)
class LockedContent:
    """A content, and where the low side gets its bytes.

    Exactly one of these holds: ``text`` is the bytes themselves, UTF-8, because dray made them;
    ``url`` is where they are fetched (a chart's .tgz, an HTTPS file; never a signed or secret URL);
    neither is set, and the artifact's origin knows by digest or by path. ``unvouched`` marks a digest
    that dray computed itself because the upstream publishes none.
    """

    content: Content
    url: str = ""
    text: str | None = None
    unvouched: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return the object of the lock."""
        body = self.content.to_dict()
        if self.url:
            body["url"] = self.url
        if self.unvouched:
            body["unvouched"] = True
        if self.text is not None:
            body["text"] = self.text
        return body

    @classmethod
    def read(cls, fields: Fields) -> LockedContent:
        """Read what :meth:`to_dict` wrote."""
        text = fields.text("text", limit=4 << 20) if "text" in fields else None
        locked = cls(
            content=Content.read(fields),
            url=fields.text("url", "", pattern=r"https?://[\x21-\x7e]+"),
            text=text,
            unvouched=fields.flag("unvouched"),
        )
        fields.done()
        return locked


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an artifact comes from: its kind of upstream, and what that needs to find it again.

    ``registry``: ``{"host", "repository"}`` · ``helm``: ``{"repo", "chart"}`` · ``ngc``: ``{"org",
    "team" (or absent), "name", "version", "type": "models"|"resources"}`` · ``https``: ``{}`` ·
    ``huggingface``: ``{"repo", "commit"}``. Never a credential.
    """

    type: str
    where: Mapping[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Return the object of the lock."""
        return {"type": self.type, **self.where}

    @classmethod
    def read(cls, fields: Fields) -> Origin:
        """Read what :meth:`to_dict` wrote."""
        kind = fields.text("type", choices=ORIGINS)
        return cls(kind, {name: fields.text(name) for name in fields.names()})


@dataclass(frozen=True, slots=True)
class LockedArtifact:
    """An artifact, its origin, and its contents with their sources."""

    artifact: Artifact
    origin: Origin
    contents: tuple[LockedContent, ...]

    @property
    def sources(self) -> dict[Digest, LockedContent]:
        """The contents by digest: equal bytes come from anywhere that has them."""
        return {locked.content.digest: locked for locked in reversed(self.contents)}

    def to_dict(self) -> dict[str, Any]:
        """Return the object of the lock."""
        body = self.artifact.to_dict()
        contents = [locked.to_dict() for locked in self.contents]
        body.pop("contents")
        return {**body, "origin": self.origin.to_dict(), "contents": contents}

    @classmethod
    def read(cls, fields: Fields) -> LockedArtifact:
        """Read what :meth:`to_dict` wrote."""
        contents = tuple(LockedContent.read(item) for item in fields.objects("contents", required=True))
        origin = Origin.read(fields.child("origin"))
        artifact = Artifact.read(fields, tuple(locked.content for locked in contents))
        fields.done()
        return cls(artifact, origin, contents)
