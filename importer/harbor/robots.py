"""The robot that an import needs: its rights, each with a reason, and nothing beyond them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from importer.harbor.api import Api
    from importer.harbor.projects import Right

PUSH: dict[Right, str] = {
    ("repository", "push"): "blobs, manifests and tags",
    ("repository", "pull"): "what is there already, and reading back what was pushed",
}
"""Without these nothing can be imported."""
NOTES: dict[Right, str] = {
    ("project", "read"): "whether the project is a proxy cache, and its policies",
    ("quota", "read"): "whether the bytes fit, before the first is sent",
    ("immutable-tag", "list"): "which tags may not be moved, before the first byte is sent",
    ("artifact", "read"): "labels, tags and accessories of an artifact",
    ("label", "list"): "labels with bundle and sequence",
    ("label", "create"): "labels with bundle and sequence",
    ("artifact-label", "create"): "labels with bundle and sequence",
}
"""Without these something is not checked beforehand, or not written down."""
SCAN: dict[Right, str] = {
    ("scan", "create"): "scans before promotion",
    ("scan", "read"): "scans before promotion",
    ("artifact-addition", "read"): "what the scans found",
    ("artifact", "list"): "copies between projects",
    ("artifact", "create"): "copies between projects",
    ("tag", "create"): "tags after a copy",
    ("tag", "list"): "tags after a copy",
    ("accessory", "list"): "signatures that have to come along",
}
"""For gates and promotion."""


@dataclass(frozen=True, slots=True)
class Robot:
    """A robot as it was made: its login, and the secret that Harbor shows once."""

    id: int
    name: str
    secret: str = field(repr=False)
    expires_at: int = -1


def body(
    projects: Sequence[str], *, name: str, days: int, creates: bool = False, scans: bool = False
) -> dict[str, Any]:
    """Return the body of ``POST /robots`` for an importer of these projects.

    Of one project: a robot of that project. Of several, or if it ``creates`` projects: one of the
    system. A robot of the system is not given pull with push: both are named
    (src/controller/robot).
    """
    rights = [*PUSH, *NOTES, *(SCAN if scans else {})]
    access = [{"resource": resource, "action": action} for resource, action in rights]
    spaces = ["*"] if creates else list(projects)
    permissions: list[dict[str, Any]] = [
        {"kind": "project", "namespace": space, "access": access} for space in spaces
    ]
    if creates:
        create = [{"resource": "project", "action": "create"}]
        permissions.append({"kind": "system", "namespace": "/", "access": create})
    level = "system" if creates or len(spaces) > 1 else "project"
    about = {"name": name, "description": "imports bundles of dray", "duration": days}
    return {**about, "level": level, "disable": False, "permissions": permissions}


def create(api: Api, wanted: dict[str, Any]) -> Robot:
    """Make a robot; needs the rights of an administrator."""
    what = f"to create the robot {wanted['name']}"
    fields = api.fields(api.call("POST", "/robots", what, body=wanted, ok=(201,)), what)
    return Robot(
        fields.integer("id"),
        fields.text("name"),
        fields.text("secret"),
        fields.integer("expires_at", -1, low=-1),
    )
