"""Reads a chart with either reader, and writes small charts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from bundler.discover import FoundImage, discover
from bundler.spec import Nodes
from fixtures.chartfiles import chart_yaml, dump, pack
from tests.servers.programs import require

if TYPE_CHECKING:
    from collections.abc import Mapping

READERS = ["built-in", pytest.param("helm", marks=pytest.mark.server)]
OS = ("ubuntu22.04", "rhel9.4")
KERNELS = ("5.15.0-113-generic", "5.14.0-427.13.1.el9_4.x86_64")
NODES = Nodes(OS, KERNELS)


def read(
    archive: bytes,
    reader: str = "built-in",
    nodes: Nodes = NODES,
    **options: Any,
) -> list[FoundImage]:
    """Return all images; a warning (helm could not render) fails the test."""
    helm = str(require("helm")) if reader == "helm" else ""
    options.setdefault("architectures", ["amd64"])
    return discover(archive, nodes, helm=helm, warn=_never, what="chart x", **options)


def _never(text: str) -> None:
    raise AssertionError(text)


def carried(images: list[FoundImage]) -> list[str]:
    return [image.reference for image in images if image.carried]


def left(images: list[FoundImage]) -> list[str]:
    return [image.reference for image in images if not image.carried]


def small(
    values: object = None,
    templates: Mapping[str, str] | None = None,
    files: Mapping[str, str | bytes] | None = None,
    **facts: object,
) -> bytes:
    """Return a chart called ``small`` of these values and templates."""
    content: dict[str, str | bytes] = {
        "Chart.yaml": chart_yaml("small", "1.2.3", "4.5.6", **facts),
        "values.yaml": values if isinstance(values, str) else dump(values or {}),
    }
    content |= {f"templates/{name}": text for name, text in (templates or {}).items()}
    return pack("small", {**content, **(files or {})})


def pod(image: str, name: str = "p", more: str = "") -> str:
    """Return a pod with one container; ``image`` is the line as the template has it."""
    return (
        f"apiVersion: v1\nkind: Pod\nmetadata:\n  name: {name}\nspec:\n  containers:\n"
        f"    - name: main\n      image: {image}\n{more}"
    )
