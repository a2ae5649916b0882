"""The fuzz targets of stores: what of a model's own files is read before it is published."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from bundle.artifact import path_fault
from importer.targets import triton

if TYPE_CHECKING:
    from collections.abc import Callable

_MOST = 75_000
"""Files that a manifest of 10 MB names at most: with role, size, digest and type, each has 130
bytes beside its path."""


def triton_config(data: bytes) -> None:
    """A configuration: it fits its folder or is refused; no other is told as the folder's name."""
    with suppress(triton.Unloadable):
        triton.check_config(data, "asr")


def triton_paths(data: bytes) -> None:
    """Paths: each has a place of its own in a model, or all are refused."""
    lines = data.split(b"\n", _MOST)[:_MOST]
    texts = {line.decode("utf-8", "replace") for line in lines}
    paths = {text for text in texts if not path_fault(text)}  # no other is in a manifest
    with suppress(triton.Unloadable):
        found = triton.arrange("asr", "1.0", paths)
        assert set(found.places) == paths
        assert len(set(found.places.values())) == len(paths)


TARGETS: dict[str, Callable[[bytes], object]] = {
    "triton-config": triton_config,
    "triton-paths": triton_paths,
}
