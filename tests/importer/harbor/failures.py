"""A row of the table of failures, and the stage on which each is provoked: real commands."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

from bundle.artifact import Artifact, Content
from bundle.decode import compact_json
from bundler.lock import LockedArtifact, LockedContent, Origin
from importer.harbor.command import PASSWORD, USER
from tests import factory
from tests.refusals.table import dray
from tests.servers.tokens import basic

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bundle.credentials import Credentials
    from bundle.digest import Digest
    from fixtures.harbor import EmulatedHarbor, Project
    from fixtures.harbor.world import World
    from tests.factory import Bundle, Contents
    from tests.refusals.table import Answer
    from tests.servers.harbor import HarborServer

IMAGE, TAG = "nvidia/cuda", "12.6"
NAME = f"nvcr.io/{IMAGE}:{TAG}"
INDEX = "application/vnd.oci.image.index.v1+json"
SECRET = "never-to-be-Shown1"


@dataclass
class Stage:
    """A Harbor with one project, a login, a target file, and a bundle with an image for it."""

    harbor: HarborServer
    folder: Path
    bundle: Bundle
    project: str
    lines: dict[str, Any] = field(default_factory=dict)
    """What the target file says beside ``to`` and ``ca``."""
    to: str = ""
    """Another ``to``."""

    @property
    def emulated(self) -> EmulatedHarbor:
        """The emulator."""
        return self.harbor.emulated

    @property
    def world(self) -> World:
        """What it has and how it is set."""
        return self.emulated.world

    @property
    def there(self) -> Project:
        """The project as the emulator has it."""
        return self.world.projects[self.project]

    def log_in(self, login: Credentials | None = None, **entry: str) -> Credentials:
        """Write the file that ``docker login`` writes; return the login."""
        login = login or self.harbor.robot([self.project])
        body = entry or {"auth": basic(login.username, login.password)}
        config = Path(os.environ["DOCKER_CONFIG"]) / "config.json"
        config.parent.mkdir(parents=True, exist_ok=True)
        config.write_text(json.dumps({"auths": {self.harbor.host: body}}))
        return login

    def fails(self, where: str, **how: Any) -> None:
        """Spoil requests; see :class:`fixtures.harbor.Fault`."""
        self.emulated.faults.add(where, **how)

    def targets(self) -> Path:
        """Write the target file."""
        to = self.to or f"harbor://{self.harbor.host}/{self.project}"
        entry = {"to": to, "ca": self.harbor.ca, **self.lines}
        target = {key: value for key, value in entry.items() if value != ""}
        path = self.folder / "targets.yaml"
        path.write_text(json.dumps({"apiVersion": "dray/v1", "targets": [target]}))
        return path

    def run(self, *words: str) -> Answer:
        """Run ``dray import`` or another command on the target file."""
        options = ("--to", self.targets(), "--trust", self.bundle.trust, self.bundle.folder)
        admin = self.harbor.admin
        known = {USER: admin.username, PASSWORD: admin.password}
        with mock.patch.dict(os.environ, known):
            if words[0] == "import":
                return dray(*words, *options, folder=self.folder)
            return dray(*words, self.targets(), folder=self.folder)

    def sent(self) -> int:
        """Return how many requests were made so far, where that is known."""
        return len(self.harbor.emulator.requests) if self.harbor.emulator else 0

    def written(self, before: int) -> list[str]:
        """Return the requests since then that would have changed something of a project."""
        if self.harbor.emulator is None:
            return []
        return [
            f"{entry.method} {entry.path}"
            for entry in self.harbor.emulator.requests[before:]
            if entry.method not in {"GET", "HEAD"} and entry.path.startswith("/v2/")
        ]

    def recover(self) -> None:
        """Let the Harbor be well again."""
        if self.harbor.emulator:
            self.harbor.emulator.reset()

    def digest(self) -> Digest | None:
        """Return what the image's tag points at, as Harbor's API says."""
        found = self.harbor.client().artifacts.get(f"{self.project}/{IMAGE}", TAG)
        return found.digest if found else None

    @property
    def root(self) -> Digest:
        """The digest that the tag is to point at."""
        return self.bundle.manifest.artifacts[0].root


@dataclass(frozen=True)
class Row:
    """``provoke`` makes the failure of ``section`` come; ``says`` and ``hint`` are in the answer.

    ``early`` failures come before a byte is sent. ``sample`` names the bundle.
    """

    name: str
    section: str
    provoke: Callable[[Stage], object]
    code: int
    says: str
    hint: str = ""
    early: bool = True
    sample: str = "image"
    command: tuple[str, ...] = ("import",)


def steps(*found: Callable[[Stage], object]) -> Callable[[Stage], object]:
    """Return what does several things, one after another."""

    def provoke(stage: Stage) -> None:
        for step in found:
            step(stage)

    return provoke


def as_admin(stage: Stage) -> None:
    """Log in as the system's administrator."""
    stage.log_in(stage.harbor.admin)


def as_robot(*access: tuple[str, str]) -> Callable[[Stage], object]:
    """Return what logs in as a robot of the project with these rights alone."""
    return lambda stage: stage.log_in(stage.harbor.robot_with(stage.project, *access))


def setting(name: str, value: Any) -> Callable[[Stage], object]:
    """Return what sets a setting of the system."""
    return lambda stage: setattr(stage.world, name, value)


def metadata(**found: str) -> Callable[[Stage], object]:
    """Return what goes to a project with this metadata."""

    def provoke(stage: Stage) -> None:
        stage.project = stage.harbor.project({"public": "false", **found})
        stage.log_in()

    return provoke


def proxied(stage: Stage) -> None:
    """Make the project a proxy cache."""
    stage.there.registry_id = 7


def renewed(stage: Stage) -> None:
    """Name a project that is not there."""
    stage.project = stage.harbor.name()


def imported(stage: Stage) -> None:
    """Import the bundle, before the import that is looked at."""
    assert stage.run("import").code == 0


def index(kept: Contents) -> tuple[LockedArtifact, ...]:
    """Return an index over two images of one layer each."""
    images = [
        factory.image(kept, f"nvcr.io/{IMAGE}-{name}:{TAG}", [factory.noise(name, 3000)]).artifact
        for name in ("amd64", "arm64")
    ]
    contents: dict[Digest, Content] = {}
    entries = []
    for image, machine in zip(images, ("amd64", "arm64"), strict=True):
        for content in image.contents:
            plain = Content(content.role, content.media_type, content.digest, content.size)
            contents.setdefault(content.digest, plain)
        root = contents[image.root]
        entry = {"mediaType": root.media_type, "digest": str(root.digest), "size": root.size}
        entries.append({**entry, "platform": {"os": "linux", "architecture": machine}})
    data = compact_json({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries})
    root = Content("index", INDEX, kept.add(data), len(data), tags=(TAG,))
    return (_locked([*contents.values(), root], root.digest),)


def image(kept: Contents) -> tuple[LockedArtifact, ...]:
    """Return an image of two layers."""
    layers = [factory.noise(f"layer {number}", 150_000) for number in range(2)]
    return (factory.image(kept, NAME, layers),)


def two(kept: Contents) -> tuple[LockedArtifact, ...]:
    """Return two images that a rule may give one name."""
    layer = factory.noise("two", 1000)
    names = (NAME, f"nvcr.io/one:{TAG}")
    return tuple(factory.image(kept, name, [layer, name.encode()]) for name in names)


def odd(
    media_type: str, *, config: tuple[str, bytes] = ("", b"{}")
) -> Callable[[Contents], tuple[LockedArtifact, ...]]:
    """Return what builds an image with a manifest of an odd type, or with such a config."""

    def build(kept: Contents) -> tuple[LockedArtifact, ...]:
        kind = config[0] or "application/vnd.oci.image.config.v1+json"
        rows: Mapping[str, bytes] = {"config": config[1], "layer": factory.noise("odd", 3000)}
        contents = [
            Content(
                role, kind if role == "config" else f"{media_type}.x", kept.add(data), len(data)
            )
            for role, data in rows.items()
        ]
        named = [
            {"mediaType": one.media_type, "digest": str(one.digest), "size": one.size}
            for one in contents
        ]
        body = {
            "schemaVersion": 2,
            "mediaType": media_type,
            "config": named[0],
            "layers": named[1:],
        }
        data = compact_json(body)
        root = Content("manifest", media_type, kept.add(data), len(data), tags=(TAG,))
        return (_locked([*contents, root], root.digest),)

    return build


def _locked(contents: list[Content], root: Digest) -> LockedArtifact:
    made = Artifact("image", NAME, NAME.rpartition(":")[0], TAG, root, tuple(contents))
    origin = Origin("registry", {"host": "nvcr.io", "repository": IMAGE})
    return LockedArtifact(made, origin, tuple(LockedContent(one) for one in contents))


OCI = "application/vnd.oci.image.manifest.v1+json"
SAMPLES = {
    "image": image,
    "two": two,
    "large layer": lambda kept: (factory.image(kept, NAME, [factory.noise("large", 3 << 20)]),),
    "index": index,
    "unknown type": odd("application/vnd.oci.artifact.manifest.v1+json"),
    "odd config": odd(OCI, config=("application/vnd.acme.thing.config.v1+json", b"not json")),
}
