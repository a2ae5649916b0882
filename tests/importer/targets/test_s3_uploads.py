"""Uploads to object stores: gone on with, begun again, given up; and what they cost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from bundle.errors import PartlyDone, TargetError, VerificationError
from importer.targets.bucket import Bucket, Store
from importer.targets.s3 import S3
from importer.targets.uploads import PART
from tests.importer.targets.samples import Shelf, fill, ignore, noise

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bundle.artifact import Artifact

MIB = 1 << 20
CEPH = pytest.param("s3_rgw", marks=[pytest.mark.server, pytest.mark.xdist_group("ceph")])
VERSITY = pytest.param("s3_versity", marks=pytest.mark.server)
RCLONE = pytest.param("s3_rclone_tls", marks=pytest.mark.server)
STORE = "s3_memory"
"""Where a test does not say otherwise."""


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


@pytest.mark.parametrize("store", ["s3_memory", RCLONE, VERSITY, CEPH], indirect=True)
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


@pytest.mark.parametrize("store", ["s3_memory", RCLONE, VERSITY, CEPH], indirect=True)
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


@pytest.mark.parametrize("store", [RCLONE], indirect=True)
def test_memory_does_not_grow_with_the_object(store: Store, tmp_path: Path) -> None:
    def peak(mib: int) -> int:
        arguments = [store.bucket, store.endpoint, store.ca_file, str(tmp_path), str(mib)]
        command = [sys.executable, "-c", _CHILD, *arguments]
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
        return int(done.stdout)

    small, large = peak(16), peak(160)
    assert large < small + 8
    assert large < 100
