"""Harbor's API as the importer uses it: against the emulator, or a real one by environment."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest

from bundle.credentials import Credentials
from bundle.digest import Digest
from bundle.errors import TargetError
from bundle.registry import Registry
from importer.harbor import robots
from importer.harbor.projects import ImmutableRule, Quota, name_fault
from importer.targets.naming import Naming
from importer.targets.registry import RegistryTarget
from tests.importer.targets.samples import MANIFEST, Shelf, fill

if TYPE_CHECKING:
    from bundle.artifact import Artifact
    from importer.harbor.client import Harbor
    from tests.servers.harbor import HarborServer

RULE = {
    "action": "immutable",
    "template": "immutable_template",
    "priority": 0,
    "disabled": False,
    "scope_selectors": {
        "repository": [{"kind": "doublestar", "decoration": "repoMatches", "pattern": "**"}]
    },
}


def push(harbor: HarborServer, project: str, artifact: Artifact, shelf: Shelf) -> None:
    """Push an artifact as the administrator."""
    target = RegistryTarget(harbor.host, harbor.http(), harbor.admin, naming=Naming(project))
    fill(target, artifact, shelf)
    target.publish(artifact, shelf.blob)


def rule(harbor: HarborServer, project: str, tags: str = "v*", *, disabled: bool = False) -> None:
    """Have a project keep tags of a pattern: those that begin with v."""
    path = f"/projects/{project}/immutabletagrules"
    headers = {"X-Is-Resource-Name": "true"}
    kept = {"kind": "doublestar", "decoration": "matches", "pattern": tags}
    body = {**RULE, "tag_selectors": [kept], "disabled": disabled}
    harbor.client().api.call("POST", path, "a rule", body=body, headers=headers, ok=(201,))


@pytest.fixture
def admin(harbor: HarborServer) -> Harbor:
    return harbor.client()


def test_it_says_who_it_is_and_how_it_is(admin: Harbor) -> None:
    admin.ping()
    assert admin.about().numbers >= (2, 8)
    assert not admin.about().read_only
    assert admin.unhealthy() == {}


def test_a_project_is_made_once(harbor: HarborServer, admin: Harbor) -> None:
    name = harbor.name()
    assert not admin.projects.exists(name)
    assert admin.projects.get(name) is None
    assert admin.projects.create(name, {"public": "false", "auto_scan": "true"}, 1 << 30)
    assert not admin.projects.create(name, {})
    assert admin.projects.exists(name)
    found = admin.projects.get(name)
    assert found
    assert found.name == name
    assert found.metadata["auto_scan"] == "true"
    assert not found.is_proxy
    assert admin.projects.quota(name) == Quota(1 << 30, 0)


def test_a_project_of_digits_is_found_by_its_name(harbor: HarborServer, admin: Harbor) -> None:
    name = str(uuid.uuid4().int)[:12]
    harbor.others.append(name)
    assert admin.projects.create(name, {"public": "false"})
    found = admin.projects.get(name)
    assert found
    assert found.name == name


def test_who_may_not_read_a_project_hears_nothing_of_it(harbor: HarborServer) -> None:
    mine, other = harbor.project(), harbor.project()
    client = harbor.client(harbor.robot([mine]))
    assert client.projects.exists(other)
    assert client.projects.get(other) is None
    assert client.projects.quota(other) is None
    assert client.projects.get(mine)


def test_the_robot_of_an_import_has_the_rights_that_it_needs(harbor: HarborServer) -> None:
    name = harbor.project()
    client = harbor.client(harbor.robot([name]))
    project = client.projects.get(name)
    assert project
    rights = client.projects.rights(project)
    assert set(robots.PUSH) <= rights
    assert ("repository", "delete") not in rights


def test_rules_say_which_tags_they_keep(harbor: HarborServer, admin: Harbor) -> None:
    name = harbor.project()
    assert admin.projects.immutable_rules(name) == []
    rule(harbor, name, "x*", disabled=True)
    assert admin.projects.immutable_rules(name) == []
    rule(harbor, name)
    found = admin.projects.immutable_rules(name)
    assert found
    assert found[0].holds("a/b", "v1")
    assert not found[0].holds("a/b", "1")
    puller = harbor.robot_with(name, ("repository", "pull"))
    assert harbor.client(puller).projects.immutable_rules(name) is None


@pytest.mark.parametrize(
    ("pattern", "text", "held"),
    [
        ("**", "a/b/c", True),
        ("*", "a/b", False),
        ("a/*", "a/b", True),
        ("**/b", "b", True),
        ("**/b", "x/y/b", True),
        ("{a,b}*", "bcd", True),
        ("{a,b}*", "cd", False),
        ("v?.[0-9]", "v1.2", True),
        ("v?.[0-9]", "v1.x", False),
        ("v1.2", "v1x2", False),
    ],
)
def test_patterns_are_doublestar(pattern: str, text: str, held: bool) -> None:
    assert ImmutableRule(((pattern, True),), ()).holds(text, "t") is held
    assert ImmutableRule(((pattern, False),), ()).holds(text, "t") is not held


@pytest.mark.parametrize("name", ["Ngc", "a--b", "a b", "-a", "a/", "é", "a" * 256, ""])
def test_a_name_that_no_project_can_have(name: str) -> None:
    assert name_fault(name)
    assert not name_fault("ngc_1.a-b")


def test_an_artifact_with_tags_labels_and_accessories(harbor: HarborServer, admin: Harbor) -> None:
    shelf, project = Shelf(), harbor.project()
    image = shelf.signed(shelf.image("a/deep/name", "v1", {"l": b"layer"}), b"signed")
    push(harbor, project, image, shelf)
    repository = f"{project}/a/deep/name"
    assert admin.artifacts.get(repository, "none") is None
    assert admin.artifacts.add_tag(repository, image.root, "other")
    assert not admin.artifacts.add_tag(repository, image.root, "other")
    about = admin.projects.get(project)
    assert about
    number = admin.artifacts.label(about.id, "bundle-1", "x")
    assert harbor.client().artifacts.label(about.id, "bundle-1", "x") == number
    assert admin.artifacts.attach(repository, image.root, number)
    assert not admin.artifacts.attach(repository, image.root, number)
    found = admin.artifacts.get(repository, "v1")
    assert found
    assert (found.digest, found.type) == (image.root, "IMAGE")
    assert found.tags == {"v1": False, "other": False}
    assert found.labels == ("bundle-1",)
    assert [one.type for one in found.accessories] == ["subject.accessory"]
    admin.artifacts.remove_tag(repository, image.root, "other")
    again = admin.artifacts.get(repository, image.root)
    assert again
    assert list(again.tags) == ["v1"]


def test_a_copy_stays_within_harbor_and_brings_everything(
    harbor: HarborServer, admin: Harbor
) -> None:
    shelf, (source, target) = Shelf(), (harbor.project(), harbor.project())
    image = shelf.signed(shelf.image("a/x", "v1", {"l": b"copied"}), b"signed too")
    push(harbor, source, image, shelf)
    assert admin.artifacts.copy(f"{source}/a/x", image.root, f"{target}/b/y")
    assert not admin.artifacts.copy(f"{source}/a/x", image.root, f"{target}/b/y")
    found = admin.artifacts.get(f"{target}/b/y", "v1")
    assert found
    assert found.digest == image.root
    assert len(found.accessories) == 1
    registry = Registry(harbor.host, harbor.http(), harbor.admin)
    assert registry.manifest(f"{target}/b/y", "v1")[0].media_type == MANIFEST


def test_a_scan_is_begun_waited_for_and_read(harbor: HarborServer, admin: Harbor) -> None:
    shelf, project = Shelf(), harbor.project()
    image = shelf.image("a/x", "1", {"l": b"scanned"})
    push(harbor, project, image, shelf)
    row = {"id": "CVE-2026-1", "package": "openssl", "version": "3", "severity": "High"}
    harbor.emulated.world.reports[image.root] = [{**row, "fix_version": "3.1", "cvss": 7.5}]
    where = f"{project}/a/x"
    assert admin.scans.look(where, image.root) is None
    assert admin.scans.start(where, image.root)
    assert not admin.scans.start(where, image.root)
    scan = admin.scans.wait(where, image.root, seconds=60, sleep=lambda _: None)
    assert (scan.status, scan.severity, scan.counts) == ("Success", "High", (("High", 1),))
    found = admin.scans.vulnerabilities(where, image.root)
    assert [(one.id, one.fix_version) for one in found] == [("CVE-2026-1", "3.1")]


def test_a_scan_that_never_ends_is_given_up(harbor: HarborServer, admin: Harbor) -> None:
    shelf, project = Shelf(), harbor.project()
    image = shelf.image("a/x", "1", {"l": b"never scanned"})
    push(harbor, project, image, shelf)
    with pytest.raises(TargetError, match="has not ended: not begun"):
        admin.scans.wait(f"{project}/a/x", image.root, seconds=0)


def test_what_no_scanner_takes_is_told_apart(harbor: HarborServer, admin: Harbor) -> None:
    shelf, project = Shelf(), harbor.project()
    model = shelf.model("a/x", "1", {"f": b"file"})
    push(harbor, project, model, shelf)
    with pytest.raises(TargetError) as caught:
        admin.scans.start(f"{project}/models/a/x", model.root)
    assert caught.value.case == "not-scannable"
    harbor.emulated.world.has_scanner = False
    with pytest.raises(TargetError) as caught:
        admin.scans.start(f"{project}/models/a/x", model.root)
    assert caught.value.case == "no-scanner"
    assert "set a default scanner" in caught.value.hint


def test_a_label_is_found_behind_the_first_page(harbor: HarborServer, admin: Harbor) -> None:
    about = admin.projects.get(harbor.project())
    assert about
    numbers = {admin.artifacts.label(about.id, f"bundle-{n}") for n in range(105)}
    assert len(numbers) == 105
    assert harbor.client().artifacts.label(about.id, "bundle-104") in numbers


def test_no_cookie_is_ever_sent_back(harbor: HarborServer, admin: Harbor) -> None:
    before = len(harbor.emulated.requests)
    harbor.project()
    admin.ping()
    sent = harbor.emulated.requests[before:]
    assert sent
    assert not any(entry.cookie for entry in sent)
    assert all(entry.authorization == "basic" for entry in sent)


def test_a_failure_that_passes_is_tried_again(harbor: HarborServer, admin: Harbor) -> None:
    fault = harbor.emulated.faults.add("GET /api/v2.0/ping", status=503, times=2)
    admin.ping()
    assert fault.hits == 2


def test_a_failure_that_stays_names_the_request(harbor: HarborServer, admin: Harbor) -> None:
    harbor.emulated.faults.add("systeminfo", status=500, code="UNKNOWN", times=None)
    with pytest.raises(TargetError, match=r"answered 500 \(request [0-9a-f-]{36} in Harbor's log"):
        admin.about()


def test_a_secret_is_shown_by_no_error_and_no_text(harbor: HarborServer) -> None:
    wrong = Credentials("robot$x", "SECRET-never-shown", origin="the test")
    with pytest.raises(TargetError) as caught:
        harbor.client(wrong).projects.exists("x")
    assert "SECRET" not in str(caught.value.to_dict())
    assert "robot$x" in caught.value.message
    assert "SECRET" not in repr(robots.Robot(1, "n", "SECRET"))


def test_an_answer_that_is_none_is_no_traceback(harbor: HarborServer, admin: Harbor) -> None:
    harbor.emulated.faults.add("systeminfo", status=200)
    with pytest.raises(TargetError, match="answers no JSON"):
        admin.about()


def test_something_else_than_harbor_is_said(harbor: HarborServer, admin: Harbor) -> None:
    harbor.emulated.faults.add("ping", status=404)
    with pytest.raises(TargetError, match="is reached, and is no Harbor"):
        admin.ping()


def test_an_unknown_digest_is_not_there(harbor: HarborServer, admin: Harbor) -> None:
    assert admin.artifacts.get(f"{harbor.project()}/none", Digest.of(b"")) is None
