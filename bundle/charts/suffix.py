"""What NVIDIA's operators append to the tags of driver images when they run."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from bundle.charts.mentions import Path

OS: Final = "os"
PRECOMPILED: Final = "precompiled"
OFED: Final = "ofed"
OFED_PRECOMPILED: Final = "ofed-precompiled"
KINDS: Final = ("ClusterPolicy", "NVIDIADriver", "NicClusterPolicy", "NicNodePolicy")
_GPU = frozenset({"ClusterPolicy", "NVIDIADriver"})
_NETWORK = frozenset({"NicClusterPolicy", "NicNodePolicy"})
_BY_OS = frozenset({"gds", "gdrcopy", "vgpuManager"})
_KIND = re.compile(rf"^kind:\s*[\"']?({'|'.join(KINDS)})\b", re.MULTILINE)


def kinds_in(text: str) -> set[str]:
    """Return which of the operators' own resources a template makes."""
    return set(_KIND.findall(text))


def of_resource(kind: str) -> Callable[[Path, dict[str, Any]], str]:
    """Return what says, for a mapping in a resource of ``kind``, what is appended to its image.

    GPU operator: the driver gets the OS, or kernel and OS when precompiled; GDS, GDRCopy and the
    vGPU manager get the OS (controllers/object_controls.go, resolveDriverTag; NVIDIADriver's
    GetImagePath and GetPrecompiledImagePath). Network operator: the DOCA driver gets OS and
    architecture, with the kernel between when precompiled (pkg/state/state_ofed.go).
    """

    def suffix(path: Path, mapping: dict[str, Any]) -> str:
        below = path[1:] if path[:1] == ("spec",) else None
        if kind == "NVIDIADriver" and below == ():
            return _driver(mapping)
        return _component(below[0], mapping, {kind}) if below and len(below) == 1 else ""

    return suffix


def of_values(kinds: set[str]) -> Callable[[Path, dict[str, Any]], str]:
    """Return the same for the values of a chart whose templates make resources of ``kinds``."""

    def suffix(path: Path, mapping: dict[str, Any]) -> str:
        return _component(path[0], mapping, kinds) if len(path) == 1 else ""

    return suffix


def _component(key: str | int, mapping: dict[str, Any], kinds: set[str]) -> str:
    if key == "driver" and kinds & _GPU:
        return _driver(mapping)
    if key in _BY_OS and kinds & _GPU:
        return OS
    if key == "ofedDriver" and kinds & _NETWORK:
        return OFED_PRECOMPILED if mapping.get("forcePrecompiled") is True else OFED
    return ""


def _driver(mapping: dict[str, Any]) -> str:
    return PRECOMPILED if mapping.get("usePrecompiled") is True else OS


def inherited(document: Any) -> Any:
    """Fill in what components of a NicClusterPolicy take from its ``spec.global``."""
    spec = document.get("spec") if isinstance(document, dict) else None
    shared = spec.get("global") if isinstance(spec, dict) else None
    if not isinstance(spec, dict) or not isinstance(shared, dict):
        return document
    if document.get("kind") not in _NETWORK:
        return document
    common = {key: shared[key] for key in ("repository", "version") if shared.get(key)}

    def filled(tree: Any) -> Any:
        if not isinstance(tree, dict):
            return tree
        inner = {key: filled(value) for key, value in tree.items()}
        if isinstance(tree.get("image"), str):
            inner |= {key: value for key, value in common.items() if not tree.get(key)}
        return inner

    components = {key: filled(value) for key, value in spec.items() if key != "global"}
    return {**document, "spec": components}
