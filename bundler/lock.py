"""The lock: what a spec resolved to, every byte pinned, written for people to review."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from bundle.artifact import Artifact, Content
from bundle.decode import Fields
from bundle.digest import Digest
from bundle.errors import DrayError, UsageError
from bundle.manifest import STREAM

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from bundle.decode import Path as Place

API_VERSION = "dray/v1"
NEEDS: Mapping[str, tuple[str, ...]] = {
    "registry": ("host", "repository"),
    "helm": ("repo", "chart"),
    "ngc": ("org", "name", "version", "type"),
    "https": (),
    "huggingface": ("repo", "commit"),
}
"""What an origin of each kind must say, for its content to be found again."""
ORIGINS = tuple(NEEDS)
MAX_BYTES = 64 << 20
"""The largest lock file that is read, in bytes."""


@dataclass(frozen=True, slots=True)
class LockedContent:
    """A content, and where the low side gets its bytes.

    Exactly one of these holds: ``text`` is the bytes themselves, UTF-8, because dray made them;
    ``url`` is where they are fetched (a chart's .tgz, a file; never a signed or secret URL);
    ``kept`` says that they lie beside the lock (:mod:`bundler.kept`), because a scan made them;
    none is set, and the artifact's origin knows by digest or by path. ``unvouched`` marks a
    digest that dray computed itself because the upstream publishes none.
    """

    content: Content
    url: str = ""
    text: str | None = None
    unvouched: bool = False
    kept: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return the object of the lock."""
        body = self.content.to_dict()
        if self.url:
            body["url"] = self.url
        if self.unvouched:
            body["unvouched"] = True
        if self.kept:
            body["kept"] = True
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
            kept=fields.flag("kept"),
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
        return {"from": self.type, **self.where}

    @classmethod
    def read(cls, fields: Fields) -> Origin:
        """Read what :meth:`to_dict` wrote."""
        kind = fields.text("from", choices=ORIGINS)
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
        contents = tuple(
            LockedContent.read(item) for item in fields.objects("contents", required=True)
        )
        origin = Origin.read(fields.child("origin"))
        artifact = Artifact.read(fields, tuple(one.content for one in contents), strict=True)
        fields.done()
        return cls(artifact, origin, contents)


@dataclass(frozen=True)
class Lock:
    """Everything that a spec resolved to. ``digest`` is that of the file's bytes."""

    stream: str
    spec: Digest
    artifacts: tuple[LockedArtifact, ...]

    @cached_property
    def text(self) -> bytes:
        """The lock as it stands in a file: the same lock gives the same bytes."""
        import yaml  # noqa: PLC0415  (an import that `dray --help` must not pay for)

        body: dict[str, Any] = {"apiVersion": API_VERSION, "kind": "Lock", "stream": self.stream}
        body["spec"] = str(self.spec)
        dumper = _plain(getattr(yaml, "CSafeDumper", yaml.SafeDumper))
        options: dict[str, Any] = {"sort_keys": False, "allow_unicode": True, "width": 1 << 30}

        def dumped(part: object, flow: bool | None = None) -> bytes:
            text: str = yaml.dump(part, Dumper=dumper, default_flow_style=flow, **options)
            return text.encode()

        # One by one: what yaml makes of an artifact in memory is twenty times as long as its text.
        rows = [dumped([artifact.to_dict()]) for artifact in self.artifacts]
        top = dumped(body, flow=False) + (b"artifacts:\n" if rows else b"artifacts: []\n")
        return b"".join([HEADER.encode(), top, *rows])

    @cached_property
    def digest(self) -> Digest:
        """The digest of :attr:`text`."""
        return Digest.of(self.text)

    @cached_property
    def blobs(self) -> dict[Digest, int]:
        """The size of every blob, in bytes; each once, however many artifacts share it."""
        return {
            content.digest: content.size
            for locked in self.artifacts
            for content in locked.artifact.contents
        }

    def source_fault(self) -> str:
        """Return what cannot be fetched as the lock says, or nothing."""
        for locked in self.artifacts:
            name = locked.artifact.name
            for key in NEEDS[locked.origin.type]:
                if not locked.origin.where.get(key):
                    return f"{name}: its origin lacks its {key}"
            for source in locked.contents:
                content, data = source.content, (source.text or "").encode()
                if source.text is not None and (Digest.of(data), len(data)) != (
                    content.digest,
                    content.size,
                ):
                    return f"{name}: its text is not the text of {content.digest}"
        return ""

    def fault(self) -> str:
        """Return what makes the artifacts contradict each other, or nothing."""
        sizes: dict[Digest, int] = {}
        tagged: dict[tuple[str, str], Digest] = {}
        kinds: dict[str, str] = {}
        for locked in self.artifacts:
            name, kind = locked.artifact.name, locked.artifact.kind
            if name in kinds:
                return f"{name} is there twice, as {kinds[name]} and as {kind}"
            kinds[name] = kind
            for content in locked.artifact.contents:
                if sizes.setdefault(content.digest, content.size) != content.size:
                    return f"{content.digest} has two sizes"
                for tag in content.tags:
                    key = (locked.artifact.repository, tag)
                    if tagged.setdefault(key, content.digest) != content.digest:
                        return f"{key[0]}:{tag} is pinned to two digests"
        return ""


HEADER = """\
# What the spec resolved to: every byte of it pinned. Review it, commit it, export from it.
# Written by `dray lock`; `dray lock --update` writes it anew.
"""


def load(path: Path) -> Lock:
    """Read a lock file; raise :class:`UsageError` with file, line and column."""
    from bundle.strictyaml import read  # noqa: PLC0415  (yaml costs start-up time)

    return parse(read(path, limit=MAX_BYTES), path)


def parse(data: bytes, path: Path) -> Lock:
    """Read a lock from bytes; ``path`` names it in messages."""
    from bundle import strictyaml  # noqa: PLC0415  (yaml costs start-up time)

    document = strictyaml.parse(data, name=str(path), limit=MAX_BYTES)

    def fault(place: Place, message: str, hint: str) -> DrayError:
        return document.fault(place, message, hint or _ANEW)

    fields = Fields(document.value, (), fault)
    fields.text("apiVersion", choices=[API_VERSION])
    fields.text("kind", choices=["Lock"])
    lock = Lock(
        stream=fields.text("stream", pattern=STREAM),
        spec=fields.digest("spec"),
        artifacts=tuple(
            LockedArtifact.read(item) for item in fields.objects("artifacts", required=True)
        ),
    )
    fields.done(("apiVersion", "kind", "stream", "spec", "artifacts"))
    if contradiction := lock.fault():
        raise UsageError(f"{path}: {contradiction}", hint=_ANEW)
    return lock


_ANEW = "write the lock anew with dray lock --update"


def _plain(dumper: Any) -> Any:
    """Return a dumper that writes no anchors, and quotes all text that would be read as numbers."""
    made: Any = type("Dumper", (dumper,), {"ignore_aliases": lambda _self, _data: True})
    # YAML 1.1, which PyYAML writes, knows no such numbers; 1.2 and our reader do: tag 123e4567.
    number = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)[eE][-+]?[0-9]+\Z")
    made.add_implicit_resolver("tag:yaml.org,2002:float", number, list("-+.0123456789"))
    return made
