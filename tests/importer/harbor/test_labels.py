"""Labels of what an import brings: the bundle, and what NGC wants of who uses it."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from importer.harbor import labels
from tests.importer.harbor.making import Bundle, Make, wants
from tests.importer.targets.samples import Shelf, fill, noise

if TYPE_CHECKING:
    from bundle.artifact import Artifact
    from importer.targets.harbor import HarborTarget
    from tests.servers.harbor import HarborServer

PRODUCTS = "nv-ai-enterprise, nvidia-dli"
NAMES = ("entitlement:nv-ai-enterprise", "entitlement:nvidia-dli", Bundle.name)


def entitled(image: Artifact) -> Artifact:
    return replace(image, notes={"entitlement": PRODUCTS})


def imported(target: HarborTarget, shelf: Shelf, *images: Artifact) -> None:
    target.check()
    target.preflight(wants(target, *images))
    target.prepare(Bundle())  # type: ignore[arg-type]
    for image in images:
        fill(target, image, shelf)
        assert target.publish(image, shelf.blob)


def found(harbor: HarborServer, project: str, name: str = "nvidia/cuda") -> tuple[str, ...]:
    artifact = harbor.client().artifacts.get(f"{project}/{name}", "v1")
    assert artifact
    return tuple(sorted(artifact.labels))


def test_an_image_is_labelled_with_its_bundle_and_its_entitlement(
    harbor: HarborServer, make: Make, image: Artifact, shelf: Shelf
) -> None:
    project = harbor.project()
    target = make(project, harbor.robot([project]))
    imported(target, shelf, entitled(image))
    assert found(harbor, project) == NAMES
    assert list(target.notes) == []


def test_a_label_that_is_there_is_used_again(
    harbor: HarborServer, make: Make, image: Artifact, shelf: Shelf
) -> None:
    project = harbor.project()
    other = shelf.image("nvidia/other", "v1", {"l": noise(1000, uuid.uuid4().hex)})
    imported(make(project), shelf, entitled(image))
    imported(make(project), shelf, entitled(other))
    assert found(harbor, project, "nvidia/other") == NAMES
    about = harbor.client().projects.get(project)
    assert about
    query = {"scope": "p", "project_id": about.id}
    rows = harbor.client().api.rows("/labels", "labels", query)
    assert sorted(row.text("name") for row in rows) == sorted(NAMES)


def test_a_target_file_may_want_no_labels(
    harbor: HarborServer, make: Make, image: Artifact, shelf: Shelf
) -> None:
    project = harbor.project()
    imported(make(project, labels=False), shelf, entitled(image))
    assert found(harbor, project) == ()


def test_without_the_right_an_import_goes_on_and_says_so_once(
    harbor: HarborServer, make: Make, image: Artifact, shelf: Shelf
) -> None:
    project = harbor.project()
    access = [("project", "read"), ("repository", "push"), ("repository", "pull")]
    target = make(project, harbor.robot_with(project, *access, ("artifact", "read")))
    imported(target, shelf, entitled(image))
    assert found(harbor, project) == ()
    assert list(target.notes) == []  # the preflight has said it


@pytest.mark.parametrize("where", ["POST /api/v2.0/labels", "POST .*/artifacts/.*/labels"])
def test_a_label_that_fails_is_a_note_and_no_failure(
    harbor: HarborServer, make: Make, image: Artifact, shelf: Shelf, where: str
) -> None:
    project = harbor.project()
    harbor.emulated.faults.add(where, status=403, code="FORBIDDEN", times=None)
    target = make(project)
    imported(target, shelf, entitled(image))
    [note] = target.notes
    assert note.startswith(f"what is new in {project} has not all labels: ")
    assert "403 FORBIDDEN" in note


def test_a_label_is_no_longer_than_harbor_takes(image: Artifact) -> None:
    long = replace(image, notes={"entitlement": "p" * 500})
    assert all(len(name) <= labels.LONGEST for name in labels.wanted("b" * 500, long))
