"""What a chart's rendered manifests name: pods, operators' resources, samples, CRD defaults."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from bundle.charts import helmyaml, naming, suffix
from bundle.charts.chart import text_of
from bundle.charts.engine import MARK
from bundle.charts.mentions import Finder, Mention, Path, spell

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bundle.charts.rendering import Rendered

SAMPLES: Final = "alm-examples"
"""Annotation of a ClusterServiceVersion with sample resources, a JSON list (OLM)."""
_SILENT: Final = frozenset({"Secret"})


@dataclass(frozen=True, slots=True)
class Doubt:
    """A file of which something could not be read or decided, and why."""

    file: str
    reason: str

    @property
    def place(self) -> str:
        """How people name it in an answer."""
        return f"{self.file}: {self.reason}"


def find(pages: Sequence[Rendered]) -> tuple[list[Mention], list[Doubt]]:
    """Return what all manifests mention, and the doubts about them."""
    mentions: list[Mention] = []
    doubts = [Doubt(page.file, reason) for page in pages for reason in page.doubts]
    for page in pages:
        try:
            documents = _documents(page.text)
        except ValueError as fault:
            if "image" in page.text.lower():
                doubts.append(Doubt(page.file, f"its YAML cannot be read: {fault}"))
            continue
        for document in documents:
            mentions += _resource(page.file, document)
    return mentions, doubts


def _documents(text: str) -> list[Any]:
    try:
        return helmyaml.load_all(text)
    except ValueError:
        if MARK not in text:
            raise
    # Lines of which nothing is known hold labels and the like: the rest may be read without them.
    known = re.sub(rf"(?m)^[ \t]*(?:{MARK}[ \t]*)+$\n?", "", text)
    return helmyaml.load_all(known)


def _resource(file: str, document: object) -> Iterator[Mention]:
    if not isinstance(document, dict):
        return
    kind = text_of(document.get("kind"))
    if kind.endswith("List") and isinstance(document.get("items"), list):
        for item in document["items"]:
            yield from _resource(file, item)
    elif kind == "CustomResourceDefinition":
        yield from _defaults(document, _head(file, document, kind))
    elif kind not in _SILENT:
        yield from _mentions(file, document, kind)


def _head(file: str, document: dict[str, Any], kind: str) -> str:
    metadata = document.get("metadata")
    name = text_of(metadata.get("name")) if isinstance(metadata, dict) else ""
    return f"{file}: {kind}/{name}".replace(MARK, "…")


def _mentions(file: str, document: dict[str, Any], kind: str) -> Iterator[Mention]:
    head = _head(file, document, kind)
    document = suffix.inherited(document)

    def place(path: Path, keys: tuple[str, ...]) -> str:
        return f"{head} {spell(path, keys)}"

    finder = Finder(place, suffix.of_resource(kind), skip=frozenset({"metadata"}))
    yield from finder.find(document, enabled=not _is_test(document))
    yield from finder.annotations(_annotations(document), ("metadata", "annotations"))
    yield from _samples(head, document)


def _annotations(document: dict[str, Any]) -> dict[str, Any]:
    metadata = document.get("metadata")
    found = metadata.get("annotations") if isinstance(metadata, dict) else None
    return found if isinstance(found, dict) else {}


def _is_test(document: dict[str, Any]) -> bool:
    """Tell whether a resource is made by ``helm test`` only."""
    hooks = text_of(_annotations(document).get("helm.sh/hook")).split(",")
    return any(hook.strip().startswith("test") for hook in hooks)


def _samples(head: str, document: dict[str, Any]) -> Iterator[Mention]:
    """Yield what sample resources name: examples, not deployed, so switched off."""
    text = _annotations(document).get(SAMPLES)
    if not isinstance(text, str):
        return
    try:
        items = json.loads(text)
    except (ValueError, RecursionError):
        return
    for number, item in enumerate(items if isinstance(items, list) else []):
        if isinstance(item, dict):
            for mention in _mentions(head, item, text_of(item.get("kind"))):
                inner = mention.place.removeprefix(head).removeprefix(": ")
                yield replace(mention, place=f"{head} {SAMPLES}[{number}] {inner}", enabled=False)


def _defaults(crd: object, head: str, path: Path = ()) -> Iterator[Mention]:
    """Yield the defaults of a CRD's properties that are images: used by whoever leaves them out."""
    if isinstance(crd, list):
        for number, item in enumerate(crd):
            yield from _defaults(item, head, (*path, number))
    if not isinstance(crd, dict):
        return
    default = crd.get("default")
    if isinstance(default, str) and naming.looks_whole(default):
        yield Mention(default, f"{head} {spell((*path, 'default'))}", enabled=False)
    for key, value in crd.items():
        yield from _defaults(value, head, (*path, str(key)))
