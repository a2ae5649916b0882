"""Each failure that a Harbor has in store for an import, provoked, and what people are told.

The rows are those of Harbor's codes, its logins, projects, quotas, robots and rules; what is found
before a byte is sent says so, and that nothing was sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from bundle.credentials import Credentials
from bundle.errors import TargetError
from importer.harbor.pace import Pace
from importer.targets.harbor import HarborTarget
from importer.targets.naming import Naming, Rule
from importer.targets.ready import NotReady
from tests.importer.harbor.making import Bundle, Make, wants
from tests.importer.harbor.test_client import push, rule
from tests.importer.targets.samples import Shelf, fill

if TYPE_CHECKING:
    from bundle.artifact import Artifact
    from tests.servers.harbor import HarborServer


def refused(target: HarborTarget, *artifacts: Artifact) -> TargetError:
    """Return what the preflight raises; nothing is sent by it."""
    with pytest.raises(TargetError) as caught:
        target.check()
        target.preflight(wants(target, *artifacts))
    return caught.value


# -- the login ------------------------------------------------------------------------------------


def test_no_login_is_said_with_what_to_do(harbor: HarborServer, image: Artifact) -> None:
    target = HarborTarget(harbor.host, harbor.http(), None, Pace(1), naming=Naming("x"))
    error = refused(target, image)
    assert "wants a login, and none is configured for it" in error.message
    assert f"docker login {harbor.host}" in error.hint


def test_an_identity_token_is_no_login(make: Make, image: Artifact) -> None:
    token = Credentials("", identity_token="abc", origin="the test")
    assert (
        "only an identity token, which it does not take, is"
        in refused(make("x", token), image).message
    )


@pytest.mark.parametrize("how", ["secret", "disabled", "expired"])
def test_a_login_that_is_not_accepted(
    harbor: HarborServer, make: Make, image: Artifact, how: str
) -> None:
    project = harbor.project()
    robot = harbor.robot([project])
    if how == "secret":
        robot = Credentials(robot.username, "Wrong1234", origin="the test")
    else:
        account = harbor.emulated.world.accounts[robot.username]
        account.disabled, account.expires = how == "disabled", 1.0 if how == "expired" else -1
    error = refused(make(project, robot), image)
    assert error.message == (
        f"{harbor.host} does not accept the login {robot.username} from the test"
    )
    assert "whether it is disabled or expired" in error.hint


# -- the system -----------------------------------------------------------------------------------


def test_something_else_than_harbor(registry: Any, image: Artifact) -> None:
    from bundle.http import Http

    http = Http(error=TargetError, retries=0)
    login = Credentials("a", "b")
    target = HarborTarget(registry.host, http, login, Pace(1), naming=Naming("x"))
    error = refused(target, image)
    http.close()
    assert "is reached, and is no Harbor" in error.message
    assert f"registry://{registry.host}" in error.hint


def test_read_only_mode(harbor: HarborServer, make: Make, image: Artifact) -> None:
    project = harbor.project()
    harbor.emulated.world.read_only = True
    error = refused(make(project), image)
    assert error.message == f"{harbor.host} is in read-only mode"
    assert "a system administrator has to end it" in error.hint


@pytest.mark.parametrize("name", ["core", "database", "registry", "redis"])
def test_a_part_that_is_not_healthy(
    harbor: HarborServer, make: Make, image: Artifact, name: str
) -> None:
    project = harbor.project()
    harbor.emulated.world.unhealthy = {name, "jobservice"}
    error = refused(make(project), image)
    assert error.message == (f"the {name} of {harbor.host} is not healthy (connection refused)")


def test_a_jobservice_that_is_down_is_no_obstacle(
    harbor: HarborServer, make: Make, image: Artifact
) -> None:
    harbor.emulated.world.unhealthy = {"jobservice", "portal", "registryctl"}
    target = make(harbor.project())
    target.check()
    assert target.preflight(wants(target, image)) == ()


@pytest.mark.parametrize(
    ("version", "fails"),
    [("v2.7.4-1", True), ("v1.10.0", True), ("v2.8.0", False), ("v2.16.0-dev", False), ("", False)],
)
def test_the_oldest_version(
    harbor: HarborServer, make: Make, image: Artifact, version: str, fails: bool
) -> None:
    project = harbor.project()
    harbor.emulated.world.version = version
    target = make(project)
    if fails:
        assert "has to update it to 2.8 or newer" in refused(target, image).hint
    else:
        target.check()
        target.preflight(wants(target, image))


# -- projects -------------------------------------------------------------------------------------


def test_a_missing_project_is_made_private_by_those_who_may(
    harbor: HarborServer, make: Make, image: Artifact, shelf: Shelf
) -> None:
    name = harbor.name()
    target = make(name, metadata={"public": "false", "auto_scan": "true"})
    target.check()
    notes = target.preflight(wants(target, image))
    assert notes == (f"the project {name} will be created, private",)
    assert not harbor.client().projects.exists(name)
    target.prepare(Bundle())  # type: ignore[arg-type]
    fill(target, image, shelf)
    assert target.publish(image, shelf.blob)
    made = harbor.client().projects.get(name)
    assert made
    assert made.metadata["public"] == "false"
    assert made.metadata["auto_scan"] == "true"
    found = harbor.client().artifacts.get(f"{name}/nvidia/cuda", "v1")
    assert found
    assert found.labels == ("nvidia-ai-000007",)


def test_a_missing_project_that_may_not_be_made(make: Make, image: Artifact) -> None:
    error = refused(make("no-such", creates=False), image)
    assert "has no project no-such, and create: false forbids" in error.message
    assert "a system administrator has to create no-such" in error.hint


def test_a_missing_project_and_the_robot_of_another(
    harbor: HarborServer, make: Make, image: Artifact
) -> None:
    robot = harbor.robot([harbor.project()])
    error = refused(make("no-such", robot), image)
    assert f"{robot.username} is the robot of another project" in error.message


def test_a_missing_project_that_only_administrators_make(
    harbor: HarborServer, make: Make, image: Artifact
) -> None:
    from fixtures.harbor import Account

    world = harbor.emulated.world
    world.creation = "adminonly"
    world.accounts["alice"] = Account("alice", "Secret123", world.next_id())
    login = Credentials("alice", "Secret123", origin="the test")
    error = refused(make("no-such", login), image)
    assert "only system administrators may create projects" in error.message
    world.creation = "everyone"
    target = make("no-such", login)
    target.check()
    assert "will be created" in target.preflight(wants(target, image))[0]


def test_a_robot_that_may_create_projects(
    harbor: HarborServer, make: Make, image: Artifact, shelf: Shelf
) -> None:
    name = harbor.name()
    robot = harbor.robot([name], creates=True)
    target = make(name, robot)
    target.check()
    target.preflight(wants(target, image))
    target.prepare(Bundle())  # type: ignore[arg-type]
    fill(target, image, shelf)
    assert target.publish(image, shelf.blob)


def test_a_robot_that_may_not_create_projects_hears_it_from_harbor(
    harbor: HarborServer, make: Make, image: Artifact
) -> None:
    robot = harbor.robot([harbor.project(), harbor.project()])
    harbor.emulated.world.creation = "adminonly"
    target = make(harbor.name(), robot)
    target.check()
    target.preflight(wants(target, image))
    with pytest.raises(TargetError, match="403 FORBIDDEN: Only system admin can") as caught:
        target.prepare(Bundle())  # type: ignore[arg-type]
    assert "has to create the project" in caught.value.hint


def test_a_project_that_was_made_and_may_not_be_pushed_to_is_said(
    harbor: HarborServer, make: Make, image: Artifact
) -> None:
    name = harbor.name()
    robot = harbor.robot([harbor.project(), harbor.project()])
    target = make(name, robot)
    target.check()
    target.preflight(wants(target, image))
    with pytest.raises(TargetError, match=f"{name} of .* was created, and .* may not push") as told:
        target.prepare(Bundle())  # type: ignore[arg-type]
    assert "has to give" in told.value.hint


def test_a_project_that_may_not_be_read(harbor: HarborServer, make: Make, image: Artifact) -> None:
    robot = harbor.robot([harbor.project()])
    other = harbor.project()
    error = refused(make(other, robot), image)
    assert error.message == f"{robot.username} may not read the project {other} of {harbor.host}"
    assert f"the administrator of {other} has to" in error.hint


def test_a_proxy_cache(harbor: HarborServer, make: Make, image: Artifact) -> None:
    project = harbor.project()
    harbor.emulated.world.projects[project].registry_id = 1
    error = refused(make(project), image)
    assert "is a proxy cache, which takes no pushes" in error.message
    assert "name another project" in error.hint


@pytest.mark.parametrize("lacking", ["push", "pull"])
def test_a_right_that_is_lacking(
    harbor: HarborServer, make: Make, image: Artifact, lacking: str
) -> None:
    project, other = harbor.project(), harbor.project()
    given = "pull" if lacking == "push" else "push"
    robot = harbor.robot([project, other])  # of the system: push does not bring pull
    account = harbor.emulated.world.accounts[robot.username]
    account.permissions = [(project, "project", "read"), (project, "repository", given)]
    error = refused(make(project, robot), image)
    assert error.message.endswith(f"may not {lacking} in the project {project} of {harbor.host}")
    assert f"has to give it repository:{lacking}" in error.hint


# -- room, and tags that stay ----------------------------------------------------------------------


def test_a_quota_that_may_not_be_read_is_a_note(
    harbor: HarborServer, make: Make, image: Artifact
) -> None:
    project = harbor.project()
    access = [("project", "read"), ("repository", "push"), ("repository", "pull")]
    target = make(project, harbor.robot_with(project, *access))
    target.check()
    notes = "\n".join(target.preflight(wants(target, image)))
    assert "may not be read" in notes
    assert "is not checked" in notes
    assert "immutable tags" in notes
    assert "none of it has a label with the bundle" in notes


def test_a_tag_that_may_not_be_moved(
    harbor: HarborServer, make: Make, image: Artifact, shelf: Shelf
) -> None:
    project = harbor.project()
    push(harbor, project, image, shelf)
    rule(harbor, project)
    other = shelf.image("nvidia/cuda", "v1", {"l": b"other"})
    error = refused(make(project), other)
    where = f"{harbor.host}/{project}/nvidia/cuda:v1"
    assert error.message == (
        f"{where} may not be moved, and is {image.root.short} there, not {other.root.short}"
    )
    assert f"the administrator of {project} has to exempt it from the rule" in error.hint


def test_the_same_digest_under_a_tag_that_may_not_be_moved_is_success(
    harbor: HarborServer, make: Make, image: Artifact, shelf: Shelf
) -> None:
    project = harbor.project()
    rule(harbor, project)
    robot = harbor.robot([project])
    push(harbor, project, image, shelf)
    target = make(project, robot)
    target.check()
    assert target.preflight(wants(target, image)) == ()
    assert not target.publish(image, shelf.blob)


def test_policies_that_will_surprise_are_notes(
    harbor: HarborServer, make: Make, image: Artifact
) -> None:
    project = harbor.project(
        {"public": "false", "prevent_vul": "true", "severity": "high"}
        | {"enable_content_trust_cosign": "true"}
    )
    harbor.emulated.world.projects[project].metadata["retention_id"] = "4"
    target = make(project)
    target.check()
    notes = target.preflight(wants(target, image))
    assert notes == (
        f"{project} blocks pulls of images that were not scanned, or are high and worse",
        f"{project} blocks pulls of images without a signature by cosign",
        f"{project} has a retention policy: it may delete what this import brings, or what a later"
        " bundle takes for granted",
    )


def test_an_image_is_published_where_its_policy_blocks_pulls(
    harbor: HarborServer, make: Make, image: Artifact, shelf: Shelf
) -> None:
    project = harbor.project({"public": "false", "prevent_vul": "true", "severity": "low"})
    target = make(project)
    fill(target, image, shelf)
    assert target.publish(image, shelf.blob)
    again = make(project)
    assert not again.publish(image, shelf.blob)
    assert again.replaced == []


def test_all_problems_are_said_at_once(
    harbor: HarborServer, make: Make, image: Artifact, shelf: Shelf
) -> None:
    world = harbor.emulated.world
    proxy, small = harbor.project(), harbor.project(limit=10)
    world.projects[proxy].registry_id = 1
    world.read_only, world.unhealthy = True, {"redis"}
    rules = (Rule("nvcr.io/nvidia/cuda", f"{proxy}/cuda"),)
    target = make(naming=Naming(project=small, rules=rules))
    other = shelf.image("other/thing", "1", {"l": b"other"})
    error = refused(target, image, other)
    assert isinstance(error, NotReady)
    said = [problem.message for problem in error.problems]
    assert len(said) == 4
    words = ("redis", "read-only", "proxy cache", "are to be added")
    assert all(any(word in one for one in said) for word in words)
    assert "is not ready, for 4 reasons; nothing was sent\n  1. " in error.message
    assert len(error.to_dict()["problems"]) == 4  # type: ignore[arg-type]
    assert not any(
        entry.method in {"POST", "PUT", "PATCH"} and entry.path.startswith(f"/v2/{small}/")
        for entry in harbor.emulated.requests
    )
