"""The built-in reader: a chart's manifests as Helm would print them, without Helm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from bundle.charts import functions
from bundle.charts.chart import text_of
from bundle.charts.engine import STEPS, UNKNOWN, Engine
from bundle.charts.files import Files
from bundle.charts.template import TemplateError, parse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bundle.charts.chart import Scope

RELEASE: Final = "dray"
"""Name of the release that a chart is rendered for, by both readers."""
KUBERNETES: Final = "v1.33.0"
"""Version that a chart sees, by both readers; conditions on older ones lead to older images."""

PATIENCE: Final = 5
"""Files that may ask for too much before the rest is not tried."""
_FAULTS = (RecursionError, TypeError, ValueError, LookupError, AttributeError, ArithmeticError)
"""What a template that Go would refuse as well may run into."""


@dataclass(frozen=True)
class Rendered:
    """A file of the chart after its templates ran: ``file`` is its path below the top chart.

    ``doubts`` say what could not be decided or read in it, each a reason for people.
    """

    file: str
    text: str
    doubts: tuple[str, ...] = ()


def render(top: Scope) -> list[Rendered]:
    """Render every template of a chart and of the sub-charts that are switched on."""
    scopes = [scope for scope in top.all() if scope.enabled]
    contexts = _contexts(top)
    engine = Engine({}, functions.table())
    found: list[Rendered] = []
    broken: dict[str, str] = {}
    pages: list[tuple[str, dict[str, Any]]] = []
    for scope in reversed(scopes):  # the chart above defines last, and wins
        for name, data in sorted(scope.chart.files.items()):
            file = scope.path + name
            if name.startswith("crds/") and name.endswith((".yaml", ".yml")):
                found.append(Rendered(file, data.decode(errors="replace")))
            if name.startswith("templates/"):
                _define(engine, file, data, broken)
                if name.endswith((".yaml", ".yml", ".json")) and not _is_partial(name):
                    pages.append((file, contexts[id(scope)]))
    for file, context in sorted(pages, key=lambda page: page[0]):
        found.append(_page(engine, top.name, file, context, broken))
    return found


def _is_partial(name: str) -> bool:
    return name.rpartition("/")[2].startswith("_")


def _define(engine: Engine, file: str, data: bytes, broken: dict[str, str]) -> None:
    try:
        parsed = parse(data.decode(errors="replace"))
    except (TemplateError, RecursionError) as fault:
        broken[file] = str(fault) or type(fault).__name__
        return
    engine.templates.update(parsed.defined)
    engine.templates[file] = parsed.body


def _page(
    engine: Engine, top: str, file: str, context: dict[str, Any], broken: Mapping[str, str]
) -> Rendered:
    if file in broken:
        return Rendered(file, "", (f"its template cannot be read: {broken[file]}",))
    engine.doubts = []
    base = f"{top}/{file.partition('templates/')[0]}templates"
    own = {**context, "Template": {"Name": f"{top}/{file}", "BasePath": base}}
    engine.steps = STEPS if engine.failed < PATIENCE else 0
    output = engine.output
    try:
        text = engine.render(file, own)
    except (*_FAULTS, TemplateError) as fault:
        engine.failed, engine.output = engine.failed + 1, output
        reason = fault if isinstance(fault, TemplateError) else type(fault).__name__
        return Rendered(file, "", (f"its template cannot be read: {reason}",))
    doubts = [f"a part cannot be decided: {doubt[:120]}" for doubt in engine.doubts]
    return Rendered(file, text, tuple(dict.fromkeys(doubts)))


def _contexts(scope: Scope) -> dict[int, dict[str, Any]]:
    """Return what each chart's templates see as the dot; a chart above sees its sub-charts'."""
    found: dict[int, dict[str, Any]] = {}
    below: dict[str, Any] = {}
    for child in scope.children:
        if child.enabled:
            found |= _contexts(child)
            below[child.name] = found[id(child)]
            # Helm lays a sub-chart's values into those of the chart above.
            scope.values[child.name] = child.values
    metadata = {key[:1].upper() + key[1:]: value for key, value in scope.chart.metadata.items()}
    chart = {**metadata, "Name": scope.name, "AppVersion": text_of(metadata.get("AppVersion"))}
    chart["Version"] = text_of(metadata.get("Version"))
    found[id(scope)] = {
        "Values": scope.values,
        "Chart": chart,
        "Release": _release(),
        "Capabilities": _capabilities(),
        "Files": Files.of(scope.chart.files),
        "Subcharts": below,
    }
    return found


def _release() -> dict[str, Any]:
    names = {"Name": RELEASE, "Namespace": "default", "Service": "Helm"}
    return {**names, "IsInstall": True, "IsUpgrade": False, "Revision": 1}


def _capabilities() -> dict[str, Any]:
    major, minor, _patch = KUBERNETES[1:].split(".")
    version = {"Version": KUBERNETES, "GitVersion": KUBERNETES, "Major": major, "Minor": minor}
    return {"KubeVersion": version, "APIVersions": {"Has": _is_built_in}, "HelmVersion": UNKNOWN}


def _is_built_in(name: str) -> bool:
    """Tell whether Kubernetes itself has an API (Helm's default set, without a cluster)."""
    group = name.partition("/")[0] if "/" in name else ""
    return "." not in group or (group.endswith(".k8s.io") and not group.startswith("gateway."))
