"""The entries of a spec: what to carry, one frozen object for each line that people write."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple
from urllib.parse import unquote

from bundle import reference
from bundle.artifact import PLATFORM, TAG, path_fault
from bundle.decode import Fields
from bundle.digest import Digest
from bundle.reference import NamingError
from bundler import ngcnames, nimprofiles
from bundler.tagpattern import TagPattern

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from urllib.parse import SplitResult

    from bundle.decode import Path
    from bundle.errors import UsageError
    from bundle.reference import Reference
    from bundle.strictyaml import Document
    from bundler.nimprofiles import Wanted

    NgcKind = Literal["model", "resource"]
    Platforms = tuple[str, ...] | Literal["all"]

CHART_NAME = r"[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?"
CHART_VERSION = r"v?[0-9]+(?:\.[0-9]+){0,2}(?:-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?"
"""A version that Helm takes for one (SemVer 2, a leading v and missing parts allowed); no range."""
HF_REPO = r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*"
HF_PATTERN = r"[^/\\\x00-\x1f\x7f-\x9f][^\\\x00-\x1f\x7f-\x9f]{0,899}"
ALL: Literal["all"] = "all"
ANSWERS = ("skip", "carry")
"""What an answer may be besides a name: leave an image behind, or carry one that is left behind."""


@dataclass(frozen=True, slots=True)
class ImageEntry:
    """Images of one repository.

    ``name`` is ``host/path[:tag][@digest]``; ``tags`` is a pattern (:mod:`bundler.tagpattern`),
    and then ``name`` has neither tag nor digest. Empty ``platforms`` are those of the spec.
    ``where`` is ``file:line:column`` of the entry, as in all entries.
    """

    name: str
    tags: str = ""
    platforms: Platforms = ()
    where: str = ""

    @property
    def reference(self) -> Reference:
        """The name in its parts."""
        return reference.parse(self.name)


@dataclass(frozen=True, slots=True)
class ChartEntry:
    """A Helm chart in one exact version.

    ``repo`` is the URL of a classic repository, or ``oci://host/path`` with the chart's name as the
    last part of the path. ``images`` is ``discover`` when the images that it names come along; then
    ``values`` are those that it will be installed with, and ``answers`` say what it leaves open:
    a place in the chart to a whole name, ``skip`` or ``carry`` (:mod:`bundler.discover`).
    """

    repo: str
    name: str
    version: str
    images: str = ""
    where: str = ""
    answers: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, object] = field(default_factory=dict)

    @property
    def is_oci(self) -> bool:
        """Whether the chart lies in a registry."""
        return self.repo.startswith("oci://")


@dataclass(frozen=True, slots=True)
class NgcEntry:
    """A model or a resource of NGC in one version, or the ``latest``; ``team`` may be empty."""

    kind: NgcKind
    org: str
    team: str
    name: str
    version: str
    where: str = ""

    def __str__(self) -> str:
        team = f"/{self.team}" if self.team else ""
        return f"{self.org}{team}/{self.name}:{self.version}"


@dataclass(frozen=True, slots=True)
class FileEntry:
    """A file at a URL, pinned by digest. ``path`` is its name in the bundle; ``size`` in bytes."""

    url: str
    digest: Digest
    path: str
    size: int | None = None
    where: str = ""


@dataclass(frozen=True, slots=True)
class HfEntry:
    """A repository of Hugging Face (``owner/name``) at one commit.

    ``include`` and ``exclude`` are patterns of paths; nothing included is everything.
    """

    repo: str
    commit: str
    where: str = ""
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NimEntry:
    """A NIM: its image, and the profiles whose model files it needs.

    ``auto`` are those that run on any GPU.
    """

    image: ImageEntry
    profiles: tuple[Wanted, ...] = ("auto",)
    where: str = ""


class Context(NamedTuple):
    """What the readers of entries share."""

    document: Document
    plain_http: frozenset[str]
    warnings: list[str]

    def fault(self, path: Path, error: NamingError) -> UsageError:
        """Return the fault for a name that was refused."""
        return self.document.fault(path, str(error), error.hint)

    def warn(self, path: Path, message: str) -> None:
        """Keep a warning."""
        self.warnings.append(self.document.fault(path, message).message)


def fields_of(value: object, path: Path, document: Document, known: Sequence[str]) -> Fields:
    """Return an object's fields, the unknown ones refused first: they may explain a missing one."""
    fields = Fields(value, path, document.fault)
    unknown = {name: None for name in fields.names() if name not in known}
    Fields(unknown, path, document.fault).done(known)
    return fields


def read_platforms(fields: Fields, default: Platforms) -> Platforms:
    """Read ``platforms``: ``all``, or a list of ``os/arch[/variant]``."""
    if "platforms" not in fields:
        return default
    value = fields.raw("platforms")
    if value == ALL:
        return ALL
    path: Path = (*fields.path, "platforms")
    if not isinstance(value, list) or not value:
        hint = "write a list such as [linux/amd64], or all"
        raise fields.wrong("platforms", "must be a list, or the word all", hint)
    for number, item in enumerate(value):
        if not isinstance(item, str) or not re.fullmatch(PLATFORM, item):
            raise fields.fault((*path, number), "is not os/arch or os/arch/variant", "linux/amd64")
        if item in value[:number]:
            raise fields.fault((*path, number), f"{item!r} stands here twice", "")
    return tuple(value)


def optional(fields: Fields, key: str, *, pattern: str = "") -> str:
    """Read text that may be missing, though not empty."""
    return fields.text(key, pattern=pattern or r"(?s:.+)") if key in fields else ""


def image(value: object, path: Path, context: Context) -> ImageEntry:
    """Read an entry of ``images``."""
    where = context.document.where(path)
    if isinstance(value, str):
        return ImageEntry(str(_pinned(value, path, context)), where=where)
    _check_split(value, path, context)
    known = ("name", "tag", "tags", "digest", "platforms")
    fields = fields_of(value, path, context.document, known)
    platforms = read_platforms(fields, ())
    if "tags" in fields:
        name, tags = _pattern(fields, context)
        return ImageEntry(str(name), tags, platforms, where)
    text, name_path = fields.text("name"), (*path, "name")
    for key, mark in (("tag", ":"), ("digest", "@")):
        if key in fields and mark in text.rpartition("/")[2]:
            raise fields.wrong(key, f"is given, and 'name' has a {key} too", "leave one out")
    tag, digest = optional(fields, "tag", pattern=TAG), ""
    if "digest" in fields:
        digest = fields.digest("digest")
    text += (f":{tag}" if tag else "") + (f"@{digest}" if digest else "")
    return ImageEntry(str(_pinned(text, name_path, context)), "", platforms, where)


def _check_split(value: object, path: Path, context: Context) -> None:
    # `host/path: tag`, with a space, is a mapping to YAML.
    if isinstance(value, dict) and len(value) == 1:
        [(key, tag)] = value.items()
        if "/" in key and isinstance(tag, str | int | float):
            hint = "write no space after the colon: host/path:tag"
            raise context.document.fault(path, "must be text, not a mapping", hint)


def _named(text: str, path: Path, context: Context) -> Reference:
    try:
        return reference.parse(text)
    except NamingError as error:
        raise context.fault(path, error) from None


def _pinned(text: str, path: Path, context: Context) -> Reference:
    name = _named(text, path, context)
    if not name.tag and not name.digest:
        hint = f'write {name}:TAG, {name}@sha256:…, or {{name: {name}, tags: "PATTERN"}}'
        raise context.document.fault(path, f"{name} has neither a tag nor a digest", hint)
    if name.moves:
        context.warn(path, f"{name.tag!r} is a moving tag; the lock pins what it is that day")
    return name


def _pattern(fields: Fields, context: Context) -> tuple[Reference, str]:
    name = _named(fields.text("name"), (*fields.path, "name"), context)
    if name.tag or name.digest or "tag" in fields or "digest" in fields:
        raise fields.wrong("tags", "is a pattern beside a tag or a digest", "leave one of them out")
    tags = fields.text("tags")
    try:
        pattern = TagPattern.parse(tags)
    except ValueError as error:
        hint = 'such as ">=24.12-py3, <26" or "24.*-py3"'
        raise fields.wrong("tags", str(error), hint) from None
    if pattern.matches_all:
        context.warn((*fields.path, "tags"), "this pattern takes every tag of the repository")
    return name, tags


def chart(value: object, path: Path, context: Context) -> ChartEntry:
    """Read an entry of ``charts``."""
    where = context.document.where(path)
    if isinstance(value, str):
        return _oci_chart(value, path, where, context)
    of_ngc = isinstance(value, dict) and "ngc" in value
    which = ("ngc",) if of_ngc else ("repo", "name", "version")
    known = (*which, "images", "answers", "values")
    fields = fields_of(value, path, context.document, known)
    if of_ngc:
        repo, name, version = _ngc_chart(fields, context)
    else:
        repo, name = fields.text("repo"), fields.text("name", pattern=CHART_NAME, limit=200)
        version = _exact(fields.text("version"), (*path, "version"), context)
    images = fields.text("images", "none", choices=("none", "discover"))
    images = "" if images == "none" else images
    repo_path = (*path, "repo")
    if repo.startswith("oci://"):
        full = _named(f"{repo.removeprefix('oci://').rstrip('/')}/{name}", repo_path, context)
        repo = f"oci://{full.repository}"
    else:
        _check_url(repo, repo_path, context)
    for key in ("answers", "values"):
        if key in fields and not images:
            hint = f"write images: discover beside {key}, or leave {key} out"
            raise fields.wrong(key, "is for the images of the chart, which are not asked for", hint)
    answers, values = _answers(fields, context), _values(fields)
    return ChartEntry(repo.rstrip("/"), name, version, images, where, answers, values)


def _ngc_chart(fields: Fields, context: Context) -> tuple[str, str, str]:
    named = ngcnames.read(fields, "chart")
    if not re.fullmatch(CHART_NAME, named.name):
        raise fields.wrong("ngc", "is not the name of a chart", "charts have no capital letters")
    return named.repo, named.name, _exact(named.version, (*fields.path, "ngc"), context)


def _answers(fields: Fields, context: Context) -> dict[str, str]:
    found: dict[str, str] = {}
    if "answers" in fields:
        inner = fields.child("answers")
        for place in inner.names():
            text = inner.text(place)
            kept = text in ANSWERS
            found[place] = text if kept else str(_pinned(text, (*inner.path, place), context))
    return found


def _values(fields: Fields) -> dict[str, object]:
    value = fields.raw("values", {})
    if not isinstance(value, dict):
        hint = "write them as in a values file: {driver: {usePrecompiled: true}}"
        raise fields.wrong("values", "must be a mapping, the values for helm install", hint)
    return {key: _plain(item) for key, item in value.items()}


def _plain(value: object) -> object:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return float(value) if isinstance(value, float) else value


def _oci_chart(text: str, path: Path, where: str, context: Context) -> ChartEntry:
    if not text.startswith("oci://"):
        hint = "write oci://host/path:version, or {repo: https://…, name: …, version: …}"
        raise context.document.fault(path, "a chart is not named like this", hint)
    # The + of a version is no character of a tag; people may have written either.
    head, slash, last = text.removeprefix("oci://").rpartition("/")
    name, colon, version = last.partition(":")
    full = _named(f"{head}{slash}{name}", path, context)
    version = _exact(version.replace("_", "+", 1) if colon else "", path, context)
    return ChartEntry(f"oci://{full.repository}", name, version, "", where)


def _exact(version: str, path: Path, context: Context) -> str:
    if not re.fullmatch(CHART_VERSION, version) or len(version) > 128:
        hint = "write one version, such as v25.3.0: ranges and latest would move"
        raise context.document.fault(path, "has no exact version", hint)
    return version


def _check_url(text: str, path: Path, context: Context, *, query: bool = False) -> SplitResult:
    try:
        return reference.check_url(text, plain_http=context.plain_http, query=query)
    except NamingError as error:
        raise context.fault(path, error) from None


def model(value: object, path: Path, context: Context) -> NgcEntry:
    """Read an entry of ``models``."""
    return _ngc(value, path, context, "model")


def resource(value: object, path: Path, context: Context) -> NgcEntry:
    """Read an entry of ``resources``."""
    return _ngc(value, path, context, "resource")


def _ngc(value: object, path: Path, context: Context, kind: NgcKind) -> NgcEntry:
    hint = f"write ngc: org/{kind}:version, or ngc: org/team/{kind}:version"
    if isinstance(value, str):
        raise context.document.fault(path, "must be a mapping, not text", hint)
    named = ngcnames.read(fields_of(value, path, context.document, ("ngc",)), kind)
    if named.version == ngcnames.LATEST:
        context.warn(path, "'latest' is a label that moves; the lock pins what it is that day")
    return NgcEntry(kind, *named, context.document.where(path))


def file(value: object, path: Path, context: Context) -> FileEntry:
    """Read an entry of ``files``."""
    fields = fields_of(value, path, context.document, ("url", "sha256", "path", "size"))
    url = fields.text("url")
    parts = _check_url(url, (*path, "url"), context, query=True)
    digest = fields.text("sha256", pattern=r"(?:sha256:)?[0-9a-f]{64}").removeprefix("sha256:")
    named = "path" in fields
    name = fields.text("path") if named else unquote(parts.path).rpartition("/")[2]
    if fault := path_fault(name):
        hint = "" if named else "give the file a name with path:"
        raise fields.wrong("path" if named else "url", f"as a file's name {fault}", hint)
    size = fields.integer("size") if "size" in fields else None
    where = context.document.where(path)
    return FileEntry(url, Digest(f"sha256:{digest}"), name, size, where)


def huggingface(value: object, path: Path, context: Context) -> HfEntry:
    """Read an entry of ``hf``."""
    known = ("repo", "commit", "include", "exclude")
    fields = fields_of(value, path, context.document, known)
    repo, commit = fields.text("repo", pattern=HF_REPO), fields.text("commit")
    if not re.fullmatch(r"[0-9a-f]{40}", commit):
        hint = "write the 40 hex digits of a commit: a branch or a tag would move"
        raise fields.wrong("commit", "is not a full commit", hint)
    include, exclude = (fields.texts(key, pattern=HF_PATTERN) for key in ("include", "exclude"))
    return HfEntry(repo, commit, context.document.where(path), include, exclude)


def nim(value: object, path: Path, context: Context) -> NimEntry:
    """Read an entry of ``nims``."""
    fields = fields_of(value, path, context.document, ("image", "profiles"))
    name = _pinned(fields.text("image"), (*path, "image"), context)
    profiles = nimprofiles.read(fields, "profiles")
    where = context.document.where(path)
    return NimEntry(ImageEntry(str(name), where=where), profiles or ("auto",), where)
