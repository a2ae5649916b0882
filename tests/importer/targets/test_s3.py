"""What only object stores do: uploads to go on with, a marker, errors of a client library."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from bundle.errors import PartlyDone, TargetError, UsageError, VerificationError
from importer.targets import marker
from importer.targets.bucket import Bucket, Store
from importer.targets.naming import Naming
from importer.targets.s3 import S3
from importer.targets.uploads import PART
from tests.importer.targets.samples import Shelf, fill, ignore, noise

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from bundle.artifact import Artifact
    from tests.servers.s3 import ObjectStore

MIB = 1 << 20


pytestmark = pytest.mark.server
CEPH = pytest.param("s3_rgw", marks=pytest.mark.xdist_group("ceph"))


@pytest.fixture
def store(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A new bucket, of rclone unless the test asks for another server."""
    server: ObjectStore = request.getfixturevalue(getattr(request, "param", "s3_rclone_tls"))
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    return Store(server.bucket(), endpoint=server.endpoint, ca_file=str(server.ca))


@pytest.fixture
def run(store: Store, tmp_path: Path) -> Iterator[Callable[[], S3]]:
    """Makes the target as each run of dray would."""
    made: list[S3] = []

    def make() -> S3:
        made.append(S3(store, tmp_path / "state"))
        return made[-1]

    yield make
    for target in made:
        target.close()


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Operation and key of every call to the store."""
    seen: list[tuple[str, str]] = []
    real = Bucket.call

    def call(self: Bucket, operation: str, key: str = "", **arguments: Any) -> dict[str, Any]:
        seen.append((operation, key.rpartition("/")[2]))
        return real(self, operation, key, **arguments)

    monkeypatch.setattr(Bucket, "call", call)
    return seen


def model(shelf: Shelf, **files: bytes) -> Artifact:
    return shelf.model("org/m", "1", files)


def test_parts_of_an_interrupted_upload_are_not_sent_again(
    run: Callable[[], S3], calls: list[tuple[str, str]]
) -> None:
    shelf = Shelf()
    artifact = model(shelf, big=noise(3 * PART + 5))
    content = artifact.contents[0]
    with pytest.raises(PartlyDone):
        run().put(artifact, content, shelf.cut_off(content.digest, 3 * PART), ignore)
    assert [name for name, _ in calls].count("upload_part") == 2
    calls.clear()
    run().put(artifact, content, shelf.blob(content.digest), ignore)
    assert [name for name, _ in calls] == ["list_parts", "upload_part", "upload_part"]


@pytest.mark.parametrize("store", ["s3_rclone_tls", "s3_versity", CEPH], indirect=True)
def test_a_part_with_other_bytes_than_the_medium_is_never_published(
    run: Callable[[], S3], store: Store
) -> None:
    shelf = Shelf()
    artifact = model(shelf, big=noise(2 * PART + 5))
    content = artifact.contents[0]
    with pytest.raises(PartlyDone):
        blob = shelf.cut_off(content.digest, 2 * PART)
        blob.data = bytes(10) + blob.data[10:]
        run().put(artifact, content, blob, ignore)
    counted: list[int] = []
    again = run()
    again.put(artifact, content, shelf.blob(content.digest), counted.append)
    assert sum(counted) == content.size
    again.publish(artifact, shelf.blob)
    bucket = Bucket(store)
    assert bucket.read("models/org/m/1/big", 100 * MIB) == shelf.data[content.digest]
    bucket.close()


def test_a_finished_upload_is_not_read_from_the_medium_again(run: Callable[[], S3]) -> None:
    shelf = Shelf()
    artifact = model(shelf, big=noise(PART + 5))
    content = artifact.contents[0]
    run().put(artifact, content, shelf.blob(content.digest), ignore)
    blob = shelf.blob(content.digest)
    run().put(artifact, content, blob, ignore)
    assert blob.read_bytes == 0


def test_a_finished_upload_whose_parts_are_others_now_is_read_again(
    run: Callable[[], S3], tmp_path: Path
) -> None:
    shelf = Shelf()
    artifact = model(shelf, big=noise(PART + 5))
    content = artifact.contents[0]
    run().put(artifact, content, shelf.blob(content.digest), ignore)
    (record,) = (tmp_path / "state").iterdir()
    text = json.loads(record.read_bytes())
    record.write_text(json.dumps({**text, "parts": ["0" * 32, text["parts"][1]]}))
    blob, target = shelf.blob(content.digest), run()
    target.put(artifact, content, blob, ignore)
    assert blob.read_bytes == content.size
    assert target.publish(artifact, shelf.blob)
    assert target._bucket.read("models/org/m/1/big", 100 * MIB) == shelf.data[content.digest]


@pytest.mark.parametrize("store", ["s3_rclone_tls", "s3_versity", CEPH], indirect=True)
@pytest.mark.parametrize("stop", [PART, 100 * PART])
def test_an_upload_that_somebody_aborted_is_begun_again(
    run: Callable[[], S3], store: Store, stop: int
) -> None:
    shelf = Shelf()
    artifact = model(shelf, big=noise(3 * PART))
    content = artifact.contents[0]
    try:
        run().put(artifact, content, shelf.cut_off(content.digest, stop), ignore)
    except PartlyDone:
        assert stop < 3 * PART
    bucket = Bucket(store)
    for upload in bucket.call("list_multipart_uploads")["Uploads"]:
        bucket.call("abort_multipart_upload", upload["Key"], UploadId=upload["UploadId"])
    target = run()
    assert target.publish(artifact, shelf.blob)
    assert bucket.read("models/org/m/1/big", 100 * MIB) == shelf.data[content.digest]
    bucket.close()


def test_wrong_bytes_abort_the_upload(run: Callable[[], S3], store: Store) -> None:
    shelf = Shelf()
    artifact = model(shelf, big=noise(2 * PART))
    content = artifact.contents[0]
    with pytest.raises(VerificationError):
        run().put(artifact, content, shelf.bad(content.digest), ignore)
    bucket = Bucket(store)
    assert not bucket.call("list_multipart_uploads").get("Uploads")
    bucket.close()


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


def test_an_upload_that_is_gone_when_it_is_completed_is_sent_again(
    run: Callable[[], S3], monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = Shelf()
    artifact = model(shelf, big=noise(PART + 5))
    target, real = run(), Bucket.call
    fill(target, artifact, shelf)
    told: list[str] = []

    def call(self: Bucket, operation: str, key: str = "", **arguments: Any) -> dict[str, Any]:
        if operation == "complete_multipart_upload" and not told:
            told.append(arguments["UploadId"])
            real(self, "abort_multipart_upload", key, UploadId=arguments["UploadId"])
            raise TargetError("as Ceph 16 says it", case="InternalError")
        return real(self, operation, key, **arguments)

    monkeypatch.setattr(Bucket, "call", call)
    assert target.publish(artifact, shelf.blob)
    assert told
    assert target.has(artifact, artifact.contents[0])


def test_a_store_that_fails_to_complete_loses_nothing(
    run: Callable[[], S3], monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = Shelf()
    artifact = model(shelf, big=noise(PART + 5))
    target, real = run(), Bucket.call
    fill(target, artifact, shelf)

    def call(self: Bucket, operation: str, key: str = "", **arguments: Any) -> dict[str, Any]:
        if operation == "complete_multipart_upload":
            raise TargetError("it is down", case="InternalError")
        return real(self, operation, key, **arguments)

    with monkeypatch.context() as broken:
        broken.setattr(Bucket, "call", call)
        with pytest.raises(TargetError, match="it is down"):
            target.publish(artifact, shelf.blob)
    again, blob = run(), shelf.blob(artifact.contents[0].digest)
    again.put(artifact, artifact.contents[0], blob, ignore)
    assert blob.read_bytes == 0
    assert again.publish(artifact, shelf.blob)


def test_uploads_that_this_host_gave_up_are_aborted_and_others_are_left(
    run: Callable[[], S3], store: Store, tmp_path: Path
) -> None:
    shelf = Shelf()
    given_up, going_on = model(shelf, a=noise(PART + 5)), model(shelf, b=noise(PART + 6))
    bucket = Bucket(store)
    foreign = bucket.call("create_multipart_upload", "models/org/m/1/a")["UploadId"]
    fill(run(), given_up, shelf)
    (record,) = (tmp_path / "state").iterdir()
    os.utime(record, (1, 1))
    fill(run(), going_on, shelf)
    elsewhere = S3(replace(store, bucket="another-bucket"), tmp_path / "state")
    elsewhere.prepare(None)  # type: ignore[arg-type]
    elsewhere.close()
    assert record.exists()
    run().prepare(None)  # type: ignore[arg-type]
    left = {u["UploadId"]: u["Key"] for u in bucket.call("list_multipart_uploads")["Uploads"]}
    assert sorted(left.values()) == ["models/org/m/1/a", "models/org/m/1/b"]
    assert foreign in left
    assert not record.exists()
    bucket.close()


def forge(target: S3, artifact: Artifact, data: bytes) -> None:
    """Put other bytes where a file belongs, with the metadata of the right ones."""
    content = artifact.contents[0]
    key = f"models/org/m/1/{content.path}"
    notes = {"sha256": content.digest.hex}
    target._bucket.call("put_object", key, Body=data, Metadata=notes)


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


@pytest.mark.parametrize("store", ["s3_rclone_tls", "s3_versity"], indirect=True)
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


_CHILD = """
import hashlib, sys
from pathlib import Path
from bundle.artifact import Artifact, Content
from bundle.digest import Digest, verified
from importer.targets.bucket import Store
from importer.targets.s3 import S3

bucket, endpoint, ca, state, mib = sys.argv[1:]

class Blob:
    def __init__(self):
        self.size = int(mib) << 20
        sha = hashlib.sha256()
        for block in self.raw():
            sha.update(block)
        self.digest = Digest("sha256:" + sha.hexdigest())
    def raw(self):
        return (b"%16d" % n * 65536 for n in range(int(mib)))
    def blocks(self):
        return verified(self.raw(), digest=self.digest, size=self.size, what="it")

blob = Blob()
content = Content("file", "a/b", blob.digest, blob.size, path="file")
artifact = Artifact("model", f"ngc/m:{mib}", "ngc/m", mib, blob.digest, (content,))
target = S3(Store(bucket, endpoint, "", ca), Path(state))
target.put(artifact, content, blob, lambda count: None)
target.publish(artifact, None)
target.close()
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(int(peak.split()[1]) // 1024)
"""


def test_memory_does_not_grow_with_the_object(store: Store, tmp_path: Path) -> None:
    def peak(mib: int) -> int:
        arguments = [store.bucket, store.endpoint, store.ca_file, str(tmp_path), str(mib)]
        command = [sys.executable, "-c", _CHILD, *arguments]
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
        return int(done.stdout)

    small, large = peak(16), peak(160)
    assert large < small + 8
    assert large < 100


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
