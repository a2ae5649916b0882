"""Finds the images that a Helm chart needs, each with the place that names it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bundle.charts import chart, helmprogram, manifests, rendering, valuefiles
from bundle.errors import SourceError
from bundler.discover.verdict import CARRY, SKIP, FoundImage, Judge

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bundle.charts.chart import Scope
    from bundle.charts.rendering import Rendered
    from bundler.spec import Nodes

__all__ = ["CARRY", "SKIP", "FoundImage", "discover"]


def discover(
    chart_tgz: bytes,
    nodes: Nodes,
    *,
    answers: Mapping[str, str] | None = None,
    values: Mapping[str, Any] | None = None,
    architectures: Sequence[str] = (),
    helm: str | None = None,
    what: str = "chart",
    warn: Callable[[str], object] = lambda _text: None,
) -> list[FoundImage]:
    """Return the images of a chart, by reference: carried ones, and those of parts switched off.

    Values and rendered manifests are read, those of ``helm template`` where the program is
    installed (``helm``: its path; empty for the built-in reader). ``values`` are laid over the
    chart's own, as ``helm install --values`` does. ``architectures`` are those of the nodes
    (``amd64``). ``answers`` map a place, as messages show it, to a whole reference, ``skip`` or
    ``carry`` (a part that is switched off).

    Raises :class:`SourceError` for what is no chart, and :class:`bundle.errors.UsageError` with
    every name that means nothing by itself: none is ever guessed.
    """
    try:
        top = chart.place(chart.read(chart_tgz), dict(values or {}))
    except ValueError as fault:
        raise SourceError(f"{what} cannot be read: {fault}") from None
    named = valuefiles.find(top)  # before templates run: they may set values
    program = helmprogram.find() if helm is None else helm
    found, doubts = manifests.find(_rendered(top, chart_tgz, values or {}, program, what, warn))
    judge = Judge(what, nodes, architectures, answers or {})
    return judge.images([*named, *found], doubts)


def _rendered(
    top: Scope,
    chart_tgz: bytes,
    values: Mapping[str, Any],
    program: str,
    what: str,
    warn: Callable[[str], object],
) -> list[Rendered]:
    if program:
        try:
            return helmprogram.render(program, chart_tgz, values)
        except helmprogram.HelmError as fault:
            warn(f"{what}: helm cannot render it, so dray reads it itself: {fault}")
    return rendering.render(top)
