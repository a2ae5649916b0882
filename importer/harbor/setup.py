"""What an administrator does once for imports into a Harbor: projects, and a robot."""

from __future__ import annotations

import json
import os
import shlex
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bundle.credentials import Credentials
from bundle.errors import UsageError
from importer.harbor import robots
from importer.harbor.client import Harbor
from importer.harbor.projects import name_fault
from importer.harbor.wire import HarborHttp

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from importer.destinations import Destination
    from importer.harbor.robots import Robot
    from importer.targets.naming import Naming


@dataclass(frozen=True)
class Setup:
    """Bodies of the calls that prepare one Harbor for imports."""

    destination: Destination
    projects: tuple[Mapping[str, Any], ...]
    robot: Mapping[str, Any]

    @property
    def url(self) -> str:
        """Where Harbor's API is, as the target file says."""
        host = self.destination.host
        scheme = "http" if host.plain_http else "https"
        return f"{(host.endpoint or f'{scheme}://{self.destination.name}').rstrip('/')}/api/v2.0"

    def to_dict(self) -> dict[str, Any]:
        """Return what ``--json`` prints."""
        bodies = {"projects": [dict(one) for one in self.projects], "robot": dict(self.robot)}
        return {"host": self.destination.name, "url": self.url, **bodies}

    def script(self) -> str:
        """Return the calls for a shell; ``curl`` asks for the administrator's password."""
        calls = [("projects", body) for body in self.projects] + [("robots", self.robot)]
        return "\n".join(self._call(path, body) for path, body in calls)

    def _call(self, path: str, body: Mapping[str, Any]) -> str:
        ca = self.destination.host.ca_file
        words = ["curl", "--user", "admin", *(["--cacert", ca] if ca else [])]
        words += ["--header", "Content-Type: application/json", "--data", "@-"]
        about = f"# the project {body['project_name']}" if path == "projects" else "# the robot"
        again = (
            "; 409 says that it is there" if path == "projects" else "; the answer has its secret"
        )
        text = json.dumps(body, indent=1)
        return f"{about}{again}\n{shlex.join([*words, f'{self.url}/{path}'])} <<'END'\n{text}\nEND"


def plan(
    destination: Destination, *, name: str, days: int, creates: bool = False, scans: bool = False
) -> Setup:
    """Return what is to be made for a destination; nothing is asked of it."""
    if fault := name_fault(name):
        raise UsageError(f"no robot can be called {name[:100]!r}: its name {fault}")
    policy, named = destination.policy, projects(destination.naming)
    quota = {} if policy.quota is None else {"storage_limit": policy.quota}
    bodies = tuple(
        {"project_name": one, "metadata": dict(policy.metadata), **quota} for one in named
    )
    robot = robots.body(named, name=name, days=days, creates=creates, scans=scans)
    return Setup(destination, () if creates else bodies, robot)


def projects(naming: Naming) -> tuple[str, ...]:
    """Return the names of the projects that a target uses, that of what no rule names first.

    With a quarantine that is one more: what is promoted goes on from there to the others.
    """
    if naming.quarantine:
        return (naming.quarantine, *projects(naming.released))
    named = [naming.top.partition("/")[0]]
    if not naming.prefix:
        named += [rule.target.partition("/")[0] for rule in naming.rules]
    return tuple(dict.fromkeys(one for one in named if one))


def administrator(user: str, password: str) -> Credentials:
    """Return the administrator that two variables name; raise :class:`UsageError` without them."""
    found = os.environ.get(user, ""), os.environ.get(password, "")
    if not all(found):
        raise UsageError(
            f"no administrator: {user} and {password} are not both set",
            hint="or have one run what `dray harbor init` prints",
        )
    return Credentials(*found, origin=user)


def apply(setup: Setup, admin: Credentials, secret_file: Path) -> Robot:
    """Make the projects that are missing, then the robot; its secret goes into a new file.

    The file comes first: Harbor tells a secret once. Raises :class:`TargetError`, and
    :class:`UsageError` for a file that is there or cannot be made.
    """
    name = setup.destination.name
    handle = _new(secret_file)
    try:
        with closing(HarborHttp({name: setup.destination.host})) as http:
            harbor = Harbor(name, http, admin)
            harbor.ping()
            for body in setup.projects:
                project = body["project_name"]
                if not harbor.projects.exists(project):
                    harbor.projects.create(project, body["metadata"], body.get("storage_limit"))
            robot = robots.create(harbor.api, dict(setup.robot))
        os.write(handle, robot.secret.encode())
    except BaseException:
        secret_file.unlink(missing_ok=True)
        raise
    finally:
        os.close(handle)
    return robot


def _new(path: Path) -> int:
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        why = (error.strerror or "unknown reason").lower()
        raise UsageError(f"{path} cannot be made: {why}", hint="name a new file") from None
