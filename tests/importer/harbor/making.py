"""Targets of a Harbor as runs of dray make them, and what a plan says that they lack."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from importer.harbor.pace import Pace
from importer.harbor.policies import Policy
from importer.targets.base import Want
from importer.targets.harbor import HarborTarget
from importer.targets.naming import Naming

if TYPE_CHECKING:
    from bundle.artifact import Artifact
    from bundle.credentials import Credentials
    from tests.servers.harbor import HarborServer


class Bundle:
    """All that a target wants to know of a bundle."""

    name = "nvidia-ai-000007"


class Make:
    """Makes targets as runs of dray do; the server closes their connections."""

    def __init__(self, harbor: HarborServer) -> None:
        self.harbor = harbor

    def __call__(
        self,
        project: str = "",
        login: Credentials | None = None,
        *,
        naming: Naming | None = None,
        **policy: Any,
    ) -> HarborTarget:
        pace = Pace(2, sleep=lambda _: None)
        return HarborTarget(
            self.harbor.host,
            self.harbor.http(),
            login or self.harbor.admin,
            pace,
            naming=naming or Naming(project),
            policy=Policy(**policy),
        )


def wants(target: HarborTarget, *artifacts: Artifact) -> list[Want]:
    """Return what a plan would say that these artifacts lack."""
    return [
        Want(
            artifact,
            tuple(
                content
                for content in artifact.contents
                if content.role not in {"manifest", "index"} and not target.has(artifact, content)
            ),
        )
        for artifact in artifacts
    ]
