"""Places that every kind of target is made for, each with a reader's view of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import requests

from bundle.errors import TargetError
from bundle.http import Http
from importer.harbor.pace import Pace
from importer.targets.bucket import Store
from importer.targets.folder import Folder
from importer.targets.harbor import HarborTarget
from importer.targets.naming import Naming
from importer.targets.registry import RegistryTarget
from importer.targets.s3 import S3
from tests.importer.targets.samples import Shelf, fill

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from bundle.artifact import Artifact
    from importer.targets.base import Target


@dataclass
class Place:
    """One place that targets are made for, each as another run would; and a reader's view of it."""

    shelf: Shelf
    make: Callable[[], Target]
    compose: Callable[[str, str, Mapping[str, bytes]], Artifact]
    look: Callable[[Artifact], Mapping[str, bytes]]
    """Everything a reader finds of the artifact by its name, verified by nobody."""
    made: list[Target]

    def target(self) -> Target:
        self.made.append(self.make())
        return self.made[-1]

    def artifact(self, files: Mapping[str, bytes], name: str = "a/thing") -> Artifact:
        return self.compose(name, "1.0", files)

    def expected(self, artifact: Artifact) -> list[bytes]:
        role = "file" if artifact.kind == "model" else "layer"
        return sorted(self.shelf.data[c.digest] for c in artifact.contents if c.role == role)


def _oci_look(get: Callable[[str], bytes | None], manifest: bytes | None) -> dict[str, bytes]:
    if manifest is None:
        return {}
    found: dict[str, bytes] = {}
    for layer in json.loads(manifest)["layers"]:
        data = get(layer["digest"])
        assert data is not None
        found[layer["digest"]] = data
    return found


@pytest.fixture
def folder_images(tmp_path: Path) -> Place:
    shelf, root = Shelf(), tmp_path / "warehouse"
    oci = root / "oci"

    def blob(digest: str) -> bytes:
        return (oci / "blobs" / "sha256" / digest[7:]).read_bytes()

    def look(artifact: Artifact) -> Mapping[str, bytes]:
        if not (oci / "index.json").exists():
            return {}
        wanted = f"{artifact.repository.partition('/')[2]}:1.0"
        for entry in json.loads((oci / "index.json").read_bytes())["manifests"]:
            if entry["annotations"]["org.opencontainers.image.ref.name"] == wanted:
                return _oci_look(blob, blob(entry["digest"]))
        return {}

    return Place(shelf, lambda: Folder(root), shelf.image, look, [])


@pytest.fixture
def folder_models(tmp_path: Path) -> Place:
    shelf, root = Shelf(), tmp_path / "warehouse"

    def look(artifact: Artifact) -> Mapping[str, bytes]:
        folder = root / "models" / artifact.repository.partition("/")[2] / "1.0"
        files = (path for path in folder.rglob("*") if path.is_file())
        return {
            str(path.relative_to(folder)): path.read_bytes()
            for path in files
            if path.name != ".dray-complete.json"
        }

    return Place(shelf, lambda: Folder(root), shelf.model, look, [])


@pytest.fixture
def registry_images(request: pytest.FixtureRequest) -> Place:
    server = request.getfixturevalue("registry")
    shelf, prefix = Shelf(), server.repository("ngc")

    def make() -> Target:
        http = Http(error=TargetError, retries=0)
        return RegistryTarget(server.host, http, naming=Naming(prefix))

    def look(artifact: Artifact) -> Mapping[str, bytes]:
        url = f"{server.url}/v2/{prefix}/{artifact.repository.partition('/')[2]}"

        def get(rest: str) -> bytes | None:
            accept = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
            with requests.get(f"{url}/{rest}", headers=accept, timeout=30) as answer:
                return answer.content if answer.status_code == 200 else None

        return _oci_look(lambda digest: get(f"blobs/{digest}"), get("manifests/1.0"))

    return Place(shelf, make, shelf.image, look, [])


@pytest.fixture
def harbor_images(request: pytest.FixtureRequest) -> Place:
    server = request.getfixturevalue("harbor")
    shelf, project = Shelf(), server.project()
    robot = server.robot([project])

    def make() -> Target:
        naming, pace = Naming(f"{project}/deep"), Pace(2, sleep=lambda _: None)
        return HarborTarget(server.host, server.http(0), robot, pace, naming=naming)

    def look(artifact: Artifact) -> Mapping[str, bytes]:
        name = f"{project}/deep/{artifact.repository.partition('/')[2]}"

        def get(rest: str) -> bytes | None:
            answer = requests.get(
                f"{server.url}/v2/{name}/{rest}",
                headers={"Accept": "application/vnd.oci.image.manifest.v1+json"},
                auth=(robot.username, robot.password),
                verify=server.ca or True,
                timeout=30,
            )
            with answer:
                return answer.content if answer.status_code == 200 else None

        return _oci_look(lambda digest: get(f"blobs/{digest}"), get("manifests/1.0"))

    return Place(shelf, make, shelf.image, look, [])


def _objects(store: Any, state: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    shelf, bucket = Shelf(), store.bucket()
    for name, value in store.environment().items():
        monkeypatch.setenv(name, value)

    def make() -> Target:
        ca_file = str(store.ca or "")
        where = Store(bucket, endpoint=store.endpoint, ca_file=ca_file)
        return S3(where, state, naming=Naming("some/prefix"))

    def look(artifact: Artifact) -> Mapping[str, bytes]:
        prefix = f"some/prefix/models/{artifact.repository.partition('/')[2]}/1.0/"
        client = store.client()
        found = {}
        try:
            pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
            for page in pages:
                for entry in page.get("Contents", ()):
                    body = client.get_object(Bucket=bucket, Key=entry["Key"])["Body"]
                    found[entry["Key"].removeprefix(prefix)] = body.read()
                    body.close()
        finally:
            client.close()
        found.pop(".dray-complete.json", None)
        return found

    return Place(shelf, make, shelf.model, look, [])


PLACES = [
    pytest.param("s3_memory"),
    pytest.param("s3_careless"),
    pytest.param("folder_images"),
    pytest.param("folder_models"),
    pytest.param("registry_images", marks=pytest.mark.server),
    pytest.param("harbor_images", marks=pytest.mark.server),
    pytest.param("s3_rclone_tls", marks=pytest.mark.server),
    pytest.param("s3_versity", marks=pytest.mark.server),
    pytest.param("s3_rgw", marks=[pytest.mark.server, pytest.mark.xdist_group("ceph")]),
]


@pytest.fixture(params=PLACES)
def place(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Place]:
    found = request.getfixturevalue(request.param)
    made = found if isinstance(found, Place) else _objects(found, tmp_path / "state", monkeypatch)
    yield made
    for target in made.made:
        target.close()


def put_in(place: Place, artifact: Artifact) -> bool:
    target = place.target()
    target.check()
    fill(target, artifact, place.shelf)
    return target.publish(artifact, place.shelf.blob)
