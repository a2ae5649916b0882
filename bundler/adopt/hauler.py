"""Hauler's manifests: ``Images``, ``Charts`` and ``ThickCharts`` documents.

Source: Hauler 1 and 2, ``pkg/apis/hauler.cattle.io`` (v1, v1alpha1), and its documentation,
"Hauler Manifests".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bundle.decode import Key
from bundler.adopt.found import Chart, place_of, set_fields

if TYPE_CHECKING:
    from bundle.decode import Fields
    from bundle.strictyaml import Document
    from bundler.adopt.found import Found, Place

GROUPS: Final = ("content.hauler.cattle.io", "collection.hauler.cattle.io")
VERSIONS: Final = ("v1", "v1alpha1")
AICR: Final = "aicr-"
"""How the names of the documents begin that ``aicr mirror list --format hauler`` writes."""
_ANNOTATION: Final = "hauler.dev/"
_VERIFY: Final = (
    "key",
    "use-tlog-verify",
    "certificate-identity",
    "certificate-identity-regexp",
    "certificate-oidc-issuer",
    "certificate-oidc-issuer-regexp",
    "certificate-github-workflow-repository",
)
_VERIFYING = "asks that the signature is verified: the spec does not say so yet"
_RENAMED = "renames it at the target: write a map: rule into the target file"
_REACHING = "says how its host is reached: write that under registries:"
_LOGIN = "names a login: the spec has none, see docs/credentials.md"
_IMAGE: Final = {
    **dict.fromkeys(_VERIFY, _VERIFYING),
    "rewrite": _RENAMED,
    "local": "takes the image from a daemon of that host: it is pulled from its registry",
    "exclude-extras": "leaves signatures behind: they go along",
}
_CHART: Final = {
    "rewrite": _RENAMED,
    "override-name": _RENAMED,
    "override-namespace": "is not kept",
    "platform": "is of the chart's images: write platforms: for all",
    "valuesFiles": "names values that are not read here: write them as values: of the chart",
    "addDependencies": "wants its dependencies: those that lie in the chart go along, no others",
    "add-dependencies": "wants its dependencies: those that lie in the chart go along, no others",
    "exclude-extras": "leaves signatures behind: they go along",
    "verify": _VERIFYING,
    "keyring": _VERIFYING,
    "usernameEnv": _LOGIN,
    "passwordEnv": _LOGIN,
    "passCredentialsAll": _LOGIN,
    "certFile": _LOGIN,
    "keyFile": _LOGIN,
    "caFile": _REACHING,
    "insecureSkipTLSVerify": "asks for no check of TLS, which is not to be had: give a ca:",
    "plainHTTP": _REACHING,
}
"""Fields that the spec does not keep, and what to say when one is set."""
_DISCOVER: Final = ("addImages", "add-images")
_ELSEWHERE: Final = {
    "Files": "write files: with a sha256 for each",
    "ImageTxts": "write the images of the list under images:",
    "K3s": "write its images and files into the spec",
    "Driver": "write its images and files into the spec",
}
"""Kinds that are not taken over, and what to do instead."""


def is_hauler(value: object) -> bool:
    """Whether a document says that it is one of Hauler's."""
    version = value.get("apiVersion") if isinstance(value, dict) else None
    return isinstance(version, str) and version.partition("/")[0] in GROUPS


def read(document: Document, found: Found) -> None:
    """Take what a document names.

    Raises :class:`bundle.errors.UsageError` with the place of what is unknown, or makes no sense.
    """
    fields = set_fields(document.value, (), document)
    fields.text("apiVersion", choices=[f"{g}/{v}" for g in GROUPS for v in VERSIONS])
    kinds = ("Images", "Charts", "ThickCharts", *_ELSEWHERE)
    kind = fields.text("kind", choices=kinds)
    name, notes = _metadata(fields, document)
    here = place_of(document, ("kind",))
    if kind in _ELSEWHERE:
        found.warn(here, f"{kind} {name!r} is not taken over: {_ELSEWHERE[kind]}")
        return
    spec = set_fields(fields.raw("spec", {}), ("spec",), document)
    fields.done(("apiVersion", "kind", "metadata", "spec"))
    if name.startswith(AICR):
        found.warn(
            here,
            "aicr leaves its warnings out of Hauler's format, so images may be missing:"
            " adopt `aicr mirror list --format yaml` instead",
        )
    if kind == "Images":
        _Images(document, found, notes, here).read(spec)
        return
    _unkept(notes, "", here, found)
    for path, value in spec.items("charts"):
        _chart(set_fields(value, path, document), document, found, thick=kind == "ThickCharts")
    spec.done(("charts",))


def _metadata(fields: Fields, document: Document) -> tuple[str, dict[str, str]]:
    inner = set_fields(fields.raw("metadata", {}), ("metadata",), document)
    name = inner.text("name", "")
    notes = inner.child("annotations")
    found = {}
    for key in notes.names():
        value = notes.raw(key)
        text = str(value).lower() if isinstance(value, bool) else value
        if not isinstance(text, str):
            raise notes.wrong(Key(key), "must be text", 'write it in quotes: "true"')
        if key.startswith(_ANNOTATION):
            found[key.removeprefix(_ANNOTATION)] = text
    # What else Kubernetes has there (labels, namespace) means nothing to Hauler either.
    return name, found


def _unkept(notes: dict[str, str], what: str, here: Place, found: Found) -> None:
    for key, text in notes.items():
        if text in {"", "false"} or key in {"store", "retries"}:
            continue
        why = _IMAGE.get(key, "is not known here, and not kept")
        found.warn(here, f"{_ANNOTATION}{key}: {text!r} {why}{what}")


class _Images:
    """Reads one ``Images`` document, whose annotations hold for all its images."""

    def __init__(self, document: Document, found: Found, notes: dict[str, str], here: Place):
        self.document, self.found, self.here = document, found, here
        self.registry = notes.pop("registry", "").strip("/")
        self.platform = notes.pop("platform", "")
        _unkept(notes, "", here, found)

    def read(self, spec: Fields) -> None:
        for path, value in spec.items("images"):
            self.image(set_fields(value, path, self.document))
        spec.done(("images",))

    def image(self, item: Fields) -> None:
        place = place_of(self.document, item.path)
        key = "name" if "name" in item or "ref" not in item else "ref"
        name = item.text(key, limit=600)
        platform = item.text("platform", "") or self.platform
        _left(item, _IMAGE, name, place, self.found)
        item.done(("name", "platform", *_IMAGE))
        why = ""
        if self.registry and name not in self.found.answers and not _has_host(name):
            name, why = f"{self.registry}/{name}", f"{_ANNOTATION}registry: {self.registry}"
        self.found.everywhere |= not platform
        self.found.image(name, place, platform=platform, why=why)


def _has_host(name: str) -> bool:
    host, slash, _ = name.partition("/")
    return bool(slash) and (host == "localhost" or "." in host or ":" in host)


def _chart(item: Fields, document: Document, found: Found, *, thick: bool) -> None:
    place = place_of(document, item.path)
    name, repo = item.text("name"), item.text("repoURL", "")
    version = item.text("version", "")
    flags = [item.flag(key) for key in _DISCOVER]  # each is taken
    if thick:
        for extra in item.objects("extraImages"):
            found.image(extra.text("ref"), place_of(document, extra.path), why=f"of {name}")
            extra.done(("ref",))
            found.everywhere = True
    _left(item, _CHART, name, place, found)
    item.done(("name", "repoURL", "version", *_DISCOVER, *_CHART))
    if not repo:
        raise item.wrong(
            "repoURL", "is missing: the chart is a file of that host", "name a repository"
        )
    if not version:
        raise item.wrong("version", "is missing: Hauler takes the newest", "write one version")
    discover = thick or any(flags)
    found.everywhere |= discover
    found.charts.append(Chart(repo, name, version, place, discover))


def _left(item: Fields, known: dict[str, str], name: str, place: Place, found: Found) -> None:
    """Take the fields that the spec does not keep; what is set is told."""
    for key in [key for key in item.names() if key in known]:
        value = item.raw(key)
        if value not in ("", False) and value != []:
            found.warn(place, f"{key} of {name} {known[key]}")
