"""The images that the charts of a spec need: a chart's archive is fetched, read, and explained."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from threading import Lock as Mutex
from typing import TYPE_CHECKING

from bundle.digest import verified
from bundle.errors import SourceError
from bundle.progress import counted
from bundle.transfer import resume
from bundler.discover import FoundImage, discover
from bundler.sources.helm import ARCHIVE_LIMIT, CONTENT

if TYPE_CHECKING:
    from collections.abc import Callable

    from bundler.entries import ChartEntry
    from bundler.lock import LockedArtifact, LockedContent
    from bundler.sources.base import OpenAt
    from bundler.spec import Spec

    Opener = Callable[[LockedArtifact, LockedContent], OpenAt]


@dataclass
class ChartImages:
    """Collects what the charts of a run need; charts are read in parallel.

    ``opener`` opens a chart's archive; ``warn`` takes sentences for people.
    """

    spec: Spec
    opener: Opener
    warn: Callable[[str], object]
    found: list[tuple[str, FoundImage]] = field(default_factory=list)
    _mutex: Mutex = field(default_factory=Mutex)

    def read(self, entry: ChartEntry, chart: LockedArtifact) -> None:
        """Read a chart that was pinned; raise as :func:`bundler.discover.discover` does."""
        name = f"{entry.name} {entry.version}"
        images = discover(
            self._archive(chart),
            self.spec.nodes,
            answers=entry.answers,
            values=entry.values,
            architectures=_architectures(self.spec),
            what=f"{entry.where}: chart {name}",
            warn=self.warn,
        )
        with self._mutex:
            self.found += [(name, image) for image in images]

    def _archive(self, chart: LockedArtifact) -> bytes:
        layers = [item for item in chart.contents if item.content.media_type == CONTENT]
        if len(layers) != 1 or layers[0].content.size > ARCHIVE_LIMIT:
            raise SourceError(
                f"{chart.artifact.name} has no chart in it that dray can read",
                hint=f"a chart is one layer of type {CONTENT}, of at most {ARCHIVE_LIMIT} bytes",
            )
        content, what = layers[0].content, f"the archive of {chart.artifact.name}"
        blocks = resume(self.opener(chart, layers[0]), size=content.size, what=what)
        return b"".join(verified(blocks, digest=content.digest, size=content.size, what=what))

    def wanted(self) -> dict[str, str]:
        """Return the images to carry, with the reason for each: charts and places that name it.

        What the spec names itself is left to its own entry, which may say more about it.
        """
        self._warn_of_what_is_left()
        named = {entry.name for entry in self.spec.images if not entry.tags}
        reasons: dict[str, list[str]] = {}
        for chart, image in sorted(self.found, key=lambda pair: (pair[1].reference, pair[0])):
            if image.carried and image.reference not in named:
                reasons.setdefault(image.reference, []).append(f"{chart} {image.why}")
        return {name: "; ".join(dict.fromkeys(why)) for name, why in reasons.items()}

    def _warn_of_what_is_left(self) -> None:
        for chart in sorted({chart for chart, image in self.found if not image.carried}):
            left = sum(1 for name, image in self.found if name == chart and not image.carried)
            images = counted(left, "image")
            self.warn(
                f"chart {chart}: {images} of parts that are switched off not carried;"
                f" dray lock {self.spec.path} --why shows them"
            )

    def rows(self) -> list[dict[str, object]]:
        """Return one row for each image of each chart, those left behind included."""
        return [
            {
                "chart": chart,
                "image": image.reference,
                "carried": image.carried,
                "why": image.why,
                "places": list(image.places),
                **({"expanded-from": image.expanded_from} if image.expanded_from else {}),
            }
            for chart, image in sorted(self.found, key=lambda pair: (pair[0], pair[1].reference))
        ]


def explained(image: LockedArtifact, why: str) -> LockedArtifact:
    """Return a locked image with the note that says why it is carried."""
    notes = {**image.artifact.notes, "why": why}
    return replace(image, artifact=replace(image.artifact, notes=notes))


def table(rows: list[dict[str, object]]) -> list[str]:
    """Return the rows as lines for people: the chart, then its images, each with its reason."""
    lines: list[str] = []
    for chart in dict.fromkeys(str(row["chart"]) for row in rows):
        lines.append(chart)
        own = [row for row in rows if row["chart"] == chart]
        for carried, head in ((True, ""), (False, "  switched off, left behind (answer: carry):")):
            part = [row for row in own if row["carried"] is carried]
            lines += [head] if part and head else []
            for row in part:
                lines += [f"  {row['image']}", f"      {row['why']}"]
    return lines or ["no chart of the spec says images: discover"]


def _architectures(spec: Spec) -> list[str]:
    if spec.platforms == "all":
        return []
    return list(dict.fromkeys(name.split("/")[1] for name in spec.platforms))
