"""The names that nodes ask for: what an operator appends, from what the spec says of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bundle.charts.suffix import OFED, OFED_PRECOMPILED, PRECOMPILED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bundler.spec import Nodes


class MissingNodes(Exception):
    """A key of the spec that the tags of an image need; the text names it and says what for."""


def expand(name: str, suffix: str, nodes: Nodes, architectures: Sequence[str]) -> list[str]:
    """Return the names that nodes will ask for; a digest is left alone, as the operators do.

    Raises :class:`MissingNodes` when the spec does not say what the nodes are.
    """
    if not suffix or "@" in name:
        return [name]
    if not nodes.os:
        raise MissingNodes("nodes.os, such as [ubuntu22.04]: the operator appends it to the tag")
    kernels: Sequence[str] = ("",)
    if suffix in {PRECOMPILED, OFED_PRECOMPILED}:
        kernels = nodes.kernels
        if not kernels:
            raise MissingNodes(
                "nodes.kernels, such as [5.15.0-113-generic]: the driver is precompiled"
            )
    machines: Sequence[str] = ("",)
    if suffix in {OFED, OFED_PRECOMPILED}:
        machines = architectures
        if not machines:
            raise MissingNodes(
                "platforms, such as [linux/amd64]: the operator appends the architecture"
            )
    return [
        "-".join(part for part in (name, kernel, os, machine) if part)
        for os in nodes.os
        for kernel in kernels
        for machine in machines
    ]
