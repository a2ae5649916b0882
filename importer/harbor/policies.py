"""What a target file says about a Harbor: its default project, and how projects are made."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from importer.harbor.projects import name_fault

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bundle.decode import Fields
    from importer.destinations import Destination
    from importer.targets.naming import Naming

PROJECT = "ngc"
"""The project of what no rule names, for a target that names none."""
CONNECTIONS = 3
"""Writers at once. All pushes to a project wait for one row of its quota."""
KEYS = ("project", "create", "metadata", "quota", "labels", "connections")
_METADATA = (
    "public",
    "auto_scan",
    "auto_sbom_generation",
    "prevent_vul",
    "severity",
    "enable_content_trust",
    "enable_content_trust_cosign",
    "reuse_sys_cve_allowlist",
)
"""Keys that a project may be made with (swagger.yaml, ProjectMetadata)."""
_SEVERITIES = ("none", "low", "medium", "high", "critical")
_SIZE = r"([1-9][0-9]{0,14})\s*(|[kMGT]B|[KMGT]iB)"
_UNITS = {"": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_UNITS |= {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}


@dataclass(frozen=True, slots=True)
class Policy:
    """What the target file says about projects: whether they may be made here, and how.

    ``quota`` is in bytes. ``labels`` tells whether what is new gets a label with the bundle's name.
    """

    creates: bool = True
    metadata: Mapping[str, str] = field(default_factory=lambda: {"public": "false"})
    quota: int | None = None
    labels: bool = True


def read(fields: Fields, destination: Destination, naming: Naming) -> tuple[Destination, Naming]:
    """Return the entry of a target file with what it says about projects.

    Raises :class:`bundle.errors.UsageError` with its place in the file.
    """
    project = naming.project
    if "project" in fields:
        project = fields.text("project", limit=255)
        if naming.prefix:
            raise fields.wrong("project", "stands in to: already", "leave one of the two out")
        if fault := name_fault(project):
            raise fields.wrong("project", f"is no name of one: it {fault}")
    metadata = _metadata(fields)
    policy = Policy(
        creates=fields.flag("create", default=True),
        metadata={"public": "false", **metadata},
        quota=_size(fields) if "quota" in fields else None,
        labels=fields.flag("labels", default=True),
    )
    connections = fields.integer("connections", CONNECTIONS, low=1, high=16)
    made = replace(destination, policy=policy, connections=connections)
    return made, replace(naming, project=project)


def _metadata(fields: Fields) -> Mapping[str, str]:
    inner = fields.child("metadata")
    found: dict[str, str] = {}
    for key in inner.names():
        if key not in _METADATA:
            raise inner.wrong(key, "is nothing that a project is made with", _known())
        if key == "severity":
            found[key] = inner.text(key, choices=_SEVERITIES)
        else:
            found[key] = "true" if inner.flag(key) else "false"
    return found


def _known() -> str:
    return "known here: " + ", ".join(_METADATA)


def _size(fields: Fields) -> int:
    value = fields.raw("quota")
    match = re.fullmatch(_SIZE, str(value)) if isinstance(value, str | int) else None
    if match is None or isinstance(value, bool):
        raise fields.wrong("quota", "is no size", "write 500GB, 2TiB, or bytes")
    return int(match[1]) * _UNITS[match[2]]
