"""One Harbor, reached through its API; for several threads."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bundle.errors import TargetError
from importer.harbor.api import Api
from importer.harbor.artifacts import Artifacts
from importer.harbor.projects import Projects
from importer.harbor.scans import Scans

if TYPE_CHECKING:
    from bundle.credentials import Credentials
    from bundle.http import Http

NEEDED = ("core", "database", "registry", "redis")
"""What an import needs of Harbor; others, such as jobservice, may be down."""


@dataclass(frozen=True, slots=True)
class About:
    """What a Harbor says of itself; ``creation`` is who may create projects.

    ``version`` is empty where it does not say: to who is not logged in. ``storage`` is the driver
    of its registry, such as ``filesystem`` or ``s3``.
    """

    version: str
    read_only: bool
    creation: str
    storage: str = ""

    @property
    def numbers(self) -> tuple[int, int]:
        """The major and minor version; zeros where they are not said."""
        match = re.match(r"v?(\d{1,4})\.(\d{1,4})", self.version)
        return (int(match[1]), int(match[2])) if match else (0, 0)


class Harbor:
    """The calls of one Harbor by subject: ``projects``, ``artifacts`` and ``scans``."""

    def __init__(self, host: str, http: Http, credentials: Credentials | None) -> None:
        self.api = Api(host, http, credentials)
        self.projects = Projects(self.api)
        self.artifacts = Artifacts(self.api)
        self.scans = Scans(self.api)

    def ping(self) -> None:
        """Reach it; raise :class:`TargetError` where something else answers."""
        answer = self.api.call("GET", "/ping", "a ping", ok=(200, 301, 302, 401, 403, 404, 405))
        if answer.status != 200 or answer.body.strip()[:10] != b"Pong":
            host = self.api.host
            hint = f"write registry://{host}/… for another registry"
            raise TargetError(f"{host} is reached, and is no Harbor", hint=hint)

    def about(self) -> About:
        """Return what it says of itself."""
        fields = self.api.fields(self.api.call("GET", "/systeminfo", "its version"), "its version")
        return About(
            fields.text("harbor_version", ""),
            bool(fields.raw("read_only", False)),
            fields.text("project_creation_restriction", ""),
            fields.text("registry_storage_provider_name", ""),
        )

    def unhealthy(self) -> dict[str, str]:
        """Return which of the :data:`NEEDED` components are not healthy, and what they say."""
        fields = self.api.fields(self.api.call("GET", "/health", "its health"), "its health")
        found = {}
        for component in fields.objects("components"):
            name, status = component.text("name"), component.text("status")
            if name in NEEDED and status != "healthy":
                found[name] = component.text("error", "") or status
        return found

    def is_known(self) -> bool:
        """Whether the login is accepted; this asks for no right at all."""
        query, what = {"project_name": "library"}, "a login"
        answer = self.api.call("HEAD", "/projects", what, query=query, ok=(200, 401, 403, 404))
        return answer.status != 401

    def is_sysadmin(self) -> bool | None:
        """Whether the login is a system administrator; nothing for robots, which are no users.

        Source: src/server/v2.0/handler/user.go, GetCurrentUserInfo.
        """
        what = "to say who it is"
        answer = self.api.call("GET", "/users/current", what, ok=(200, 403, 404, 412))
        if answer.status != 200:
            return None
        return bool(self.api.fields(answer, what).raw("sysadmin_flag", False))
