"""The publisher's signature of a model: beside its files, in a folder and in a bucket alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from bundle.errors import UsageError, VerificationError
from importer.targets.bucket import Store
from importer.targets.folder import Folder
from importer.targets.naming import NIM, Naming, refuse_collisions
from importer.targets.s3 import S3
from tests.importer.targets.samples import Shelf, fill, ignore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from bundle.artifact import Artifact

FILES = {"a": b"1", "d/b": b"2"}
PLACE = "models/org/m/1.sigstore"


@dataclass
class Place:
    """A target of which each run makes its own, and everything that lies there."""

    make: Callable[..., Folder | S3]
    look: Callable[[], Mapping[str, bytes]]

    def load(self, artifact: Artifact, shelf: Shelf) -> bool:
        target = self.make()
        fill(target, artifact, shelf)
        changed = target.publish(artifact, shelf.blob)
        target.close()
        return changed


@pytest.fixture
def folder(tmp_path: Path) -> Place:
    root = tmp_path / "warehouse"

    def look() -> Mapping[str, bytes]:
        files = (path for path in root.rglob("*") if path.is_file())
        found = {str(path.relative_to(root)): path.read_bytes() for path in files}
        return {name: data for name, data in found.items() if not name.startswith(".dray/")}

    return Place(lambda: Folder(root), look)


@pytest.fixture
def bucket(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Place:
    store: Any = request.getfixturevalue("s3_rclone_tls")
    name = store.bucket()
    for key, value in store.environment().items():
        monkeypatch.setenv(key, value)
    where = Store(name, endpoint=store.endpoint, ca_file=str(store.ca or ""))

    def make(naming: Naming | None = None) -> S3:
        return S3(where, tmp_path / "state", naming=naming or Naming())

    def look() -> Mapping[str, bytes]:
        client = store.client()
        try:
            listed = client.list_objects_v2(Bucket=name).get("Contents", ())
            keys = [entry["Key"] for entry in listed]
            bodies = {key: client.get_object(Bucket=name, Key=key)["Body"] for key in keys}
            found = {key: body.read() for key, body in bodies.items()}
            for body in bodies.values():
                body.close()
            return found
        finally:
            client.close()

    return Place(make, look)


@pytest.fixture(params=["folder", pytest.param("bucket", marks=pytest.mark.server)])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    yield request.getfixturevalue(request.param)


def names(place: Place) -> list[str]:
    own = (".dray-complete.json", ".sha256sums")
    return sorted(name for name in place.look() if not name.endswith(own))


def test_the_signature_lies_beside_the_files_and_the_files_are_as_they_were(place: Place) -> None:
    shelf = Shelf()
    assert place.load(shelf.signed_model("org/m", "1", FILES, b"{signed}"), shelf)
    assert names(place) == [PLACE, "models/org/m/1/a", "models/org/m/1/d/b"]
    assert place.look()[PLACE] == b"{signed}"


def test_nothing_changes_when_it_is_there(place: Place) -> None:
    shelf = Shelf()
    model = shelf.signed_model("org/m", "1", FILES, b"{signed}")
    assert place.load(model, shelf)
    assert not place.load(model, shelf)


def test_the_signature_of_a_model_that_is_there_is_added(place: Place) -> None:
    shelf = Shelf()
    assert place.load(shelf.model("org/m", "1", FILES), shelf)
    assert place.load(shelf.signed_model("org/m", "1", FILES, b"{signed}"), shelf)
    assert place.look()[PLACE] == b"{signed}"


def test_another_signature_takes_the_place_of_the_one_before(place: Place) -> None:
    shelf = Shelf()
    assert place.load(shelf.signed_model("org/m", "1", FILES, b"{old}"), shelf)
    assert place.load(shelf.signed_model("org/m", "1", FILES, b"{new}"), shelf)
    assert place.look()[PLACE] == b"{new}"


@pytest.mark.parametrize("files", [FILES, {"a": b"other"}])
def test_the_signature_of_an_earlier_artifact_does_not_stay_beside_other_files(
    place: Place, files: dict[str, bytes]
) -> None:
    shelf = Shelf()
    assert place.load(shelf.signed_model("org/m", "1", FILES, b"{old}"), shelf)
    assert place.load(shelf.model("org/m", "1", files), shelf)
    assert PLACE not in place.look()


def test_a_signature_with_a_wrong_byte_is_not_left_there(place: Place) -> None:
    shelf = Shelf()
    model = shelf.signed_model("org/m", "1", FILES, b"{signed}")
    target = place.make()
    signature = model.signature
    assert signature
    with pytest.raises(VerificationError):
        target.put(model, signature, shelf.bad(signature.digest), ignore)
    target.close()
    assert names(place) == []


def test_a_signature_that_rotted_in_the_folder_is_replaced(folder: Place, tmp_path: Path) -> None:
    shelf = Shelf()
    model = shelf.signed_model("org/m", "1", FILES, b"{signed}")
    folder.load(model, shelf)
    (tmp_path / "warehouse" / PLACE).write_bytes(b"{sig-ed}")
    assert folder.load(model, shelf)
    assert folder.look()[PLACE] == b"{signed}"


@pytest.mark.server
def test_the_key_layout_of_nims_keeps_it_out_of_their_way(bucket: Place) -> None:
    shelf = Shelf()
    model = shelf.signed_model("nim/meta/m", "1", {"a": b"1"}, b"{signed}")
    target = bucket.make(Naming(layout=NIM))
    fill(target, model, shelf)
    assert target.publish(model, shelf.blob)
    target.close()
    assert names(bucket) == ["models/nim/meta/m/1.sigstore", "nim%2Fmeta%2Fm%3A1%3Ffile%3Da"]


def test_a_version_that_is_called_like_the_signature_of_another_is_refused(tmp_path: Path) -> None:
    shelf, target = Shelf(), Folder(tmp_path)
    signed = shelf.signed_model("org/m", "1", FILES, b"{signed}")
    other = shelf.model("org/m", "1.sigstore", FILES)
    with pytest.raises(UsageError, match="would both be at"):
        refuse_collisions([(target, signed), (target, other)])
