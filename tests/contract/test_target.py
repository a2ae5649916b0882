"""What every target does, whatever it is: one suite over folders, a registry and object stores."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import requests

from bundle.digest import Digest
from bundle.errors import PartlyDone, TargetError, VerificationError
from bundle.http import Http
from importer.harbor.pace import Pace
from importer.targets.bucket import Store
from importer.targets.folder import Folder
from importer.targets.harbor import HarborTarget
from importer.targets.naming import Naming
from importer.targets.registry import RegistryTarget
from importer.targets.s3 import S3
from tests.importer.targets.samples import Shelf, fill, ignore, noise

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from bundle.artifact import Artifact
    from importer.targets.base import Target

MIB = 1 << 20


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


def _put_in(place: Place, artifact: Artifact) -> bool:
    target = place.target()
    target.check()
    fill(target, artifact, place.shelf)
    return target.publish(artifact, place.shelf.blob)


def test_an_artifact_becomes_visible_only_by_publishing(place: Place) -> None:
    artifact = place.artifact({"a.bin": noise(3 * MIB), "deep/er/b.txt": b"text"})
    target = place.target()
    target.check()
    fill(target, artifact, place.shelf)
    assert place.look(artifact) == {}
    assert target.publish(artifact, place.shelf.blob)
    assert sorted(place.look(artifact).values()) == place.expected(artifact)


def test_files_keep_their_paths(place: Place) -> None:
    artifact = place.artifact({"a.bin": b"one", "deep/er/b c+ü.txt": b"two"})
    _put_in(place, artifact)
    if artifact.kind == "model":
        assert place.look(artifact) == {"a.bin": b"one", "deep/er/b c+ü.txt": b"two"}
    else:
        assert len(place.look(artifact)) == 2


def test_a_fresh_target_has_nothing(place: Place) -> None:
    artifact = place.artifact({"a.bin": b"one"})
    target = place.target()
    assert not target.has(artifact, artifact.contents[0])


def test_what_was_published_is_there_for_the_next_run(place: Place) -> None:
    artifact = place.artifact({"a.bin": b"one", "b.bin": noise(2 * MIB)})
    _put_in(place, artifact)
    again = place.target()
    assert all(again.has(artifact, content) for content in artifact.contents)


def test_publishing_twice_changes_nothing(place: Place) -> None:
    artifact = place.artifact({"a.bin": b"one", "empty": b""})
    assert _put_in(place, artifact)
    before = place.look(artifact)
    assert not _put_in(place, artifact)
    assert place.look(artifact) == before
    assert all(target.replaced == [] for target in place.made)


def test_putting_twice_changes_nothing(place: Place) -> None:
    artifact = place.artifact({"a.bin": noise(2 * MIB)})
    target = place.target()
    for _ in range(2):
        for content in artifact.contents:
            if content.role not in {"manifest", "index"}:
                target.put(artifact, content, place.shelf.blob(content.digest), ignore)
    assert place.look(artifact) == {}
    assert target.publish(artifact, place.shelf.blob)
    assert sorted(place.look(artifact).values()) == place.expected(artifact)


@pytest.mark.parametrize("size", [1, 3, MIB, MIB + 1, 9 * MIB])
def test_a_wrong_byte_leaves_nothing_behind(place: Place, size: int) -> None:
    artifact = place.artifact({"a.bin": noise(size)})
    content = artifact.contents[0]
    target = place.target()
    with pytest.raises(VerificationError):
        target.put(artifact, content, place.shelf.bad(content.digest), ignore)
    assert not target.has(artifact, content)
    assert place.look(artifact) == {}
    fill(target, artifact, place.shelf)
    target.publish(artifact, place.shelf.blob)
    assert sorted(place.look(artifact).values()) == place.expected(artifact)


def test_an_empty_file_is_a_file(place: Place) -> None:
    artifact = place.artifact({"empty": b"", "full": b"x"})
    _put_in(place, artifact)
    assert sorted(place.look(artifact).values()) == [b"", b"x"]


def test_many_small_files_all_arrive(place: Place) -> None:
    files = {f"folder{n % 7}/file{n}": f"text {n}".encode() for n in range(120)}
    artifact = place.artifact(files)
    _put_in(place, artifact)
    assert sorted(place.look(artifact).values()) == place.expected(artifact)


def test_equal_bytes_at_two_paths_are_two_files(place: Place) -> None:
    artifact = place.artifact({"one": b"same", "two": b"same", "three": b"other"})
    _put_in(place, artifact)
    assert sorted(place.look(artifact).values()) == place.expected(artifact)


def test_a_run_completes_what_another_was_interrupted_in(place: Place) -> None:
    artifact = place.artifact({"a.bin": noise(20 * MIB), "b.bin": b"small"})
    large = max(artifact.contents, key=lambda content: content.size)
    first = place.target()
    with pytest.raises(PartlyDone):
        blob = place.shelf.cut_off(large.digest, 18 * MIB)
        first.put(artifact, large, blob, ignore)
    first.close()
    assert place.look(artifact) == {}
    assert _put_in(place, artifact)
    assert sorted(place.look(artifact).values()) == place.expected(artifact)


def test_a_run_publishes_what_another_has_put(place: Place) -> None:
    artifact = place.artifact({"a.bin": noise(9 * MIB), "b.bin": b"small", "c": b""})
    first = place.target()
    fill(first, artifact, place.shelf)
    first.close()
    assert place.target().publish(artifact, place.shelf.blob)
    assert sorted(place.look(artifact).values()) == place.expected(artifact)


def test_an_artifact_that_lacks_blobs_is_published_whole_or_not_at_all(place: Place) -> None:
    artifact = place.artifact({"a.bin": b"one", "b.bin": b"two"})
    try:
        changed = place.target().publish(artifact, place.shelf.blob)
    except TargetError:
        assert place.look(artifact) == {}
    else:
        assert changed
        assert sorted(place.look(artifact).values()) == place.expected(artifact)


def test_two_artifacts_share_a_blob(place: Place) -> None:
    shared = noise(2 * MIB)
    one = place.artifact({"a.bin": shared, "b": b"1"}, name="a/one")
    two = place.artifact({"a.bin": shared, "b": b"2"}, name="a/two")
    target = place.target()
    for artifact in (one, two):
        fill(target, artifact, place.shelf)
    for artifact in (one, two):
        assert target.publish(artifact, place.shelf.blob)
        assert sorted(place.look(artifact).values()) == place.expected(artifact)


def test_progress_ends_at_the_size_of_what_was_put(place: Place) -> None:
    artifact = place.artifact({"a.bin": noise(9 * MIB + 5)})
    content = artifact.contents[0]
    counted: list[int] = []
    blob = place.shelf.blob(content.digest)
    assert place.target().put(artifact, content, blob, counted.append) == "uploaded"
    assert sum(counted) == content.size


def test_progress_ends_at_the_size_after_an_interruption_too(place: Place) -> None:
    artifact = place.artifact({"a.bin": noise(20 * MIB)})
    content = artifact.contents[0]
    with pytest.raises(PartlyDone):
        blob = place.shelf.cut_off(content.digest, 18 * MIB)
        place.target().put(artifact, content, blob, ignore)
    counted: list[int] = []
    place.target().put(artifact, content, place.shelf.blob(content.digest), counted.append)
    assert sum(counted) == content.size


def test_a_name_that_pointed_elsewhere_is_taken_over_and_reported(place: Place) -> None:
    old = place.artifact({"a.bin": b"old", "gone.bin": b"old too", "kept": b"same"})
    new = place.artifact({"a.bin": b"new", "kept": b"same"})
    _put_in(place, old)
    target = place.target()
    fill(target, new, place.shelf)
    assert target.publish(new, place.shelf.blob)
    assert [(r.before, r.after) for r in target.replaced] == [(str(old.root), new.root)]
    assert sorted(place.look(new).values()) == [b"new", b"same"]


def test_a_place_is_what_two_different_artifacts_both_claim(place: Place) -> None:
    one, two = place.artifact({"a": b"1"}), place.artifact({"a": b"2"})
    target = place.target()
    claims = [target.claims(artifact) for artifact in (one, two)]
    assert [claim.place for claim in claims[0]] == [claim.place for claim in claims[1]]
    assert {claim.digest for claim in claims[0]} == {one.root}
    assert isinstance(claims[1][0].digest, Digest)
    assert "a/thing" in target.place(one)


def _unread(place: Place, never: Digest) -> Callable[[Digest], Any]:
    def blob(digest: Digest) -> Any:
        assert digest != never, "its bytes were asked for again"
        return place.shelf.blob(digest)

    return blob


def test_what_another_artifact_has_is_taken_and_not_sent_again(place: Place) -> None:
    old = place.artifact({"a.bin": noise(9 * MIB)}, "a/old")
    new = place.artifact({"sub/b.bin": noise(9 * MIB), "c.bin": b"new"}, "a/new")
    _put_in(place, old)
    target = place.target()
    source = max(old.contents, key=lambda content: content.size)
    content = next(one for one in new.contents if one.digest == source.digest)
    if new.kind != "model":
        assert not target.take(new, content, old, source), "layers are mounted, or are one blob"
        return
    assert target.take(new, content, old, source)
    assert place.look(new) == {}
    rest = next(one for one in new.contents if one.path == "c.bin")
    target.put(new, rest, place.shelf.blob(rest.digest), ignore)
    assert target.publish(new, _unread(place, content.digest))
    assert sorted(place.look(new).values()) == place.expected(new)
    assert sorted(place.look(old).values()) == place.expected(old)
    assert not target.publish(new, place.shelf.blob)


def test_what_is_not_there_cannot_be_taken(place: Place) -> None:
    old, new = (place.artifact({"a.bin": noise(MIB)}, name) for name in ("a/old", "a/new"))
    target = place.target()
    assert not target.take(new, new.contents[0], old, old.contents[0])
    fill(target, new, place.shelf)
    target.publish(new, place.shelf.blob)
    assert sorted(place.look(new).values()) == place.expected(new)
