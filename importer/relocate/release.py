"""The values with which a chart names its images at the target, and the proof that it does.

What the values name is renamed where it was loaded. Then the chart is rendered with them, and every
image of what came out must be at the target under that very name: templates put names together in
ways that no reader of values can foresee. A name that is still the source's may come from a
registry that is written elsewhere in the values; that is tried, and proved the same way.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from bundle.charts import chart as charts
from bundle.charts import helmprogram, helmyaml, manifests, naming, rendering
from bundle.charts.engine import MARK
from bundle.errors import TargetError
from importer.relocate import mirrors, secretvalues, spots

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from bundle.charts.chart import Chart, Scope
    from bundle.charts.mentions import Mention
    from bundle.charts.rendering import Rendered
    from importer.relocate.spots import Spot
    from importer.relocate.world import Stored

    Values = dict[str, Any]

_HUB = ("", "docker.io/library/", "docker.io/")
"""What a name without a host may begin with."""


@dataclass(frozen=True)
class Release:
    """A chart, and the values for it. ``missing`` are images that no cluster would find.

    ``stem`` is a name for files and objects that no other release has; ``notes`` say what could not
    be proved.
    """

    chart: Stored
    stem: str
    name: str
    version: str
    values: Values
    missing: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass
class Names:
    """What was loaded, by its names at the source and at the target."""

    images: Sequence[Stored]
    _sources: dict[str, list[Stored]] = field(default_factory=dict)
    _targets: dict[str, list[Stored]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for one in self.images:
            self._sources.setdefault(one.source, []).append(one)
            self._targets.setdefault(one.target, []).append(one)

    def target(self, name: str) -> tuple[str, str] | None:
        """Return where the repository of a source name is, and the digest to name there.

        That is another one where the index that is named stayed behind, and its child was carried.
        """
        repository, _tag, digest = naming.split(name)
        for beginning in _HUB:
            if found := self._sources.get(beginning + repository):
                same = next((one for one in found if one.artifact.name == name), None)
                return found[0].target, str(same.artifact.root) if same and digest else ""
        return None

    def has(self, mention: Mention) -> bool:
        """Whether a name at the target is there; an operator may append to its tag."""
        repository, tag, digest = naming.split(mention.name)
        there = self._targets.get(repository, [])
        if digest:
            return any(digest == c.digest for one in there for c in one.artifact.manifests)
        tags = {tag for one in there for c in one.artifact.manifests for tag in c.tags}
        if mention.suffix:
            return any(known.startswith(f"{tag}-") for known in tags)
        return tag in tags

    def common(self, prefix: str) -> str | None:
        """Return the target of everything below the beginning of a source name."""
        own = {
            source: held[0].target
            for source, held in self._sources.items()
            if f"{source}/".startswith(f"{prefix}/")
        }
        return mirrors.common(prefix, own) if own else None


def stems(found: Sequence[Stored]) -> list[str]:
    """Return a short name for each chart, longer where two would have the same."""
    short = [f"{one.path.rpartition('/')[2]}-{_version(one)}" for one in found]
    long = [f"{one.path.replace('/', '-')}-{_version(one)}" for one in found]
    return [a if short.count(a) == 1 else b for a, b in zip(short, long, strict=True)]


def _version(chart: Stored) -> str:
    return chart.tags[0] if chart.tags else chart.artifact.root.hex[:12]


def build(
    chart: Stored,
    stem: str,
    archive: bytes,
    names: Names,
    own: Values,
    *,
    pull_secret: str = "",
    helm: str | None = None,
) -> Release:
    """Return the release; raise :class:`TargetError` for what is no chart.

    ``own`` are values of the site, over which those of the release are laid. ``helm`` is the path
    of the program, empty for the reader here; by default it is looked for.
    """
    try:
        found = charts.read(archive)
        top = charts.place(found, own)
    except ValueError as fault:
        raise TargetError(f"{chart.reference} cannot be read as a chart: {fault}") from None
    made = _Maker(found, archive, names, own, helmprogram.find() if helm is None else helm)
    values = made.proved(_renamed(top, names))
    missing = made.missing(values)
    if pull_secret:
        values = secretvalues.add(top, values, pull_secret, made.pages)
    version = charts.text_of(found.metadata.get("version"))
    return Release(chart, stem, found.name, version, values, missing, tuple(made.notes))


def _renamed(top: Scope, names: Names) -> Values:
    """Return values in which each name that was loaded is that of the target."""
    found: Values = {}
    for scope in top.all():
        after = deepcopy(scope.values)
        hosts = set()
        for spot in _outer_first(spots.find(scope)):
            if target := names.target(spot.name):
                spot.write(after, *target)
                hosts.add(target[0].partition("/")[0])
        shared = after.get(spots.GLOBAL)
        if isinstance(shared, dict) and shared.get("imageRegistry") and len(hosts) == 1:
            shared["imageRegistry"] = hosts.pop()
        own = {child.name for child in scope.children}
        changed = spots.difference(scope.values, after)
        changed = {key: value for key, value in changed.items() if key not in own}
        found = charts.merged(found, spots.raised(scope, changed))
    return found


def _outer_first(found: Iterable[Spot]) -> list[Spot]:
    return sorted(found, key=lambda spot: len(spot.path))


@dataclass
class _Maker:
    """One chart, rendered as often as it takes."""

    chart: Chart
    archive: bytes
    names: Names
    own: Values
    helm: str
    notes: list[str] = field(default_factory=list)
    _pages: dict[str, list[Rendered]] = field(default_factory=dict)

    def pages(self, values: Values) -> list[Rendered]:
        """Return the manifests, of helm where it is installed."""
        whole = charts.merged(self.own, values)
        key = helmyaml.dump(whole)
        if key not in self._pages:
            self._pages[key] = self._render(whole)
        return self._pages[key]

    def _render(self, values: Values) -> list[Rendered]:
        if self.helm:
            try:
                return helmprogram.render(self.helm, self.archive, values)
            except helmprogram.HelmError as fault:
                self._note(f"helm cannot render it, so dray reads it itself: {fault}")
        return rendering.render(charts.place(self.chart, values))

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    def _named(self, values: Values) -> list[Mention]:
        found, doubts = manifests.find(self.pages(values))
        for doubt in doubts:
            self._note(f"not proved: {doubt.place}")
        return [mention for mention in found if mention.enabled]

    def _lost(self, values: Values) -> list[Mention]:
        return [m for m in self._named(values) if MARK not in m.name and not self.names.has(m)]

    def proved(self, values: Values) -> Values:
        """Return the values, with registries replaced that stand apart from their images."""
        lost = self._lost(values)
        if not any(self.names.target(mention.name) for mention in lost):
            return values
        other = charts.merged(values, self._registries(values, lost))
        return other if len(self._lost(other)) < len(lost) else values

    def _registries(self, values: Values, lost: Iterable[Mention]) -> Values:
        wanted = [naming.split(m.name)[0] for m in lost if self.names.target(m.name)]
        found: Values = {}
        for scope in charts.place(self.chart, charts.merged(self.own, values)).all():
            after = deepcopy(scope.values)
            own = {child.name for child in scope.children}
            for above, key, text in _texts(after, own):
                if any(name == text or name.startswith(f"{text}/") for name in wanted):
                    above[key] = self.names.common(text) or text
            changed = spots.difference(scope.values, after)
            found = charts.merged(found, spots.raised(scope, changed))
        return found

    def missing(self, values: Values) -> tuple[str, ...]:
        """Return what clusters would not find, each with the place that names it.

        What is only out of the values' reach is a note: it was loaded, and mirrors find it.
        """
        rows: dict[str, str] = {}
        for mention in self._lost(values):
            if self._is_there(mention):
                self._note(
                    f"{mention.name} is written where no value reaches it ({mention.place}):"
                    " it needs the mirrors, or Kyverno"
                )
                continue
            more = "-…" if mention.suffix and "@" not in mention.name else ""
            rows.setdefault(f"{mention.name}{more}", f"({mention.place})")
        return tuple(f"{name} {where}" for name, where in sorted(rows.items()))

    def _is_there(self, mention: Mention) -> bool:
        """Whether a name of the source was loaded, in this version."""
        found = self.names.target(mention.name)
        _repository, tag, digest = naming.split(mention.name)
        after = f"@{digest}" if digest else f":{tag}"
        return found is not None and self.names.has(replace(mention, name=found[0] + after))


def _texts(tree: Any, but: Collection[str] = ()) -> Iterator[tuple[Any, Any, str]]:
    """Yield every text in a tree with what holds it, and where; ``but`` are keys at its top."""
    rows = list(tree.items()) if isinstance(tree, dict) else list(enumerate(tree))
    for key, value in rows:
        if key in but:
            continue
        if isinstance(value, str) and value:
            yield tree, key, value
        elif isinstance(value, dict | list):
            yield from _texts(value)
