"""Artifacts and their contents: what the lock pins, the manifest signs, and a target receives."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bundle.digest import Descriptor, Digest
from bundle.upstream.record import Record

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bundle.decode import Fields

KINDS = ("image", "chart", "model", "resource", "file")
ROLES = ("index", "manifest", "config", "layer", "file")
MANIFEST_ROLES = frozenset({"index", "manifest"})
TAG = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}"
"""A tag (OCI distribution-spec, "Pulling manifests")."""
_NAME = r"[a-z0-9]+(?:[._-]+[a-z0-9]+)*"
REPOSITORY = rf"{_NAME}(?::[0-9]+)?(?:/{_NAME})*"
"""``host[:port]/path`` in lower case; a target's rules for names are applied at the target."""
_WORD = r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}"
MEDIA_TYPE = f"{_WORD}/{_WORD}"
"""A media type (RFC 6838, section 4.2)."""
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""What moves a terminal's cursor, ends a line, or turns the direction of what people read."""
SIGNATURE = "application/vnd.dev.sigstore.bundle.v0.3+json"
"""The media type of a signature over the files of an artifact (OpenSSF Model Signing)."""
PLATFORM = r"[a-z0-9._-]+/[a-z0-9._-]+(?:/[a-z0-9._-]+)?"


@dataclass(frozen=True, slots=True)
class Content:
    """One blob of an artifact, and what it is there.

    ``size`` is in bytes. ``platform`` is ``os/arch[/variant]`` of an image manifest; ``path`` is
    the relative path of a model's file; ``tags`` are those under which a manifest is published;
    ``subject`` is the manifest that this one refers to (a signature, an SBOM).
    """

    role: str
    media_type: str
    digest: Digest
    size: int
    platform: str = ""
    path: str = ""
    tags: tuple[str, ...] = ()
    subject: Digest | None = None

    @property
    def descriptor(self) -> Descriptor:
        """The OCI descriptor of this content."""
        return Descriptor(self.media_type, self.digest, self.size)

    def to_dict(self) -> dict[str, Any]:
        """Return the object of the lock and of the manifest."""
        body: dict[str, Any] = {"role": self.role}
        if self.path:
            body["path"] = self.path
        if self.platform:
            body["platform"] = self.platform
        if self.tags:
            body["tags"] = list(self.tags)
        body |= {"size": self.size, "digest": str(self.digest), "mediaType": self.media_type}
        if self.subject:
            body["subject"] = str(self.subject)
        return body

    @classmethod
    def read(cls, fields: Fields) -> Content:
        """Read what :meth:`to_dict` wrote; the caller decides about keys left over."""
        path = fields.text("path", "")
        if path and (fault := path_fault(path)):
            raise fields.wrong("path", f"{path[:200]!r} {fault}", "")
        return cls(
            role=fields.text("role", choices=ROLES),
            media_type=fields.text("mediaType", pattern=MEDIA_TYPE),
            digest=fields.digest("digest"),
            size=fields.integer("size"),
            platform=fields.text("platform", "", pattern=PLATFORM),
            path=path,
            tags=fields.texts("tags", pattern=TAG),
            subject=fields.digest("subject") if "subject" in fields else None,
        )


@dataclass(frozen=True, slots=True)
class Artifact:
    """An image, chart, model, resource or file, as one graph of contents.

    ``name`` is what people call it (``nvcr.io/nvidia/cuda:12.6.0``); ``repository`` is the source
    repository with its host, from which a target derives its own name; ``version`` is a tag or an
    NGC version; ``root`` is the digest of the manifest or index at the top. ``contents`` stand in
    the order in which they may be pushed: each after everything that it refers to. ``notes`` are
    facts for people and auditors, such as why an index is not carried. ``upstream`` is what became
    of the signatures of its publisher, where a policy asked for it.
    """

    kind: str
    name: str
    repository: str
    version: str
    root: Digest
    contents: tuple[Content, ...]
    notes: Mapping[str, str] = field(default_factory=dict)
    upstream: Record | None = None

    @property
    def manifests(self) -> Iterator[Content]:
        """The contents that a registry takes as manifests."""
        return (content for content in self.contents if content.role in MANIFEST_ROLES)

    @property
    def files(self) -> Iterator[Content]:
        """The contents that are files with a path."""
        return (content for content in self.contents if content.role == "file")

    @property
    def signature(self) -> Content | None:
        """The publisher's signature over the files, which came with them and is not verified here.

        A Sigstore bundle with the digest of every file in it (OpenSSF Model Signing, 1.0).
        """
        if not any(self.files):
            return None
        found = (c for c in self.contents if c.role == "layer" and c.media_type == SIGNATURE)
        return next(found, None)

    def is_signature(self, content: Content) -> bool:
        """Whether a content is :attr:`signature`."""
        # Asked for each of very many files: the property looks at all of them.
        return content.media_type == SIGNATURE and content == self.signature

    @property
    def size(self) -> int:
        """Bytes of all contents, each digest once."""
        return sum({content.digest: content.size for content in self.contents}.values())

    def to_dict(self) -> dict[str, Any]:
        """Return the object of the manifest."""
        body: dict[str, Any] = {"kind": self.kind, "name": self.name, "repository": self.repository}
        body |= {"version": self.version, "root": str(self.root)}
        if self.notes:
            body["notes"] = dict(sorted(self.notes.items()))
        if self.upstream:
            body["upstream"] = self.upstream.to_dict()
        body["contents"] = [content.to_dict() for content in self.contents]
        return body

    @classmethod
    def read(
        cls, fields: Fields, contents: tuple[Content, ...], *, strict: bool = False
    ) -> Artifact:
        """Read what :meth:`to_dict` wrote, except the contents, which were read before.

        ``strict`` refuses unknown fields below; those of ``fields`` are the caller's.
        """
        upstream = None
        if "upstream" in fields:
            upstream = Record.read(fields.child("upstream"), strict=strict)
        artifact = cls(
            kind=fields.text("kind", choices=KINDS),
            name=fields.text("name", pattern=r"[\x21-\x7e]+"),
            repository=fields.text("repository", pattern=REPOSITORY, limit=255),
            version=fields.text("version", "", limit=255),
            root=fields.digest("root"),
            contents=contents,
            notes=fields.mapping("notes"),
            upstream=upstream,
        )
        if fault := artifact.fault():
            raise fields.fault(fields.path, fault, "")
        return artifact

    def fault(self) -> str:
        """Return what makes this artifact impossible, or nothing."""
        sizes: dict[Digest, int] = {}
        folded: set[str] = set()
        for content in self.contents:
            if sizes.setdefault(content.digest, content.size) != content.size:
                return f"{content.digest} has two sizes"
            if content.path:
                key = unicodedata.normalize("NFC", content.path).casefold()
                if key in folded:
                    return f"two files are called {content.path!r}, upper and lower case aside"
                folded.add(key)
        roots = [content for content in self.contents if content.digest == self.root]
        if not roots or roots[0].role not in MANIFEST_ROLES:
            return "the root is not among the contents as a manifest or an index"
        if any(content.tags and content.role not in MANIFEST_ROLES for content in self.contents):
            return "only a manifest or an index has tags"
        for content in self.contents:
            if content.role == "file" and not content.path:
                return f"{content.digest} is a file without a path"
        return _prefix_fault(folded)


def _prefix_fault(paths: set[str]) -> str:
    for path in paths:
        parts = path.split("/")
        for depth in range(1, len(parts)):
            if "/".join(parts[:depth]) in paths:
                return f"{'/'.join(parts[:depth])!r} is both a file and a folder"
    return ""


def path_fault(path: str) -> str:
    """Return why ``path`` is no safe relative path for a file on any system, or nothing.

    The rules are for what would leave a folder, deceive a reader, or be one name for two files.
    Characters that only FAT and NTFS refuse are theirs to refuse: they do so before all is visible.
    """
    if not path or len(path.encode("utf-8", "surrogatepass")) > 900:
        return "is empty or longer than 900 bytes"
    if path.startswith("/") or "\\" in path or re.match(r"[A-Za-z]:", path):
        return "is not a relative path with forward slashes"
    if _CONTROL.search(path):
        return "has control characters"
    if any(part in {"", ".", ".."} for part in path.split("/")):
        return "has an empty, '.' or '..' segment"
    if unicodedata.normalize("NFC", path) != path:
        return "is not in Unicode normal form C"
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        return "is not UTF-8"
    return ""
