"""The fuzz targets of stores: what of a model's own files is read before it is published."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from importer.targets import triton

if TYPE_CHECKING:
    from collections.abc import Callable


def triton_config(data: bytes) -> None:
    """A configuration: it fits its folder or is refused; no other is told as the folder's name."""
    with suppress(triton.Unloadable):
        triton.check_config(data, "asr")


def triton_paths(data: bytes) -> None:
    """Paths: each has a place of its own in a model, or all are refused."""
    paths = {line for line in data.decode("utf-8", "replace").split("\n") if line}
    with suppress(triton.Unloadable):
        found = triton.arrange("asr", "1.0", paths)
        assert set(found.places) == paths
        assert len(set(found.places.values())) == len(paths)


TARGETS: dict[str, Callable[[bytes], object]] = {
    "triton-config": triton_config,
    "triton-paths": triton_paths,
}
