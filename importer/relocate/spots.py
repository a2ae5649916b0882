"""Where the values of a chart name images, and how to write another name there."""

from __future__ import annotations

import re
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bundle.charts import naming, valuefiles

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bundle.charts.chart import Scope
    from bundle.charts.mentions import Path

    Values = dict[str, Any]

GLOBAL = "global"


@dataclass(frozen=True, slots=True)
class Spot:
    """A name in the values of one chart: spelled by ``keys`` of the mapping at ``path``, or a text.

    ``name`` is put together as templates would, whole or not.
    """

    path: Path
    keys: tuple[str, ...]
    name: str

    def write(self, values: Values, target: str, digest: str) -> None:
        """Write ``target``, ``host/repository``, in the place of what was named before.

        The tag stays; ``digest`` takes the place of one that is named.
        """
        if self.keys:
            mapping = at(values, self.path)
            mapping |= _spelled(mapping, self.keys, target, digest)
            return
        repository, tag, old = naming.split(self.name)
        after = (f":{tag}" if tag else "") + (f"@{digest or old}" if old else "")
        above = at(values, self.path[:-1])
        above[self.path[-1]] = replaced(
            above[self.path[-1]], self.name, target + after, repository=repository
        )


def replaced(text: str, name: str, new: str, *, repository: str = "") -> str:
    """Return ``text`` with ``name`` replaced wherever it stands alone."""
    found = name if name in text else repository
    return re.sub(rf"(?<![\w./:@-]){re.escape(found)}(?![\w/@-]|[.:]\w)", lambda _m: new, text)


def find(scope: Scope) -> Iterator[Spot]:
    """Yield the spots in the values of one chart, sub-charts left out."""
    places: list[tuple[Path, tuple[str, ...]]] = []

    def place(path: Path, keys: tuple[str, ...]) -> str:
        places.append((path, keys))
        return f"{len(places) - 1}"

    for mention in valuefiles.mentions(scope, place):
        # Inside of a document that is a text, the place of the text comes first.
        number, *inner = mention.place.split(" ", 1)
        path, keys = places[int(number)]
        yield Spot(path, () if inner else keys, mention.name)


def _spelled(
    mapping: Mapping[str, Any], keys: tuple[str, ...], target: str, digest: str
) -> dict[str, str]:
    """Return the keys of a mapping anew, each with the part of the name that it has now."""
    kinds = {_kind(key): key for key in keys}
    host, _, path = target.partition("/")
    folder, _, leaf = path.rpartition("/")
    parts: dict[str, str] = {}
    if "leaf" in kinds:
        old = str(mapping[kinds["leaf"]])
        tail = re.search(r"[:@].*$", old.rpartition("/")[2])
        ending = tail[0] if tail else ""
        if "repository" not in kinds:
            parts["leaf"] = (path if "registry" in kinds else target) + ending
        else:
            parts["leaf"] = leaf + ending
            inner = [*([] if "registry" in kinds else [host]), *([folder] if folder else [])]
            parts["repository"] = "/".join(inner)
    else:
        parts["repository"] = path if "registry" in kinds else target
    if "registry" in kinds:
        parts["registry"] = host
    for kind in ("digest", "tag"):
        old = str(mapping[kinds[kind]]) if kind in kinds else ""
        if digest and ("sha256:" in old or re.fullmatch("[0-9a-f]{64}", old)):
            parts[kind] = digest if ":" in old else digest.removeprefix("sha256:")
    return {kinds[kind]: text for kind, text in parts.items() if kind in kinds}


def _kind(key: str) -> str:
    known = {
        "repository": naming.REPOSITORY,
        "registry": naming.REGISTRY,
        "tag": naming.TAG,
        "digest": naming.DIGEST,
    }
    return next((kind for kind, names in known.items() if key in names), "leaf")


def at(values: Any, path: Path) -> Any:
    """Return what stands at a path of values."""
    for step in path:
        values = values[step]
    return values


def difference(before: Values, after: Values) -> Values:
    """Return the values that make ``after`` of ``before``: Helm merges mappings, and no lists."""
    found: Values = {}
    for key, value in after.items():
        old = before.get(key)
        if isinstance(value, dict) and isinstance(old, dict):
            if inner := difference(old, value):
                found[key] = inner
        elif value != old:
            found[key] = deepcopy(value)
    return found


def raised(scope: Scope, values: Values) -> Values:
    """Return the values of a sub-chart as the top chart's; what is global is so everywhere."""
    shared = {GLOBAL: values.pop(GLOBAL)} if GLOBAL in values else {}
    while scope.above:
        values = {scope.name: values} if values else {}
        scope = scope.above
    return {**values, **shared}
