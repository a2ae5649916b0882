"""A chart with its sub-charts and the values that each gets, as Helm puts them together."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from bundle.charts import archive, helmyaml

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Values = dict[str, Any]

MAX_DEPTH: Final = 6
MAX_CHARTS: Final = 200
Path = tuple[str, ...]


@dataclass(frozen=True)
class Chart:
    """A chart as it lies in its archive."""

    metadata: Values
    values: Values
    files: Mapping[str, bytes]
    children: tuple[Chart, ...]

    @property
    def name(self) -> str:
        """The name in Chart.yaml."""
        return text_of(self.metadata.get("name"))

    @property
    def dependencies(self) -> list[Values]:
        """What Chart.yaml, or requirements.yaml before it, says of sub-charts."""
        found = self.metadata.get("dependencies")
        if found is None and "requirements.yaml" in self.files:
            tree = _yaml(self.files["requirements.yaml"], "requirements.yaml")
            found = tree.get("dependencies")
        return [item for item in found or [] if isinstance(item, dict)]


@dataclass
class Scope:
    """A chart in its place: under which name, with which values, switched on or off.

    ``path`` is the folder below the top chart, with a slash at its end; ``given`` is what the chart
    above says over this one's own values.
    """

    chart: Chart
    name: str
    path: str
    values: Values
    given: Values
    above: Scope | None = None
    enabled: bool = True
    children: list[Scope] = field(default_factory=list)

    def all(self) -> list[Scope]:
        """This chart and all below it."""
        return [self, *(scope for child in self.children for scope in child.all())]

    def file_of(self, path: Path) -> tuple[str, Path]:
        """Return the values.yaml that ``path`` comes from, and the path in that file."""
        if self.above and _has(self.given, path):
            return self.above.file_of((self.name, *path))
        return f"{self.path}values.yaml", path


def read(data: bytes) -> Chart:
    """Read a chart's .tgz; raise ``ValueError`` with the reason when it is none."""
    budget = [MAX_CHARTS]
    return _chart(archive.files(data), 0, budget)


def _chart(files: Mapping[str, bytes], depth: int, budget: list[int]) -> Chart:
    budget[0] -= 1
    if depth > MAX_DEPTH or budget[0] < 0:
        raise ValueError("too many charts in one another")
    if "Chart.yaml" not in files:
        raise ValueError("a chart without Chart.yaml")
    own: dict[str, bytes] = {}
    below: dict[str, dict[str, bytes]] = {}
    children: list[Chart] = []
    for path, data in files.items():
        folder, _, rest = path.removeprefix("charts/").partition("/")
        if not path.startswith("charts/"):
            own[path] = data
        elif folder.startswith(("_", ".")):
            continue
        elif rest:
            below.setdefault(folder, {})[rest] = data
        elif folder.endswith((".tgz", ".tar.gz")):
            children.append(_chart(archive.files(data), depth + 1, budget))
    children += [_chart(inner, depth + 1, budget) for inner in below.values()]
    return Chart(
        _yaml(files["Chart.yaml"], "Chart.yaml"),
        _yaml(files.get("values.yaml", b""), "values.yaml"),
        own,
        tuple(children),
    )


def _yaml(data: bytes, name: str) -> Values:
    try:
        tree = helmyaml.load(data.decode("utf-8-sig"))
    except ValueError as fault:
        raise ValueError(f"{name}: {fault}") from None
    if tree is not None and not isinstance(tree, dict):
        raise ValueError(f"{name} is no mapping")
    return tree or {}


def place(chart: Chart, values: Values) -> Scope:
    """Return the top chart with ``values`` over its own, and its sub-charts in their places."""
    top = Scope(chart, chart.name, "", merged(chart.values, values), {})
    tags = top.values.get("tags")
    _place_children(top, tags if isinstance(tags, dict) else {})
    return top


def _place_children(scope: Scope, tags: Values) -> None:
    declared = scope.chart.dependencies
    names = {child.name for child in scope.chart.children}
    for child in scope.chart.children:
        asked = [item for item in declared if text_of(item.get("name")) == child.name]
        for item in asked or [{}]:
            alias = text_of(item.get("alias")) or child.name
            _place_child(scope, child, alias, _switched_on(item, scope, tags), tags)
    _import_values(scope, declared)
    for item in declared:
        if text_of(item.get("name")) not in names and _switched_on(item, scope, tags):
            name = text_of(item.get("name"))
            raise ValueError(f"its sub-chart {name!r} is not in charts/: the chart is incomplete")


def _place_child(scope: Scope, child: Chart, alias: str, switch: bool, tags: Values) -> None:  # noqa: FBT001, RUF100
    given = scope.values.get(alias)
    given = dict(given) if isinstance(given, dict) else {}
    values = merged(child.values, given)
    shared = scope.values.get("global")
    if isinstance(shared, dict):
        own = values.get("global")
        values["global"] = merged(own if isinstance(own, dict) else {}, shared)
    inner = Scope(child, alias, f"{scope.path}charts/{alias}/", values, given, scope)
    inner.enabled = scope.enabled and switch
    scope.children.append(inner)
    _place_children(inner, tags)


def _import_values(scope: Scope, declared: Sequence[Values]) -> None:
    """Take over what sub-charts export; what the chart itself says wins (Helm, "import-values")."""
    children = {child.name: child for child in scope.children if child.enabled}
    for item in declared:
        child = children.get(text_of(item.get("alias")) or text_of(item.get("name")))
        wanted = item.get("import-values")
        for entry in wanted if child and isinstance(wanted, list) else []:
            if isinstance(entry, dict):
                source, target = text_of(entry.get("child")), text_of(entry.get("parent"))
            else:
                source, target = f"exports.{text_of(entry)}", "."
            table = _at(child.values, tuple(source.split("."))) if child else None
            for step in reversed([step for step in target.split(".") if step]):
                table = {step: table}
            if isinstance(table, dict):
                scope.values = merged(table, scope.values)


def _switched_on(item: Values, scope: Scope, tags: Values) -> bool:
    """Decide as Helm does: the first condition that is set, else the tags, else yes."""
    for condition in text_of(item.get("condition")).split(","):
        value = _at(scope.values, tuple(condition.strip().split(".")))
        if isinstance(value, bool):
            return value
    labels = item.get("tags")
    known = [tags[t] for t in labels if t in tags] if isinstance(labels, list) else []
    return any(value is True for value in known) if known else True


def merged(under: Values, over: Values) -> Values:
    """Return ``under`` with ``over`` laid on it; a null on top takes a key away."""
    found = deepcopy(under)
    for key, value in over.items():
        if value is None:
            found.pop(key, None)
        elif isinstance(value, dict) and isinstance(found.get(key), dict):
            found[key] = merged(found[key], value)
        else:
            found[key] = deepcopy(value)
    return found


def _at(values: object, path: Path) -> object:
    for step in path:
        if not isinstance(values, dict) or step not in values:
            return None
        values = values[step]
    return values


def _has(values: Values, path: Path) -> bool:
    return _at(values, path) is not None


def text_of(value: object) -> str:
    """Return a scalar as Helm writes it: ``true``, ``1.1``, nothing for null."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
