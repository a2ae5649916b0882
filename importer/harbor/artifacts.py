"""Artifacts of a Harbor: what is there, tags, labels, and copies that never leave the server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bundle.errors import TargetError
from importer.harbor.api import objects, repository_path, segment

if TYPE_CHECKING:
    from bundle.decode import Fields
    from bundle.digest import Digest
    from importer.harbor.api import Api

_COLOUR = "#0065AB"


@dataclass(frozen=True, slots=True)
class Accessory:
    """A signature, an SBOM or anything else that has the artifact as its subject."""

    digest: Digest
    type: str


@dataclass(frozen=True, slots=True)
class Artifact:
    """An artifact as Harbor has it; ``type`` is IMAGE, CHART, or what its config says.

    ``tags`` maps each tag to whether a rule keeps it as it is.
    """

    digest: Digest
    type: str
    size: int
    tags: dict[str, bool]
    labels: tuple[str, ...]
    accessories: tuple[Accessory, ...]


class Artifacts:
    """The calls about artifacts; ``repository`` is always ``project/name``."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._labels: dict[tuple[int, str], int] = {}

    def get(self, repository: str, reference: str) -> Artifact | None:
        """Return an artifact by tag or digest with all that Harbor notes about it."""
        path, what = _path(repository, reference), f"{repository} {reference}"
        query = dict.fromkeys(
            ("with_tag", "with_label", "with_accessory", "with_immutable_status"), "true"
        )
        answer = self._api.call("GET", path, what, query=query, ok=(200, 404))
        return None if answer.status == 404 else _read(self._api.fields(answer, what))

    def add_tag(self, repository: str, digest: Digest, tag: str) -> bool:
        """Give an artifact a tag; return false where the repository has that tag already."""
        path, what = _path(repository, digest, "tags"), f"the tag {repository}:{tag}"
        answer = self._api.call("POST", path, what, body={"name": tag}, ok=(201, 409))
        return answer.status == 201

    def remove_tag(self, repository: str, digest: Digest, tag: str) -> None:
        """Take a tag away; the artifact stays."""
        path, what = _path(repository, digest, f"tags/{segment(tag)}"), f"to remove {tag}"
        self._api.call("DELETE", path, what, ok=(200, 404))

    def copy(self, source: str, digest: Digest, repository: str) -> bool:
        """Copy an artifact within this Harbor, with its tags, children and accessories.

        Return false where ``repository`` has it already. ``source`` is ``project/name``. The tags
        come along and are moved there; a rule that keeps one is an error.
        """
        path, what = f"{repository_path(repository)}/artifacts", f"a copy to {repository}"
        query = {"from": f"{source}@{digest}"}
        return self._api.call("POST", path, what, query=query, ok=(201, 409)).status == 201

    def delete(self, repository: str, reference: str) -> None:
        """Delete an artifact with its tags; gone already is no error."""
        path = _path(repository, reference)
        self._api.call("DELETE", path, f"to delete {repository} {reference}", ok=(200, 404))

    def label(self, project_id: int, name: str, description: str = "") -> int:
        """Return the id of a project's label, made if need be."""
        key = (project_id, name)
        if key not in self._labels:
            found = self._find_label(project_id, name)
            self._labels[key] = found or self._make_label(project_id, name, description)
        return self._labels[key]

    def attach(self, repository: str, digest: Digest, label_id: int) -> bool:
        """Put a label on an artifact; return whether it had none of it."""
        path, what = _path(repository, digest, "labels"), f"a label for {repository}"
        answer = self._api.call("POST", path, what, body={"id": label_id}, ok=(200, 409))
        return answer.status == 200

    def _find_label(self, project_id: int, name: str) -> int:
        query = {"scope": "p", "project_id": project_id, "name": name}
        for row in self._api.rows("/labels", f"the label {name}", query):
            if row.text("name") == name:
                return row.integer("id")
        return 0

    def _make_label(self, project_id: int, name: str, description: str) -> int:
        body = {"name": name, "description": description, "color": _COLOUR, "scope": "p"}
        body_of = {**body, "project_id": project_id}
        self._api.call("POST", "/labels", f"the label {name}", body=body_of, ok=(201, 409))
        if found := self._find_label(project_id, name):
            return found
        raise TargetError(f"{self._api.host} made the label {name}, and does not list it")


def _path(repository: str, reference: str, rest: str = "") -> str:
    path = f"{repository_path(repository)}/artifacts/{segment(reference)}"
    return f"{path}/{rest}" if rest else path


def _read(fields: Fields) -> Artifact:
    return Artifact(
        digest=fields.digest("digest"),
        type=fields.text("type", ""),
        size=fields.integer("size", 0),
        tags={
            one.text("name"): bool(one.raw("immutable", False)) for one in objects(fields, "tags")
        },
        labels=tuple(one.text("name") for one in objects(fields, "labels")),
        accessories=tuple(
            Accessory(one.digest("digest"), one.text("type"))
            for one in objects(fields, "accessories")
        ),
    )
