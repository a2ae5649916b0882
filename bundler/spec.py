"""The spec: what a user wants carried, read from YAML; every fault with its line and column."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

from bundle import reference, strictyaml
from bundle.decode import Fields, Key
from bundle.digest import Digest
from bundle.hosts import Host
from bundle.manifest import STREAM
from bundle.reference import NamingError
from bundle.upstream import policy as policies
from bundler import entries
from bundler.entries import (
    ChartEntry,
    Context,
    FileEntry,
    HfEntry,
    ImageEntry,
    NgcEntry,
    NimEntry,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from bundle.decode import Path as Steps
    from bundle.strictyaml import Document
    from bundle.upstream.policy import Policy
    from bundler.entries import Platforms

    T = TypeVar("T")

__all__ = [
    "API_VERSION",
    "ChartEntry",
    "FileEntry",
    "HfEntry",
    "ImageEntry",
    "NgcEntry",
    "NimEntry",
    "Nodes",
    "Spec",
    "load",
    "parse",
]

API_VERSION = "dray/v1"
DEFAULT_PLATFORMS = ("linux/amd64",)
EXPIRES_DAYS = 180
OS = r"[a-z][a-z0-9._-]{0,63}"
KERNEL = r"[0-9][0-9A-Za-z._+~-]{0,127}"
KEYS = (
    "apiVersion",
    "stream",
    "platforms",
    "images",
    "charts",
    "models",
    "resources",
    "files",
    "hf",
    "nims",
    "nodes",
    "policy",
    "scan",
    "registries",
    "expires",
)


@dataclass(frozen=True, slots=True)
class Nodes:
    """What the GPU Operator appends to the tags of driver images: ``ubuntu22.04``, kernels."""

    os: tuple[str, ...] = ()
    kernels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Scans:
    """Which scanners look at the images, by name, and the form of the SBOMs, empty for none."""

    tools: tuple[str, ...] = ()
    sbom: str = ""


@dataclass(frozen=True, slots=True)
class Spec:
    """A spec that was read by :func:`load`.

    ``digest`` is that of the file's bytes; ``warnings`` are for people, each with
    ``file:line:column``.
    """

    stream: str
    images: tuple[ImageEntry, ...]
    charts: tuple[ChartEntry, ...]
    models: tuple[NgcEntry, ...]
    resources: tuple[NgcEntry, ...]
    files: tuple[FileEntry, ...]
    hf: tuple[HfEntry, ...]
    nims: tuple[NimEntry, ...]
    platforms: Platforms
    registries: Mapping[str, Host]
    nodes: Nodes
    policy: Policy
    scans: Scans
    expires_days: int
    digest: Digest
    path: Path
    warnings: tuple[str, ...] = field(default=())

    @property
    def lifetime(self) -> timedelta:
        """How long a bundle of this spec may be imported after it was made."""
        return timedelta(days=self.expires_days)

    def platforms_of(self, entry: ImageEntry) -> Platforms:
        """Return the platforms of an image: its own, or those of the spec."""
        return entry.platforms or self.platforms


def load(path: Path) -> Spec:
    """Read a spec file of at most 1 MiB; raise :class:`bundle.errors.UsageError` with the place."""
    return parse(strictyaml.read(path, hint="dray init writes a first one"), path)


def parse(data: bytes, path: Path) -> Spec:
    """Read a spec from bytes; ``path`` names it in messages, and CA files are relative to it."""
    document = strictyaml.parse(data, name=str(path))
    _check_kind(document)
    fields = entries.fields_of(document.value, (), document, KEYS)
    fields.text("apiVersion", choices=[API_VERSION])
    stream = fields.text("stream", pattern=STREAM)
    registries = _registries(fields, document, path.parent)
    plain = frozenset(host for host, known in registries.items() if known.plain_http)
    context = Context(document, plain, [])
    spec = Spec(
        stream=stream,
        platforms=entries.read_platforms(fields, DEFAULT_PLATFORMS),
        images=_entries(fields, "images", context, entries.image, lambda e: (e.name, e.tags)),
        charts=_entries(
            fields, "charts", context, entries.chart, lambda e: (e.repo, e.name, e.version)
        ),
        models=_entries(fields, "models", context, entries.model, str),
        resources=_entries(fields, "resources", context, entries.resource, str),
        files=_entries(fields, "files", context, entries.file, lambda e: e.url),
        hf=_entries(fields, "hf", context, entries.huggingface, lambda e: (e.repo, e.commit)),
        nims=_entries(fields, "nims", context, entries.nim, lambda e: e.image.name),
        nodes=_nodes(fields, document),
        policy=_policy(fields, document, path.parent),
        scans=_scans(fields, document),
        registries=registries,
        expires_days=_expires(fields),
        digest=Digest.of(data),
        path=path,
        warnings=tuple(context.warnings),
    )
    _check_empty(spec, document)
    return spec


def _check_kind(document: Document) -> None:
    if isinstance(document.value, dict) and "kind" in document.value:
        kind = str(document.value["kind"])[:40]
        hint = "give the spec that the lock was made from" if kind == "Lock" else "leave it out"
        raise document.fault(("kind",), f"a spec has no kind; this is {kind!r}", hint)


def _check_empty(spec: Spec, document: Document) -> None:
    lists = (spec.images, spec.charts, spec.models, spec.resources, spec.files, spec.hf, spec.nims)
    if not any(lists):
        hint = "name at least one image, chart, model, resource or file"
        raise document.fault((), "the spec names nothing to carry", hint)


def _entries(
    fields: Fields,
    key: str,
    context: Context,
    read: Callable[[object, Steps, Context], T],
    identity: Callable[[T], object],
) -> tuple[T, ...]:
    """Read a list of entries; nothing after the key, all entries commented out, is none."""
    value = fields.raw(key, None)
    if value is None:
        return ()
    found: dict[object, T] = {}
    for path, item in Fields({key: value}, fields.path, fields.fault).items(key):
        entry = read(item, path, context)
        if identity(entry) in found:
            first = found[identity(entry)]
            line = str(getattr(first, "where", "")).rpartition(":")[0].rpartition(":")[2]
            hint = "write one entry"
            raise fields.fault(path, f"stands here twice, first on line {line}", hint)
        found[identity(entry)] = entry
    return tuple(found.values())


def _child(fields: Fields, key: str, document: Document, known: tuple[str, ...]) -> Fields:
    value = fields.raw(key, None)
    return entries.fields_of({} if value is None else value, (key,), document, known)


def _nodes(fields: Fields, document: Document) -> Nodes:
    inner = _child(fields, "nodes", document, ("os", "kernels"))
    return Nodes(inner.texts("os", pattern=OS), inner.texts("kernels", pattern=KERNEL))


def _policy(fields: Fields, document: Document, folder: Path) -> Policy:
    inner = _child(fields, "policy", document, policies.KEYS)
    return policies.read(inner, document, folder)


def _scans(fields: Fields, document: Document) -> Scans:
    inner = _child(fields, "scan", document, ("with", "sbom"))
    sbom = inner.text("sbom", "cyclonedx", choices=("cyclonedx", "spdx", "none"))
    return Scans(inner.texts("with", pattern="trivy|grype|syft"), "" if sbom == "none" else sbom)


def _registries(fields: Fields, document: Document, folder: Path) -> Mapping[str, Host]:
    value = fields.raw("registries", None)
    inner = Fields({} if value is None else value, ("registries",), document.fault)
    found: dict[str, Host] = {}
    for name in inner.names():
        if not re.fullmatch(reference.HOST, name):
            hint = "write it as in the names of images: nvcr.io, harbor.example:5000"
            raise inner.wrong(Key(name), "is not a host or host:port", hint)
        path: Steps = ("registries", name)
        known = ("endpoint", "plain-http", "ca")
        found[name] = _host(
            entries.fields_of(inner.raw(name), path, document, known), name, document, folder
        )
    return found


def _host(fields: Fields, name: str, document: Document, folder: Path) -> Host:
    plain = fields.flag("plain-http") if "plain-http" in fields else None
    endpoint = entries.optional(fields, "endpoint")
    if endpoint:
        _check_endpoint(endpoint, name, plain, (*fields.path, "endpoint"), document)
    ca_file = entries.optional(fields, "ca")
    if ca_file:
        file = folder / ca_file
        if not file.is_file():
            raise fields.wrong("ca", f"there is no file {file}", "it is relative to the spec")
        ca_file = str(file)
    return Host(endpoint.rstrip("/"), plain, ca_file)


def _check_endpoint(
    endpoint: str, name: str, plain: bool | None, path: Steps, document: Document
) -> None:
    try:
        allowed = {endpoint.partition("://")[2].rstrip("/")} if plain else set()
        parts = reference.check_url(endpoint, plain_http=allowed)
    except NamingError as error:
        hint = f"{error.hint}" if "://" in endpoint else "write scheme://host[:port]"
        raise document.fault(path, str(error), hint) from None
    if parts.path not in {"", "/"}:
        raise document.fault(path, "has a path", "write scheme://host[:port] and no more")
    if plain is not None and plain != (parts.scheme == "http"):
        hint = f"leave plain-http out for {name}"
        raise document.fault(path, "contradicts plain-http beside it", hint)


def _expires(fields: Fields) -> int:
    if "expires" not in fields:
        return EXPIRES_DAYS
    value = fields.raw("expires")
    if not isinstance(value, str) or not re.fullmatch(r"[1-9][0-9]{0,3}d", value):
        hint = "write a number of days up to 9999 and a d, such as 180d"
        raise fields.wrong("expires", "is not a number of days", hint)
    return int(value[:-1])
