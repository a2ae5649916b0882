"""The values with which a chart names its images at the target, and the proof that it does.

What the values name is renamed where it was loaded. Then the chart is rendered with them, and every
image of what came out must be at the target under that very name: templates put names together in
ways that no reader of values can foresee. A name that is still the source's may come from a
registry that is written elsewhere in the values; that is tried, and proved the same way.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from bundle.charts import chart as charts
from bundle.charts import helmprogram, naming
from bundle.errors import TargetError
from importer.relocate import pins, secretvalues, spots
from importer.relocate.trial import Trial

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from bundle.charts.chart import Scope
    from bundle.charts.mentions import Mention
    from importer.relocate.names import Names
    from importer.relocate.spots import Spot
    from importer.relocate.world import Stored

    Values = dict[str, Any]


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


@dataclass(frozen=True, slots=True)
class Ask:
    """What else is wanted of values: the name of a pull secret, digests in the place of tags."""

    pull_secret: str = ""
    pin: bool = False


NOTHING = Ask()


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
    ask: Ask = NOTHING,
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
    trial = Trial(found, archive, names, own, helmprogram.find() if helm is None else helm)
    proof = _Proof(trial, names)
    values = proof.mended(_renamed(top, names))
    missing = proof.missing(values)
    if ask.pin:
        values = pins.add(trial, names, values)
    if ask.pull_secret:
        values = secretvalues.add(top, values, ask.pull_secret, trial.pages)
    version = charts.text_of(found.metadata.get("version"))
    return Release(chart, stem, found.name, version, values, missing, tuple(trial.notes))


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
class _Proof:
    """What is missing, and what other values may mend, by trials."""

    trial: Trial
    names: Names

    def mended(self, values: Values) -> Values:
        """Return the values, with registries replaced that stand apart from their images."""
        lost = self.trial.lost(values)
        if not any(self.names.target(mention.name) for mention in lost):
            return values
        other = charts.merged(values, self._registries(values, lost))
        return other if len(self.trial.lost(other)) < len(lost) else values

    def _registries(self, values: Values, lost: Iterable[Mention]) -> Values:
        wanted = [naming.split(m.name)[0] for m in lost if self.names.target(m.name)]
        found: Values = {}
        for scope in charts.place(self.trial.chart, charts.merged(self.trial.own, values)).all():
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
        for mention in self.trial.lost(values):
            if self._is_there(mention):
                self.trial.note(
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
