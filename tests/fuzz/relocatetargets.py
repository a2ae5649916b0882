"""The fuzz target of charts that are given other names: any values, and what comes out of them."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from bundle.artifact import Artifact, Content
from bundle.charts import naming
from bundle.digest import Digest
from fixtures import chartfiles
from importer.relocate.names import Names
from importer.relocate.release import Ask, build
from importer.relocate.world import Stored

if TYPE_CHECKING:
    from collections.abc import Callable

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_TARGET = "harbor.example:5000/site"
_IMAGES = ("nvcr.io/nvidia/cuda:12.6", "docker.io/library/busybox:1", "quay.io/a/app:v1")
_TEMPLATE = (
    "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {{ toYaml .Values | nindent 2 }}\n"
)


@cache
def _stored(name: str, kind: str = "image") -> Stored:
    repository, _, tag = name.rpartition(":")
    root = Digest.of(name.encode())
    content = Content("manifest", _MANIFEST, root, 1, tags=(tag,))
    artifact = Artifact(kind, name, repository, tag, root, (content,))
    return Stored(artifact, "harbor.example:5000", f"site/{repository.partition('/')[2]}")


def chart_values(data: bytes) -> None:
    """Whatever a chart's values are, no image that was loaded keeps the name of its source."""
    archive = chartfiles.pack(
        "app",
        {
            "Chart.yaml": chartfiles.chart_yaml("app", "1.0.0"),
            "values.yaml": data,
            "templates/pod.yaml": _TEMPLATE,
        },
    )
    names = Names([_stored(name) for name in _IMAGES])
    chart = _stored("charts.example/x/app:1.0.0", "chart")
    made = build(chart, "app", archive, names, {}, ask=Ask("pull", pin=True), helm="")
    for row in made.missing:
        found = naming.split(row.partition(" ")[0].removesuffix("-…"))
        assert f"{found[0]}:{found[1]}" not in _IMAGES, row


TARGETS: dict[str, Callable[[bytes], object]] = {"chart-values": chart_values}
