"""What only object stores do: a marker, errors of a client library."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from bundle.errors import TargetError, UsageError
from importer.targets import marker
from importer.targets.bucket import Bucket, Store
from importer.targets.naming import Naming
from importer.targets.s3 import S3
from tests.importer.targets.samples import Shelf, fill, ignore, noise

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bundle.artifact import Artifact

MIB = 1 << 20
CEPH = pytest.param("s3_rgw", marks=[pytest.mark.server, pytest.mark.xdist_group("ceph")])
pytestmark = pytest.mark.server


def model(shelf: Shelf, **files: bytes) -> Artifact:
    return shelf.model("org/m", "1", files)


def test_the_marker_is_written_last_and_names_every_file(
    run: Callable[[], S3], calls: list[tuple[str, str]]
) -> None:
    shelf = Shelf()
    artifact = model(shelf, one=b"1", two=b"2", empty=b"")
    target = run()
    fill(target, artifact, shelf)
    calls.clear()
    target.publish(artifact, shelf.blob)
    writes = [call for call in calls if call[0] in {"complete_multipart_upload", "put_object"}]
    assert writes[-2:] == [("put_object", "1.sha256sums"), ("put_object", marker.NAME)]
    assert len(writes) == 5
    data = target._bucket.read(f"models/org/m/1/{marker.NAME}", marker.LIMIT)
    document = json.loads(data or b"")
    assert document["artifact"] == artifact.name
    assert document["root"] == artifact.root
    assert [file["path"] for file in document["files"]] == ["empty", "one", "two"]
    assert all(set(file) == {"path", "size", "digest"} for file in document["files"])


def test_the_marker_goes_before_what_it_vouches_for_changes(
    run: Callable[[], S3], calls: list[tuple[str, str]]
) -> None:
    shelf = Shelf()
    old, new = model(shelf, file=b"old", gone=b"x"), model(shelf, file=b"new")
    for artifact in (old, new):
        target = run()
        fill(target, artifact, shelf)
        calls.clear()
        target.publish(artifact, shelf.blob)
    changes = [call for call in calls if not call[0].startswith(("head", "get"))]
    assert [change for change in changes if change[1] != "probe"] == [
        ("delete_object", marker.NAME),
        ("delete_object", "gone"),
        ("complete_multipart_upload", "file"),
        ("put_object", "1.sha256sums"),
        ("put_object", marker.NAME),
    ]


def test_a_file_that_dray_has_not_written_is_not_removed(run: Callable[[], S3]) -> None:
    shelf = Shelf()
    old, new = model(shelf, file=b"old", gone=b"x"), model(shelf, file=b"new")
    first = run()
    fill(first, old, shelf)
    first.publish(old, shelf.blob)
    first._bucket.write("models/org/m/1/gone", b"by somebody else")
    second = run()
    fill(second, new, shelf)
    second.publish(new, shelf.blob)
    assert second._bucket.read("models/org/m/1/gone", 100) == b"by somebody else"


@pytest.mark.parametrize("data", [b"", b"{}", b'{"root":"x"}', b"\xff"])
def test_a_marker_that_is_none_is_reported_and_left(run: Callable[[], S3], data: bytes) -> None:
    shelf = Shelf()
    artifact = model(shelf, file=b"1")
    target = run()
    target._bucket.write(f"models/org/m/1/{marker.NAME}", data)
    fill(target, artifact, shelf)
    with pytest.raises(TargetError, match="no marker of dray"):
        target.publish(artifact, shelf.blob)
    assert not target.has(artifact, artifact.contents[0])


def test_an_object_of_the_same_size_by_somebody_else_is_not_taken(
    run: Callable[[], S3], store: Store
) -> None:
    shelf = Shelf()
    artifact = model(shelf, file=b"1234")
    target = run()
    target._bucket.call("put_object", "models/org/m/1/file", Body=b"abcd")
    assert not target.has(artifact, artifact.contents[0])
    fill(target, artifact, shelf)
    target.publish(artifact, shelf.blob)
    assert target._bucket.read("models/org/m/1/file", 10) == b"1234"


def test_a_bucket_that_is_not_there_is_told(store: Store, tmp_path: Path) -> None:
    target = S3(Store("no-such-bucket", store.endpoint, "", store.ca_file), tmp_path)
    with pytest.raises(TargetError, match="s3://no-such-bucket/: there is no such bucket") as error:
        target.check()
    assert "create" in error.value.hint
    target.close()


def test_a_wrong_key_is_told_without_the_key(
    run: Callable[[], S3], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong-secret")
    shelf = Shelf()
    artifact = model(shelf, file=b"1")
    with pytest.raises(
        TargetError, match=r"was refused: (SignatureDoesNotMatch|AccessDenied)"
    ) as e:
        run().put(artifact, artifact.contents[0], shelf.blob(artifact.contents[0].digest), ignore)
    assert "wrong-secret" not in str(e.value) + e.value.hint
    assert e.value.hint


def test_missing_credentials_are_told(
    run: Callable[[], S3], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(TargetError, match="no credentials were found") as error:
        run().check()
    assert "AWS_ACCESS_KEY_ID" in error.value.hint


def test_an_unknown_ca_is_told_with_the_setting(store: Store, tmp_path: Path) -> None:
    target = S3(Store(store.bucket, store.endpoint), tmp_path)
    with pytest.raises(TargetError, match="TLS failed") as error:
        target.check()
    assert "AWS_CA_BUNDLE" in error.value.hint
    target.close()


def test_the_ca_of_the_environment_is_used(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", store.ca_file)
    target = S3(Store(store.bucket, store.endpoint), tmp_path)
    target.check()
    target.close()


def test_the_endpoint_of_the_environment_is_used(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", store.endpoint)
    target = S3(Store(store.bucket, ca_file=store.ca_file), tmp_path)
    target.check()
    target.close()


def test_a_ca_file_that_is_not_there_is_a_usage_error(store: Store, tmp_path: Path) -> None:
    target = S3(Store(store.bucket, store.endpoint, ca_file=str(tmp_path / "no.pem")), tmp_path)
    with pytest.raises(UsageError, match=r"no\.pem is not there"):
        target.check()


def test_an_endpoint_that_is_no_url_is_told(tmp_path: Path) -> None:
    target = S3(Store("bucket", "not a url"), tmp_path)
    with pytest.raises(TargetError, match="s3://bucket: the endpoint is no URL"):
        target.check()


def test_the_nim_layout_has_keys_at_the_root_that_survive_the_store(
    store: Store, tmp_path: Path
) -> None:
    shelf = Shelf()
    files = {"config.json": b"{}", "model.bin": noise(5000), "old": b"gone soon"}
    target = S3(store, tmp_path / "state", naming=Naming(layout="nim"))
    try:
        first = shelf.model("nim/meta/llama", "hf", files)
        fill(target, first, shelf)
        assert target.publish(first, shelf.blob)
        begin = f"s3://{store.bucket}/nim%2Fmeta%2Fllama%3Ahf%3Ffile%3D"
        assert target.place(first) == begin
        bucket = Bucket(store)
        key = "nim%2Fmeta%2Fllama%3Ahf%3Ffile%3D"
        assert bucket.read(f"{key}model.bin", MIB) == files["model.bin"]
        assert bucket.read(f"models/nim/meta/llama/hf/{marker.NAME}", MIB) == marker.compose(first)
        assert not target.publish(first, shelf.blob)
        del files["old"]
        second = shelf.model("nim/meta/llama", "hf", files)
        fill(target, second, shelf)
        assert target.publish(second, shelf.blob)
        assert bucket.head(f"{key}old") is None
        assert bucket.head(f"{key}config.json") is not None
        bucket.close()
    finally:
        target.close()
