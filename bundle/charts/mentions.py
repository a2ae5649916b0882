"""Finds what names an image in a tree of values or of a manifest, and where it stands."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from bundle.charts import helmyaml, naming, suffix
from bundle.charts.engine import MARK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Path = tuple[str | int, ...]
SWITCHES: Final = ("enabled", "enable", "deploy", "install")
"""Keys that switch a part of a chart off when they are false."""
ABOUT_NODES: Final = frozenset(
    {"annotations", "labels", "matchLabels", "nodeSelector", "affinity", "tolerations", "_example"}
)
"""Keys below which no image is named: what is about nodes, and Knative's samples."""
_IMAGE_LINE = re.compile(r"^\s*(?:-\s+)?[\"']?image[\"']?\s*:\s*[\"']?([^\s\"',#]+)", re.MULTILINE)
_FLAG = re.compile(r"(?<![\w-])--?[\w-]*image(?:=|[ \t]+)[\"']?([^\s\"']+)")
_NAME = re.compile(r"[a-z0-9][a-z0-9._/:@-]*", re.IGNORECASE)
_MAX_DEPTH: Final = 3
"""Documents inside documents that are read."""
_ARGUMENT = re.compile(r"--?([A-Za-z0-9_.-]+)=(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Mention:
    """A name at a place: ``values.yaml: driver.{repository,image,version}``.

    ``suffix`` is what an operator appends (:mod:`bundle.charts.suffix`). ``loose`` is a name
    from values: a template may make something else of it.
    """

    name: str
    place: str
    enabled: bool = True
    suffix: str = ""
    loose: bool = False


@dataclass(frozen=True)
class Finder:
    """Walks a tree. ``place`` writes a path and the keys at its end for people.

    ``suffix`` says for a mapping at a path what an operator appends to its image. ``strict`` finds
    bare names in text as well: in manifests, not in values.
    """

    place: Callable[[Path, tuple[str, ...]], str]
    suffix: Callable[[Path, dict[str, Any]], str]
    strict: bool = True
    skip: frozenset[str] = frozenset()
    depth: int = 0

    def find(self, tree: object, path: Path = (), *, enabled: bool = True) -> Iterator[Mention]:
        """Yield every mention in a tree, each once."""
        if isinstance(tree, dict):
            yield from self._mapping(tree, path, enabled=enabled)
        elif isinstance(tree, list):
            yield from self._list(tree, path, enabled=enabled)
        elif isinstance(tree, str) and tree:
            yield from self._text(tree, path, enabled=enabled)

    def _mapping(self, tree: dict[str, Any], path: Path, *, enabled: bool) -> Iterator[Mention]:
        enabled = enabled and not any(tree.get(key) is False for key in SWITCHES)
        spelled = naming.compose(tree, str(path[-1]) if path else "")
        if spelled:
            place = self.place(path, spelled.keys)
            yield Mention(spelled.name, place, enabled, self.suffix(path, tree))
        elif _is_variable(tree):
            yield from self._named(tree["value"], (*path, "value"), enabled=enabled)
            return
        for key, value in tree.items():
            taken = spelled is not None and key in spelled.keys
            if key == "annotations" and isinstance(value, dict):
                yield from self.annotations(value, (*path, key), enabled=enabled)
            if taken or key in ABOUT_NODES or (not path and key in self.skip):
                continue
            yield from self.find(value, (*path, str(key)), enabled=enabled)

    def annotations(
        self, tree: dict[str, Any], path: Path = (), *, enabled: bool = True
    ) -> Iterator[Mention]:
        """Yield the images of sidecars that annotations name, as Istio's ``proxyImage``."""
        for key, value in tree.items():
            named = str(key).lower().endswith("image") and isinstance(value, str)
            if named and naming.looks_whole(value):
                yield from self._named(value, (*path, str(key)), enabled=enabled)

    def _list(self, tree: list[Any], path: Path, *, enabled: bool) -> Iterator[Mention]:
        before = ""
        for number, item in enumerate(tree):
            inner = (*path, number)
            if isinstance(item, str) and re.fullmatch(r"--?[A-Za-z0-9-]*image", before):
                yield from self._named(item, inner, enabled=enabled)
            else:
                yield from self.find(item, inner, enabled=enabled)
            before = item if isinstance(item, str) else ""

    def _text(self, text: str, path: Path, *, enabled: bool) -> Iterator[Mention]:
        key, value = _argument(text)
        if key.lower().endswith("image") or naming.looks_whole(value):
            yield from self._named(value, path, enabled=enabled)
        elif several := _several(value or text):
            for name in several:
                yield from self._named(name, path, enabled=enabled)
        elif _is_image_key(path):
            if not _is_picture(text, path):
                yield from self._named(text, path, enabled=enabled)
        elif documents := self._documents(text):
            for document in documents:
                yield from self._inside(document, path, enabled=enabled)
        else:
            yield from self._lines(text, path, enabled=enabled)

    def _documents(self, text: str) -> list[Any]:
        """Return the YAML or JSON that a text is, where it may speak of images."""
        text = text.strip()
        if self.depth >= _MAX_DEPTH or "image" not in text.lower():
            return []
        if "\n" not in text and not text.startswith(("{", "[")):
            return []
        try:
            found = helmyaml.load_all(text)
        except ValueError:
            return []
        return [document for document in found if isinstance(document, dict | list)]

    def _inside(self, document: Any, path: Path, *, enabled: bool) -> Iterator[Mention]:
        """Find what a document inside the document names, a resource as what it is."""
        outer = self.place(path, ())
        kind = document.get("kind") if isinstance(document, dict) else None
        suffixes = suffix.of_resource(str(kind)) if kind else self.suffix
        found = replace(
            self,
            place=lambda inner, keys: f"{outer} {spell(inner, keys)}",
            suffix=suffixes,
            depth=self.depth + 1,
        )
        for mention in found.find(suffix.inherited(document), enabled=enabled):
            if self.strict or naming.is_whole(mention.name):
                yield mention

    def _lines(self, text: str, path: Path, *, enabled: bool) -> Iterator[Mention]:
        """Find ``image:`` and ``--image`` in a text that is no document: templates, scripts."""
        if naming.looks_whole(text.removeprefix("oci://")):
            yield from self._named(text.removeprefix("oci://"), path, enabled=enabled)
            return
        for match in _FLAG.finditer(text):
            name = match.group(1)
            if naming.looks_whole(name) or (self.strict and _is_name(name)):
                yield from self._named(name, path, enabled=enabled)
        if "\n" not in text:
            return
        for match in _IMAGE_LINE.finditer(text):
            if self.strict or naming.looks_whole(match.group(1)):
                line = text.count("\n", 0, match.start(1)) + 1
                found = Mention(match.group(1), self.place(path, ()), enabled)
                yield replace(found, place=f"{found.place} line {line}")

    def _named(self, value: object, path: Path, *, enabled: bool) -> Iterator[Mention]:
        if isinstance(value, str) and value.strip() and "\n" not in value.strip():
            yield Mention(value.strip(), self.place(path, ()), enabled)


def _is_image_key(path: Path) -> bool:
    """Tell whether the text at a path is an image by the name of its key, or of its list's."""
    keys = [step.lower() for step in path if isinstance(step, str)]
    if not keys:
        return False
    if isinstance(path[-1], int):
        return keys[-1].endswith("images")
    last_two = path[-2:]
    inside = len(last_two) == 2 and isinstance(last_two[0], str) and keys[-2].endswith("images")
    named = keys[-1] == "reference" and len(keys) > 1 and keys[-2] == "image"
    return keys[-1].endswith("image") or inside or named


def _several(text: str) -> list[str]:
    """Return the names of a list with commas between, when every one is whole."""
    parts = [part.strip() for part in text.split(",")] if "," in text else []
    return parts if parts and all(naming.looks_whole(part) for part in parts) else []


def _is_picture(text: str, path: Path) -> bool:
    """Tell whether ``backgroundImage`` and the like are files and pages, not containers."""
    exact = isinstance(path[-1], str) and path[-1].lower() == "image"
    address = re.match(r"(?!oci://)[a-z][a-z0-9+.-]*://|data:", text, re.IGNORECASE)
    return not exact and (text.startswith(("/", "./", "../")) or address is not None)


def _is_name(text: str) -> bool:
    return len(text) <= 400 and _NAME.fullmatch(text) is not None


def _argument(text: str) -> tuple[str, str]:
    """Return key and value of ``--key=value``; nothing of any other text."""
    found = _ARGUMENT.fullmatch(text)
    return (found.group(1), found.group(2)) if found else ("", "")


def _is_variable(tree: dict[str, Any]) -> bool:
    name = tree.get("name")
    known = isinstance(name, str) and isinstance(tree.get("value"), str)
    if not known or len(tree) != 2:
        return False
    upper = str(name).upper()
    return upper.endswith("IMAGE") or upper.startswith("RELATED_IMAGE_")


def spell(path: Path, keys: tuple[str, ...] = ()) -> str:
    """Return a path as people write it: ``driver.{repository,image,version}``."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    if len(keys) > 1:
        return f"{text}.{{{','.join(keys)}}}".removeprefix(".")
    return ".".join(part for part in (text, *keys) if part).replace(MARK, "…")
