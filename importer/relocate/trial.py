"""A chart rendered with values, as often as it takes, and what it asks for then."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bundle.charts import chart as charts
from bundle.charts import helmprogram, helmyaml, manifests, rendering
from bundle.charts.engine import MARK

if TYPE_CHECKING:
    from bundle.charts.chart import Chart
    from bundle.charts.mentions import Mention
    from bundle.charts.rendering import Rendered
    from importer.relocate.names import Names

    Values = dict[str, Any]


@dataclass
class Trial:
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
                self.note(f"helm cannot render it, so dray reads it itself: {fault}")
        return rendering.render(charts.place(self.chart, values))

    def note(self, text: str) -> None:
        """Keep what could not be proved, once."""
        if text not in self.notes:
            self.notes.append(text)

    def named(self, values: Values) -> list[Mention]:
        """Return the images of what is switched on."""
        found, doubts = manifests.find(self.pages(values))
        for doubt in doubts:
            self.note(f"not proved: {doubt.place}")
        return [mention for mention in found if mention.enabled]

    def lost(self, values: Values) -> list[Mention]:
        """Return those that are not at the target under the name that they have."""
        return [m for m in self.named(values) if MARK not in m.name and not self.names.has(m)]
