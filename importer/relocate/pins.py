"""Digests in the place of tags, wherever what puts the name together takes one.

A template or an operator may join a digest with ``@``, or glue it behind a colon, which is no name
at all. The GPU operator does the first for its operands (internal/image), its chart the second for
the operator itself (_helpers.tpl, "fullimage"). So each is tried, what comes out is looked at, and
what did not take a digest keeps its tag. What an operator appends to is left alone.
"""

from __future__ import annotations

import re
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bundle.charts import chart as charts
from bundle.charts import naming
from importer.relocate import spots

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from bundle.charts.mentions import Mention
    from importer.relocate.names import Names
    from importer.relocate.spots import Spot
    from importer.relocate.trial import Trial

    Values = dict[str, Any]

_ROUNDS = 4
_JOINED = re.compile(r" spec\.\S*\{")
"""A name that an operator puts together from several keys of its resource."""
_TAKES_DIGESTS = (": ClusterPolicy/", ": NVIDIADriver/")
"""Resources whose operator is known to join a digest with @."""
_BARE = frozenset({"sha", "sha256", "containerSHA"})
"""Keys that have a digest without ``sha256:``."""


@dataclass(frozen=True, slots=True)
class _Pin:
    """A repository at the target, and the digest that its one tag in use has."""

    repository: str
    digest: str


def add(trial: Trial, names: Names, values: Values) -> Values:
    """Return the values with digests where the chart, rendered with them, asks by digest."""
    wanted = _wanted(trial, names, values)
    for _round in range(_ROUNDS):
        pinned = _pinned(trial, values, wanted)
        bad = {naming.split(m.name)[0] for m in trial.named(pinned) if _is_bad(m, names, wanted)}
        if not bad:
            return pinned
        wanted = {name: pin for name, pin in wanted.items() if name not in bad}
    return values


def _wanted(trial: Trial, names: Names, values: Values) -> dict[str, _Pin]:
    """Return what could be pinned: repositories of which one tag is asked for, as it is."""
    asked: dict[str, set[str]] = {}
    for mention in trial.named(values):
        repository, _tag, digest = naming.split(mention.name)
        found = "" if digest or mention.suffix else names.root(mention)
        asked.setdefault(repository, set()).add(found)
    return {
        repository: _Pin(repository, digest)
        for repository, digests in asked.items()
        if len(digests) == 1 and (digest := next(iter(digests)))
    }


def _is_bad(mention: Mention, names: Names, wanted: Mapping[str, _Pin]) -> bool:
    repository, tag, digest = naming.split(mention.name)
    if tag.startswith("sha256") or not names.has(mention):
        return True
    joined = _JOINED.search(mention.place) and repository in wanted and digest
    return bool(joined) and not any(kind in mention.place for kind in _TAKES_DIGESTS)


def _pinned(trial: Trial, values: Values, wanted: Mapping[str, _Pin]) -> Values:
    found = values
    for scope in charts.place(trial.chart, charts.merged(trial.own, values)).all():
        after = deepcopy(scope.values)
        for spot in spots.find(scope):
            pin = wanted.get(naming.split(spot.name)[0])
            if pin and spot.keys and "@" not in spot.name:
                _write(spots.at(after, spot.path), spot, pin.digest)
        own: Collection[str] = {child.name for child in scope.children}
        changed = spots.difference(scope.values, after)
        changed = {key: value for key, value in changed.items() if key not in own}
        found = charts.merged(found, spots.raised(scope, changed))
    return found


def _write(mapping: Values, spot: Spot, digest: str) -> None:
    """Put a digest into its own key, else into that of the tag, else into NVIDIA's ``version``."""
    for key in naming.DIGEST:
        if key in mapping:
            mapping[key] = digest.removeprefix("sha256:") if key in _BARE else digest
            return
    for key in naming.TAG:
        if key in mapping:
            mapping[key] = digest
            return
    if "image" in spot.keys and "repository" in spot.keys:
        mapping["version"] = digest
