"""The pull secret in the values of a chart, in the form that each place wants it.

Kubernetes has a list of objects with a name; NVIDIA's operators have lists of names beside
repository, image and version. An empty list tells nothing, so what comes out is looked at.
"""

from __future__ import annotations

import re
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from bundle.charts import chart as charts
from bundle.charts import helmyaml
from importer.relocate import spots

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from bundle.charts.chart import Scope
    from bundle.charts.mentions import Path
    from bundle.charts.rendering import Rendered

    Values = dict[str, Any]
    Place = tuple[Scope, Path, bool]

KEY = "imagePullSecrets"
_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")


def add(
    top: Scope, values: Values, secret: str, pages: Callable[[Values], Sequence[Rendered]]
) -> Values:
    """Return the values with ``secret`` wherever the chart has a list of pull secrets.

    ``pages`` renders the chart; places whose form turns out wrong get the other one.
    """
    places = [place for scope in top.all() for place in _lists(scope, scope.values, ())]
    made = _laid(values, places, secret)
    wrong = _wrong(pages(made))
    for number, (scope, path, named) in enumerate(places):
        if not wrong:
            break
        other = [*places[:number], (scope, path, not named), *places[number + 1 :]]
        tried = _laid(values, other, secret)
        if (left := _wrong(pages(tried))) < wrong:
            places, made, wrong = other, tried, left
    return made


def _lists(scope: Scope, tree: Any, path: Path) -> Iterator[Place]:
    """Yield each list of pull secrets; true is for names, false for objects."""
    own = {child.name for child in scope.children} if not path else set()
    for key, value in tree.items():
        if key == KEY and isinstance(value, list | None):
            beside = isinstance(tree.get("image"), str)  # not a mapping, as elsewhere
            named = all(isinstance(item, str) for item in value) if value else beside
            yield scope, (*path, key), named
        elif isinstance(value, dict) and key not in own:
            yield from _lists(scope, value, (*path, key))


def _laid(values: Values, places: Sequence[Place], secret: str) -> Values:
    found = deepcopy(values)
    for scope, path, named in places:
        item: Any = [secret] if named else [{"name": secret}]
        for step in reversed(path):
            item = {step: item}
        found = charts.merged(found, spots.raised(scope, item))
    return found


def _wrong(pages: Sequence[Rendered]) -> int:
    """Count what Kubernetes would refuse, in pods and service accounts."""
    count = 0
    for page in pages:
        try:
            documents = helmyaml.load_all(page.text) if KEY in page.text else []
        except ValueError:
            count += 1
            continue
        count += sum(not _is_reference(item) for found in documents for item in _items(found))
    return count


def _items(tree: Any) -> Iterator[Any]:
    if isinstance(tree, list):
        for item in tree:
            yield from _items(item)
    if not isinstance(tree, dict):
        return
    if "containers" in tree or tree.get("kind") == "ServiceAccount":
        held = tree.get(KEY)
        yield from held if isinstance(held, list) else [held] if held else []
    for value in tree.values():
        yield from _items(value)


def _is_reference(item: object) -> bool:
    if not isinstance(item, dict) or set(item) != {"name"}:
        return False
    return isinstance(item["name"], str) and _NAME.fullmatch(item["name"]) is not None
