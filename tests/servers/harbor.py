"""A Harbor for tests: the emulated one over a real docker-registry, or a real one by environment.

``HARBOR_URL``, ``HARBOR_USER``, ``HARBOR_PASSWORD`` (of a system administrator) and ``HARBOR_CA``
name a real one; tests that need to steer it (:attr:`HarborServer.emulated`) are skipped then. What
tests make there has names that begin with the run's own prefix, and is removed at the end.
"""

from __future__ import annotations

import os
import uuid
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from bundle.credentials import Credentials
from bundle.hosts import Host
from fixtures.harbor import Backend, EmulatedHarbor, emulate
from importer.harbor import robots
from importer.harbor.api import repository_path
from importer.harbor.client import Harbor
from importer.harbor.wire import HarborHttp
from tests.servers import registry

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from importer.harbor.api import Api
    from importer.harbor.robots import Robot


@dataclass
class HarborServer:
    """A running Harbor, and the login of its administrator."""

    host: str
    url: str
    ca: str
    admin: Credentials
    emulator: EmulatedHarbor | None = None
    prefix: str = field(default_factory=lambda: f"dray-test-{uuid.uuid4().hex[:6]}-")
    """What names of projects and robots of this run begin with."""
    others: list[str] = field(default_factory=list)
    """Projects of this run with names of another kind."""
    _clients: list[HarborHttp] = field(default_factory=list)

    @property
    def emulated(self) -> EmulatedHarbor:
        """The emulator, for what a test can't do to a real Harbor."""
        if self.emulator is None:
            pytest.skip("needs an emulated Harbor, and HARBOR_URL names a real one")
        return self.emulator

    def http(self, retries: int = 2) -> HarborHttp:
        """Return a client as targets are given one; it does not pause between attempts."""
        host = Host(endpoint=self.url, ca_file=self.ca)
        made = HarborHttp({self.host: host}, retries=retries, sleep=lambda _seconds: None)
        self._clients.append(made)
        return made

    def client(self, credentials: Credentials | None = None, *, retries: int = 2) -> Harbor:
        """Return a client of the API, as the administrator unless told otherwise."""
        return Harbor(self.host, self.http(retries), credentials or self.admin)

    def name(self) -> str:
        """Return a name for a project or a robot that no other test uses."""
        return self.prefix + uuid.uuid4().hex[:12]

    def project(self, metadata: Mapping[str, str] | None = None, limit: int | None = None) -> str:
        """Make a project that no other test uses; return its name."""
        name = self.name()
        assert self.client().projects.create(name, metadata or {"public": "false"}, limit)
        return name

    def robot(self, projects: Sequence[str], **how: Any) -> Credentials:
        """Make a robot of these projects with the rights that `dray harbor init` names."""
        wanted = robots.body(projects, name=self.name(), days=1, **how)
        return self.login(robots.create(self.client().api, wanted))

    def robot_with(self, project: str, *access: tuple[str, str]) -> Credentials:
        """Make a robot with exactly these rights."""
        wanted = robots.body([project], name=self.name(), days=1)
        rights = [{"resource": resource, "action": action} for resource, action in access]
        wanted["permissions"] = [{"kind": "project", "namespace": project, "access": rights}]
        return self.login(robots.create(self.client().api, wanted))

    def login(self, robot: Robot) -> Credentials:
        """Return a robot's credentials."""
        return Credentials(robot.name, robot.secret, origin="the test")

    def clean(self) -> None:
        """Remove what this run has made: robots, and projects with all that is in them."""
        api = self.client(retries=6).api
        mine = {"q": f"name=~{self.prefix}", "name": self.prefix}
        for robot in list(api.rows("/robots", "robots", mine)):
            if self.prefix in robot.text("name"):
                api.call("DELETE", f"/robots/{robot.integer('id')}", "a robot")
        for project in list(api.rows("/projects", "projects", mine)):
            if (name := project.text("name")).startswith(self.prefix):
                self._remove(api, project.integer("project_id"), name)
        for name in self.others:
            if found := self.client().projects.get(name):
                self._remove(api, found.id, name)
        self.close()

    def _remove(self, api: Api, number: int, name: str) -> None:
        where = f"/projects/{number}"
        for rule in list(api.rows(f"{where}/immutabletagrules", "rules")):
            api.call("DELETE", f"{where}/immutabletagrules/{rule.integer('id')}", "a rule")
        for repository in list(api.rows(f"/projects/{name}/repositories", "repositories")):
            path = repository_path(repository.text("name"))
            api.call("DELETE", path, "a repository", ok=(200, 404))
        api.call("DELETE", where, "a project", ok=(200, 404))

    def close(self) -> None:
        """Let connections go."""
        for http in self._clients:
            http.close()
        self._clients.clear()


@contextmanager
def serve(folder: Path, *, tls: bool = True) -> Iterator[HarborServer]:
    """Run the emulated Harbor, or name the real one of the environment."""
    if url := os.environ.get("HARBOR_URL"):
        admin = Credentials(os.environ["HARBOR_USER"], os.environ["HARBOR_PASSWORD"], origin="env")
        server = HarborServer(
            urlsplit(url).netloc, url.rstrip("/"), os.environ.get("HARBOR_CA", ""), admin
        )
        try:
            yield server
        finally:
            server.clean()
        return
    with registry.serve(folder / "backend", auth="basic") as behind:
        backend = Backend(behind.host, behind.username, behind.password)
        with emulate(backend, folder=folder / "harbor", tls=tls) as emulator:
            admin = Credentials(emulator.username, emulator.password, origin="the test")
            server = HarborServer(emulator.host, emulator.url, emulator.ca_file, admin, emulator)
            yield server
            server.close()
