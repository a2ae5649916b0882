"""The bytes that a project is to take, counted as Harbor counts them: each blob once."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest

from bundle.errors import TargetError
from tests.importer.harbor.making import Make, wants
from tests.importer.harbor.test_client import push
from tests.importer.targets.samples import Shelf, fill, noise

if TYPE_CHECKING:
    from bundle.artifact import Artifact
    from tests.servers.harbor import HarborServer


def test_a_quota_that_is_too_small_by_one_byte(
    harbor: HarborServer, make: Make, image: Artifact, shelf: Shelf
) -> None:
    need = sum({content.digest: content.size for content in image.contents}.values())
    small, enough = harbor.project(limit=need - 1), harbor.project(limit=need)
    short = make(small)
    with pytest.raises(TargetError, match="are to be added to the project") as told:
        short.preflight(wants(short, image))
    assert "a system administrator has to raise the quota by 1 bytes or more" in told.value.hint
    target = make(enough)
    target.check()
    assert target.preflight(wants(target, image)) == ()
    fill(target, image, shelf)
    assert target.publish(image, shelf.blob)


def test_what_is_there_already_needs_no_room(
    harbor: HarborServer, make: Make, image: Artifact, shelf: Shelf
) -> None:
    need = sum({content.digest: content.size for content in image.contents}.values())
    project = harbor.project(limit=need)
    push(harbor, project, image, shelf)
    target = make(project)
    target.check()
    assert target.preflight(wants(target, image)) == ()


def test_a_blob_of_two_images_counts_once(harbor: HarborServer, make: Make, shelf: Shelf) -> None:
    layer = noise(1 << 20, uuid.uuid4().hex)
    one, two = (shelf.image(f"a/{name}", "1", {"l": layer}) for name in ("one", "two"))
    contents = {c.digest: c.size for image in (one, two) for c in image.contents}
    target = make(harbor.project(limit=sum(contents.values())))
    target.check()
    assert target.preflight(wants(target, one, two)) == ()


def test_what_another_repository_of_the_project_has_needs_no_room(
    harbor: HarborServer, make: Make, shelf: Shelf
) -> None:
    layer = noise(1 << 20, uuid.uuid4().hex)
    one, two = (shelf.image(f"a/{name}", "1", {"l": layer}) for name in ("one", "two"))
    contents = {c.digest: c.size for image in (one, two) for c in image.contents}
    project = harbor.project(limit=sum(contents.values()))
    push(harbor, project, one, shelf)
    target = make(project)
    target.check()
    assert target.preflight(wants(target, one, two)) == ()
    fill(target, two, shelf)
    assert target.publish(two, shelf.blob)
