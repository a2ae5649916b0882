"""What proves that a store has the bytes: what was signed, or reading them back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from bundle.errors import TargetError
from importer.targets import marker
from importer.targets.bucket import Bucket, Store
from importer.targets.s3 import S3
from tests.importer.targets.samples import Shelf, fill, noise

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bundle.artifact import Artifact

MIB = 1 << 20
CEPH = pytest.param("s3_rgw", marks=[pytest.mark.server, pytest.mark.xdist_group("ceph")])
VERSITY = pytest.param("s3_versity", marks=pytest.mark.server)
RCLONE = pytest.param("s3_rclone_tls", marks=pytest.mark.server)
STORE = "s3_careless"
"""Where a test does not say otherwise."""


def model(shelf: Shelf, **files: bytes) -> Artifact:
    return shelf.model("org/m", "1", files)


def forge(target: S3, artifact: Artifact, data: bytes) -> None:
    """Put other bytes where a file belongs, with the metadata of the right ones."""
    content = artifact.contents[0]
    key = f"models/org/m/1/{content.path}"
    notes = {"sha256": content.digest.hex}
    target._bucket.call("put_object", key, Body=data, Metadata=notes)


@pytest.mark.parametrize("store", ["s3_careless", RCLONE], indirect=True)
def test_a_note_in_the_metadata_is_believed_of_a_finished_import_alone(
    run: Callable[[], S3],
) -> None:
    shelf = Shelf()
    artifact = model(shelf, file=b"1234")
    target = run()
    forge(target, artifact, b"abcd")
    assert target.has(artifact, artifact.contents[0])
    with pytest.raises(TargetError, match="what the store gives back is not what it was sent"):
        target.publish(artifact, shelf.blob)
    assert target._bucket.head(f"models/org/m/1/{marker.NAME}") is None
    again = run()
    fill(again, artifact, shelf)
    assert again.publish(artifact, shelf.blob)
    assert again._bucket.read("models/org/m/1/file", 10) == b"1234"


@pytest.mark.parametrize("store", ["s3_careless", RCLONE], indirect=True)
def test_a_store_that_returns_other_bytes_than_it_was_sent_gets_no_marker(
    run: Callable[[], S3], monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = Shelf()
    artifact = model(shelf, file=noise(MIB))
    target, real = run(), Bucket.call
    fill(target, artifact, shelf)

    def call(self: Bucket, operation: str, key: str = "", **arguments: Any) -> dict[str, Any]:
        answer = real(self, operation, key, **arguments)
        if operation == "complete_multipart_upload":
            forge(target, artifact, noise(MIB, "other"))
        return answer

    monkeypatch.setattr(Bucket, "call", call)
    with pytest.raises(TargetError, match="what the store gives back is not what it was sent"):
        target.publish(artifact, shelf.blob)
    assert target._bucket.head(f"models/org/m/1/{marker.NAME}") is None
    assert target._bucket.head("models/org/m/1/file") is None


@pytest.mark.parametrize("store", ["s3_careless", "s3_memory", RCLONE, VERSITY], indirect=True)
def test_with_read_back_what_was_changed_since_is_found_and_sent_again(
    store: Store, tmp_path: Path
) -> None:
    shelf = Shelf()
    artifact = model(shelf, file=b"1234", other=b"5")
    target = S3(store, tmp_path / "state")
    fill(target, artifact, shelf)
    target.publish(artifact, shelf.blob)
    forge(target, artifact, b"abcd")
    assert not S3(store, tmp_path / "state").publish(artifact, shelf.blob), "it is believed"
    careful = S3(store, tmp_path / "state", read_back=True)
    assert not careful.has(artifact, artifact.contents[0])
    fill(careful, artifact, shelf)
    assert careful.publish(artifact, shelf.blob)
    assert careful._bucket.read("models/org/m/1/file", 10) == b"1234"
    assert not S3(store, tmp_path / "state", read_back=True).publish(artifact, shelf.blob)
    for one in (target, careful):
        one.close()


def test_an_import_that_runs_at_the_same_time_is_told(
    run: Callable[[], S3], monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = Shelf()
    artifact = model(shelf, file=b"1")
    target, real = run(), Bucket.call
    fill(target, artifact, shelf)

    def call(self: Bucket, operation: str, key: str = "", **arguments: Any) -> dict[str, Any]:
        if "IfNoneMatch" in arguments:
            real(self, "put_object", key, Body=b"the marker of another")
            raise TargetError("refused", case="PreconditionFailed")
        return real(self, operation, key, **arguments)

    monkeypatch.setattr(Bucket, "call", call)
    with pytest.raises(TargetError, match="was written by somebody else at the same time"):
        target.publish(artifact, shelf.blob)


def test_a_store_that_forgets_metadata_is_told_before_the_marker(
    run: Callable[[], S3], monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = Shelf()
    artifact = model(shelf, file=b"1")
    target, real = run(), Bucket.call

    def call(self: Bucket, operation: str, key: str = "", **arguments: Any) -> dict[str, Any]:
        if operation == "create_multipart_upload":
            arguments.pop("Metadata")
        return real(self, operation, key, **arguments)

    monkeypatch.setattr(Bucket, "call", call)
    fill(target, artifact, shelf)
    with pytest.raises(TargetError, match="the store shows another size or no SHA-256"):
        target.publish(artifact, shelf.blob)
    assert target._bucket.head(f"models/org/m/1/{marker.NAME}") is None
