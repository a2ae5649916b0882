"""What a Harbor would refuse, found before a byte is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bundle.credentials import Credentials
from fixtures.harbor import Account
from importer.harbor import robots
from tests.importer.harbor.failures import (
    IMAGE,
    SECRET,
    TAG,
    Row,
    Stage,
    as_admin,
    as_robot,
    metadata,
    proxied,
    renewed,
    setting,
    steps,
)
from tests.importer.harbor.test_client import push, rule
from tests.importer.targets.samples import Shelf

if TYPE_CHECKING:
    from collections.abc import Callable

CHECK = ("harbor", "check")
INIT = ("harbor", "init")
READ = ("project", "read")
PUSH, PULL = ("repository", "push"), ("repository", "pull")


def nobody(stage: Stage) -> None:
    stage.log_in(Credentials("x", "y"), nothing="")


def identity_token(stage: Stage) -> None:
    stage.log_in(identitytoken=SECRET)


def as_creator(stage: Stage) -> None:
    """Log in as a robot of the system that may create projects."""
    stage.log_in(stage.harbor.robot([stage.project], creates=True))


def wrong_secret(stage: Stage) -> None:
    login = stage.harbor.robot([stage.project])
    stage.log_in(Credentials(login.username, SECRET))


def disabled(stage: Stage) -> None:
    stage.world.accounts[stage.log_in().username].disabled = True


def expired(stage: Stage) -> None:
    stage.world.accounts[stage.log_in().username].expires = 1.0


def no_ca(stage: Stage) -> None:
    stage.lines["ca"] = ""


def elsewhere(stage: Stage) -> None:
    """Name a project that is not there, and may not be made."""
    stage.project = "not-there"
    stage.lines["create"] = False


def another_robot(stage: Stage) -> None:
    """Name a project that is not there, as the robot of another one."""
    stage.log_in()
    stage.project = "not-there"


def hidden(stage: Stage) -> None:
    another_robot(stage)
    stage.world.hides_projects = True


def user(stage: Stage) -> None:
    """Name a project that is not there, as a user where only administrators make them."""
    stage.world.creation = "adminonly"
    stage.world.accounts["alice"] = Account("alice", SECRET, stage.world.next_id())
    stage.log_in(Credentials("alice", SECRET))
    stage.project = "not-there"


def other_project(stage: Stage) -> None:
    stage.log_in()
    stage.project = stage.harbor.project()


def half_a_robot(stage: Stage) -> None:
    """Log in as a robot of the system that may push: that brings no pull."""
    wanted = robots.body([stage.project], name=stage.harbor.name(), days=1)
    access = [{"resource": resource, "action": action} for resource, action in (PUSH, READ)]
    permission = {"kind": "project", "namespace": stage.project, "access": access}
    wanted |= {"level": "system", "permissions": [permission]}
    made = robots.create(stage.harbor.client().api, wanted)
    stage.log_in(stage.harbor.login(made))


def taken(stage: Stage) -> None:
    """Have the tag point at another image, and stay there."""
    shelf = Shelf()
    push(stage.harbor, stage.project, shelf.image(IMAGE, TAG, {"l": b"other"}), shelf)
    rule(stage.harbor, stage.project, "*")


def short_of_room(stage: Stage) -> None:
    stage.project = stage.harbor.project(limit=100)
    stage.log_in()


def small_quota(stage: Stage) -> None:
    stage.log_in(stage.harbor.admin)
    renewed(stage)
    stage.lines["quota"] = "1kB"


def retained(stage: Stage) -> None:
    stage.there.metadata["retention_id"] = "7"


def existing_robot(stage: Stage) -> None:
    """Make the robot again that is there."""
    robot = stage.harbor.client().api
    body = {"name": "importer", "duration": 1, "level": "project"}
    access = [{"resource": "repository", "action": "push"}]
    kind = {"kind": "project", "namespace": stage.project, "access": access}
    robot.call("POST", "/robots", "x", body={**body, "permissions": [kind]}, ok=(201,))


def renamed(to: str) -> Callable[[Stage], object]:
    """Return what maps the image elsewhere, in a Harbor without a project in its name."""

    def provoke(stage: Stage) -> None:
        stage.to = f"harbor://{stage.harbor.host}"
        stage.lines["map"] = [{"from": f"nvcr.io/{IMAGE}", "to": to}]

    return provoke


_WHO = "administrator"
BEFORE = (
    # 1.1 versions, health
    Row("a version that is too old", "1.1", setting("version", "v2.7.4-1"), 6,
        "is Harbor v2.7.4-1", "a system administrator has to update it to 2.8 or newer"),
    Row("check: a version that is too old", "1.1", setting("version", "v1.10.0"), 6,
        "is Harbor v1.10.0", "update it to 2.8 or newer", command=CHECK),
    Row("a database that is down", "1.1", setting("unhealthy", {"database"}), 6,
        "the database of .* is not healthy", "its operator has to repair it"),
    Row("read-only mode", "1.2", setting("read_only", True), 6,
        "is in read-only mode", "a system administrator has to end it"),
    Row("check: read-only mode", "1.2", setting("read_only", True), 6,
        "is in read-only mode", "a system administrator has to end it", command=CHECK),
    # 1.2 forms of errors
    Row("an error without a reason", "1.2",
        lambda stage: stage.fails("systeminfo", status=500, code="UNKNOWN", times=None), 6,
        r"answered 500 \(request [0-9a-f-]+ in Harbor's log\)",
        "look for that request in core.log"),
    Row("a gateway's page", "1.2", lambda stage: stage.fails("systeminfo", status=200), 6,
        "answers no JSON for its version", "a page of its own: whoever runs it has to look"),
    Row("no Harbor at all", "1.2", lambda stage: stage.fails("ping", status=404), 6,
        "is reached, and is no Harbor", "write registry://"),
    Row("a Harbor that restarts", "1.2",
        lambda stage: stage.fails("ping", status=503, times=None), 6,
        "answered 503", "is down or restarting: wait for it"),
    # 1.3 logins
    Row("no login", "1.3", nobody, 6, "wants a login, and none is configured", "docker login"),
    Row("an identity token", "1.3", identity_token, 6,
        "only an identity token, which it does not take", "docker login"),
    Row("another secret", "1.3", wrong_secret, 6, "does not accept the login",
        "has to look whether it is disabled or expired, or give it a new secret"),
    Row("check: another secret", "1.3", wrong_secret, 6, "does not accept the login",
        "has to look whether it is disabled or expired, or give it a new secret", command=CHECK),
    Row("an unknown CA", "1.3", no_ca, 6, "shows a certificate that is not trusted",
        "name its CA file for this host"),
    Row("a proxy that adds a cookie", "1.3", steps(as_admin, renewed, setting("adds_cookie", True)),
        6,
        "403 FORBIDDEN: CSRF token not found", "adds a session cookie: whoever runs it"),
    # 1.4 projects and quotas
    Row("a project that is missing", "1.4", elsewhere, 6, "has no project not-there",
        "a system administrator has to create not-there, and give robot.* push"),
    Row("check: a project that is missing", "1.4", elsewhere, 6, "has no project not-there",
        "a system administrator has to create not-there", command=CHECK),
    Row("a project that the robot of another may not make", "1.4", another_robot, 6,
        "has no project not-there, and robot.* is the robot of another project",
        "a system administrator has to create not-there"),
    Row("a project that is hidden", "1.4", hidden, 6,
        "may not read the project not-there of .*, or there is none",
        "the administrator of not-there has to make it a member"),
    Row("a project that only administrators make", "1.4", user, 6,
        "only system administrators may create projects there", "has to create not-there"),
    Row("a project of others", "1.4", other_project, 6, "may not read the project",
        "what `dray harbor init` prints"),
    Row("a proxy cache", "1.4", proxied, 6,
        "is a proxy cache, which takes no pushes", f"name another project, or have its {_WHO}"),
    Row("check: a proxy cache", "1.4", proxied, 6,
        "is a proxy cache", f"name another project, or have its {_WHO}", command=CHECK),
    Row("a quota that is too small", "1.4", short_of_room, 6,
        "are to be added to the project .* which has room for",
        r"a system administrator has to raise the quota by [0-9]+ bytes"),
    Row("a plan: a quota that is too small", "1.4", short_of_room, 6,
        "are to be added to the project", "raise the quota by", command=("import", "--plan")),
    Row("a quota for new projects that is too small", "1.4", small_quota, 6,
        "the quota for new ones, 1.0 kB, is less than", "raise quota: in the target file"),
    Row("a name that no project has", "1.4", renamed("no__project/cuda"), 2,
        "would be in 'no__project'", "with a map: rule in a target file"),
    Row("a name that is a project alone", "1.4", renamed("cuda"), 2,
        "names a project and no repository in it", "with a map: rule"),
    Row("two things of one name", "1.4", renamed("ngc/one"), 2, "would both be",
        "map:", sample="two"),
    # 1.5 robots
    Row("a robot that is disabled", "1.5", disabled, 6, "does not accept the login",
        "has to look whether it is disabled or expired"),
    Row("a robot that is expired", "1.5", expired, 6, "does not accept the login",
        "has to look whether it is disabled or expired"),
    Row("a robot that may not push", "1.5", as_robot(READ, PULL), 6,
        "may not push in the project", f"the {_WHO} of .* has to give it repository:push"),
    Row("a robot of the system that may not pull", "1.5", half_a_robot, 6,
        "may not pull in the project", "has to give it repository:pull"),
    Row("init: a robot that is there", "1.5", existing_robot, 6, "already exists",
        "delete that robot first, or give this one another name: --name",
        command=(*INIT, "--apply", "--secret-file", "new.secret")),
    Row("init: a robot that no Harbor takes", "1.5", lambda _stage: None, 2,
        "no robot can be called 'a\\+b'", "", command=(*INIT, "--name", "a+b")),
    Row("pulls that are blocked, and a robot that cannot look otherwise", "1.7",
        steps(metadata(prevent_vul="true"), as_robot(READ, PUSH, PULL)), 6,
        "blocks pulls by its policy, and robot.* may not read its artifacts",
        f"the {_WHO} of .* has to give it artifact:read"),
    # 1.8 rules
    Row("a tag that may not be moved", "1.8", taken, 6, "may not be moved, and is",
        f"the {_WHO} of .* has to exempt it from the rule"),
)  # fmt: skip
NOTES = (
    Row("a version that nobody maintains", "1.1", setting("version", "v2.9.1"), 0,
        "note: .* is Harbor v2.9.1, which is no longer maintained"),
    Row("a jobservice that is down", "1.1", setting("unhealthy", {"jobservice"}), 0, "^loaded "),
    Row("a project that is made", "1.4", steps(as_admin, renewed), 0,
        "note: the project .* will be created, private"),
    Row("a hidden project that is made", "1.4",
        steps(as_creator, renewed, setting("hides_projects", True)), 0,
        "note: .* does not tell robot.* of dray-test-"),
    Row("a robot with no more than two rights", "1.5",
        as_robot(READ, PUSH, PULL), 0,
        "note: the quota of .* may not be read"),
    Row("rules that may not be read", "1.8", as_robot(READ, PUSH, PULL), 0,
        "note: the immutable tags of .* may not be read"),
    Row("labels that may not be set", "1.8", as_robot(READ, PUSH, PULL), 0,
        "note: robot.* may not label what is in"),
    Row("pulls that are blocked by scans", "1.7", metadata(
            prevent_vul="true", severity="high"), 0,
        "note: .* blocks pulls of images that were not scanned, or are high and worse"),
    Row("pulls of what is not signed", "1.7",
        metadata(enable_content_trust_cosign="true"), 0,
        "note: .* blocks pulls of images without a signature by cosign"),
    Row("a retention policy", "1.8",
        retained, 0,
        "note: .* has a retention policy"),
    Row("a layer that the registry's S3 does not hold", "1.9", setting("storage", "s3"), 0,
        "note: .* keeps blobs in S3: with its default chunksize"),
)  # fmt: skip
