"""What the values of a chart and of its sub-charts name, switched on or off."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bundle.charts import suffix
from bundle.charts.mentions import Finder, Mention, Path, spell

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bundle.charts.chart import Scope


def find(top: Scope) -> list[Mention]:
    """Return what the values mention; those of a sub-chart are at the file that they come from."""
    return [mention for scope in top.all() for mention in _scope(scope)]


def _scope(scope: Scope) -> Iterator[Mention]:
    def place(path: Path, keys: tuple[str, ...]) -> str:
        inner = [str(step) for step in path if isinstance(step, str)]
        exact = (*inner, *keys[:1]) if len(inner) == len(path) else (*inner[:1],)
        file, found = scope.file_of(exact)
        above = found[: len(found) - len(exact)]
        return f"{file}: {spell((*above, *path), keys)}"

    return mentions(scope, place)


def mentions(scope: Scope, place: Callable[[Path, tuple[str, ...]], str]) -> Iterator[Mention]:
    """Yield what the values of one chart mention; ``place`` writes paths in them for the caller."""
    finder = Finder(
        place,
        suffix.of_values(_kinds(scope)),
        strict=False,
        skip=frozenset({child.name for child in scope.children}),
    )
    for mention in finder.find(_registered(scope.values), enabled=scope.enabled):
        yield replace(mention, loose=True)


def _kinds(scope: Scope) -> set[str]:
    found: set[str] = set()
    for name, data in scope.chart.files.items():
        if name.startswith("templates/"):
            found |= suffix.kinds_in(data.decode(errors="replace"))
    return found


def _registered(values: dict[str, Any]) -> dict[str, Any]:
    """Lay ``global.imageRegistry`` over the registries of images, as the charts that have it do."""
    shared = values.get("global")
    registry = shared.get("imageRegistry") if isinstance(shared, dict) else None
    if not isinstance(registry, str) or not registry:
        return values

    def laid(tree: Any) -> Any:
        if isinstance(tree, list):
            return [laid(item) for item in tree]
        if not isinstance(tree, dict):
            return tree
        inner = {key: laid(value) for key, value in tree.items()}
        return (
            inner | {"registry": registry} if "registry" in tree and "repository" in tree else inner
        )

    found: dict[str, Any] = laid(values)
    return found
