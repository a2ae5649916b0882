"""The labels of what an import brings: which bundle it came with, and what it needs to be used."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bundle.artifact import Artifact
    from importer.harbor.projects import Right

RIGHTS: frozenset[Right] = frozenset(
    {("label", "list"), ("label", "create"), ("artifact-label", "create")}
)
"""What it takes to label; without them an import goes on, and says so."""
LONGEST = 128
"""Characters of a label's name (src/pkg/label/model/model.go, Valid)."""


def wanted(bundle: str, artifact: Artifact) -> dict[str, str]:
    """Return the names of an artifact's labels, each with what it means.

    ``bundle`` is ``<stream>-<sequence>``. Entitlements are those that the low side saw when it
    locked, and signed with the bundle.
    """
    found = {bundle[:LONGEST]: "brought by this bundle of dray"}
    for product in artifact.notes.get("entitlement", "").split(", "):
        if product:
            about = "NGC listed it for those entitled to this product"
            found[f"entitlement:{product}"[:LONGEST]] = about
    return found
