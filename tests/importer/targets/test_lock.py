"""Object lock: asked for per object, proved, extended; and the stores that only seem to have it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from bundle.errors import TargetError, UsageError
from importer import destinations
from importer.targets.base import Want
from importer.targets.bucket import Bucket, Store
from importer.targets.lock import COMPLIANCE, GOVERNANCE, Lock
from importer.targets.ready import NotReady
from importer.targets.s3 import S3
from importer.targets.uploads import PART
from tests.importer.targets.samples import Shelf, fill, noise

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from bundle.artifact import Artifact
    from tests.servers.s3 import ObjectStore

CEPH = pytest.param("s3_rgw", marks=[pytest.mark.server, pytest.mark.xdist_group("ceph")])
VERSITY = pytest.param("s3_versity", marks=pytest.mark.server)
RCLONE = pytest.param("s3_rclone_tls", marks=pytest.mark.server)
FOLDER = "models/org/m/1"
FILES = {"big": noise(PART + 5), "small": b"1", "empty": b""}


@pytest.fixture(params=["s3_memory", VERSITY, CEPH])
def server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    found: ObjectStore = request.getfixturevalue(request.param)
    for name, value in found.environment().items():
        monkeypatch.setenv(name, value)
    return found


@pytest.fixture
def client(server: ObjectStore) -> Iterator[Any]:
    made = server.client()
    yield made
    made.close()


@pytest.fixture
def bucket(server: ObjectStore, client: Any) -> str:
    """A bucket that has object lock."""
    name = f"l{server.bucket()}"
    client.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    return name


@pytest.fixture
def run(server: ObjectStore, bucket: str, tmp_path: Path) -> Iterator[Callable[[Lock], S3]]:
    made: list[S3] = []

    def make(lock: Lock) -> S3:
        store = Store(bucket, server.endpoint, "", str(server.ca or ""), lock)
        made.append(S3(store, tmp_path / "state"))
        return made[-1]

    yield make
    for target in made:
        target.close()


def load(target: S3, artifact: Artifact, shelf: Shelf) -> bool:
    target.check()
    target.preflight([Want(artifact, artifact.contents)])
    fill(target, artifact, shelf)
    return target.publish(artifact, shelf.blob)


def load_unasked(target: S3, artifact: Artifact, shelf: Shelf) -> bool:
    fill(target, artifact, shelf)
    return target.publish(artifact, shelf.blob)


def keys(client: Any, bucket: str) -> list[str]:
    listed = client.list_objects_v2(Bucket=bucket).get("Contents", ())
    return sorted(entry["Key"] for entry in listed)


def count(client: Any, bucket: str) -> int:
    answer = client.list_object_versions(Bucket=bucket)
    return len(answer.get("Versions", ())) + len(answer.get("DeleteMarkers", ()))


@pytest.mark.parametrize("mode", [GOVERNANCE, COMPLIANCE])
def test_each_object_and_the_marker_are_locked_whatever_way_they_were_sent(
    run: Callable[[Lock], S3], client: Any, bucket: str, mode: str
) -> None:
    shelf = Shelf()
    assert load(run(Lock(mode, days=3)), shelf.model("org/m", "1", FILES), shelf)
    found = keys(client, bucket)
    assert f"{FOLDER}/.dray-complete.json" in found
    assert len(found) == len(FILES) + 2
    for key in found:
        held = client.get_object_retention(Bucket=bucket, Key=key)["Retention"]
        assert held["Mode"] == mode.upper()
        assert held["RetainUntilDate"] >= datetime.now(UTC) + timedelta(days=3)
        assert held["RetainUntilDate"] <= datetime.now(UTC) + timedelta(days=4)


def test_a_legal_hold_is_put_on_each_of_them(
    run: Callable[[Lock], S3], client: Any, bucket: str
) -> None:
    shelf = Shelf()
    assert load(run(Lock(hold=True)), shelf.model("org/m", "1", FILES), shelf)
    for key in keys(client, bucket):
        held = client.get_object_legal_hold(Bucket=bucket, Key=key)["LegalHold"]
        assert held["Status"] == "ON"


def test_the_same_again_makes_no_new_version(
    run: Callable[[Lock], S3], client: Any, bucket: str
) -> None:
    shelf = Shelf()
    artifact = shelf.model("org/m", "1", FILES)
    first, second = run(Lock(COMPLIANCE, days=3)), run(Lock(COMPLIANCE, days=3))
    assert load(first, artifact, shelf)
    before = count(client, bucket)
    assert not load(second, artifact, shelf)
    assert count(client, bucket) == before
    assert first.pinned(artifact)
    assert second.pinned(artifact) == first.pinned(artifact)


def test_a_retention_that_is_too_short_is_extended(
    run: Callable[[Lock], S3], client: Any, bucket: str
) -> None:
    shelf = Shelf()
    artifact = shelf.model("org/m", "1", FILES)
    assert load(run(Lock(GOVERNANCE, days=1)), artifact, shelf)
    before = count(client, bucket)
    later = datetime(2040, 1, 1, tzinfo=UTC)
    assert not load(run(Lock(GOVERNANCE, until=later)), artifact, shelf)
    assert count(client, bucket) == before
    for key in keys(client, bucket):
        held = client.get_object_retention(Bucket=bucket, Key=key)["Retention"]
        assert held["RetainUntilDate"] == later
    assert not load(run(Lock(GOVERNANCE, days=1)), artifact, shelf)


def test_what_was_written_without_a_lock_gets_one(
    run: Callable[[Lock], S3], client: Any, bucket: str
) -> None:
    shelf = Shelf()
    artifact = shelf.model("org/m", "1", FILES)
    assert load(run(Lock()), artifact, shelf)
    assert not load(run(Lock(COMPLIANCE, days=2, hold=True)), artifact, shelf)
    for key in keys(client, bucket):
        held = client.get_object_retention(Bucket=bucket, Key=key)["Retention"]
        assert held["Mode"] == "COMPLIANCE"


def test_governance_is_never_made_compliance_behind_its_owners_back(
    run: Callable[[Lock], S3],
) -> None:
    shelf = Shelf()
    artifact = shelf.model("org/m", "1", FILES)
    load(run(Lock(GOVERNANCE, days=1)), artifact, shelf)
    with pytest.raises(TargetError, match="is locked in governance mode") as error:
        load(run(Lock(COMPLIANCE, days=1)), artifact, shelf)
    assert "BypassGovernanceRetention" in error.value.hint


def test_a_locked_artifact_gives_way_to_another_and_stays_as_a_version(
    run: Callable[[Lock], S3], client: Any, bucket: str
) -> None:
    shelf = Shelf()
    old = shelf.model("org/m", "1", {**FILES, "gone": b"x"})
    new = shelf.model("org/m", "1", {**FILES, "small": b"2"})
    lock = Lock(COMPLIANCE, days=2)
    first, second = run(lock), run(lock)
    load(first, old, shelf)
    assert load(second, new, shelf)
    assert f"{FOLDER}/gone" not in keys(client, bucket)
    mark = f"{FOLDER}/.dray-complete.json"
    pinned = client.get_object(Bucket=bucket, Key=mark, VersionId=first.pinned(old))
    assert str(old.root).encode() in pinned["Body"].read()
    pinned["Body"].close()
    assert first.pinned(old) != second.pinned(new)


def test_a_bucket_without_object_lock_is_refused_before_anything_is_sent(
    server: ObjectStore, client: Any, tmp_path: Path
) -> None:
    name, shelf = server.bucket(), Shelf()
    store = Store(name, server.endpoint, "", str(server.ca or ""), Lock(COMPLIANCE, days=1))
    target = S3(store, tmp_path / "state")
    artifact = shelf.model("org/m", "1", FILES)
    with pytest.raises(NotReady, match="has no object lock") as error:
        target.preflight([Want(artifact, artifact.contents)])
    assert "--object-lock-enabled-for-bucket" in error.value.hint
    with pytest.raises(TargetError):  # without a preflight too
        load_unasked(target, artifact, shelf)
    assert f"{FOLDER}/.dray-complete.json" not in keys(client, name)
    target.close()


@pytest.mark.parametrize("kind", ["s3_careless", RCLONE])
def test_a_store_that_takes_the_words_for_a_lock_and_gives_them_back_is_refused(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: ObjectStore = request.getfixturevalue(kind)
    for name, value in found.environment().items():
        monkeypatch.setenv(name, value)
    where = (found.bucket(), found.endpoint, "", str(found.ca or ""))
    store, shelf = Store(*where, Lock(GOVERNANCE, days=1)), Shelf()
    artifact = shelf.model("org/m", "1", FILES)
    target = S3(store, tmp_path / "state")
    with pytest.raises(NotReady, match="has no object lock"):
        target.preflight([Want(artifact, artifact.contents)])
    fill(target, artifact, shelf)
    with pytest.raises(TargetError, match="is not locked as it was asked for"):
        target.publish(artifact, shelf.blob)
    assert target._bucket.head(f"{FOLDER}/.dray-complete.json") is None
    target.close()


@pytest.mark.parametrize("said", ["Disabled", "", None])
@pytest.mark.parametrize("server", ["s3_memory"], indirect=True)
def test_a_lock_that_has_rules_and_is_not_enabled_counts_as_none(
    run: Callable[[Lock], S3], monkeypatch: pytest.MonkeyPatch, said: str | None
) -> None:
    shelf, real = Shelf(), Bucket.call
    rules = {"ObjectLockEnabled": said, "Rule": {"DefaultRetention": {"Mode": GOVERNANCE}}}

    def call(self: Bucket, operation: str, key: str = "", **arguments: Any) -> dict[str, Any]:
        if operation == "get_object_lock_configuration":
            return {"ObjectLockConfiguration": rules}
        return real(self, operation, key, **arguments)

    monkeypatch.setattr(Bucket, "call", call)
    artifact = shelf.model("org/m", "1", FILES)
    with pytest.raises(NotReady, match="has no object lock"):
        run(Lock(GOVERNANCE, days=1)).preflight([Want(artifact, artifact.contents)])


def test_a_store_that_has_locks_and_forgets_one_is_found_out_before_the_marker(
    run: Callable[[Lock], S3], monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = Shelf()
    artifact = shelf.model("org/m", "1", FILES)
    real = Bucket.call

    def call(self: Bucket, operation: str, key: str = "", **arguments: Any) -> dict[str, Any]:
        if operation == "put_object_retention":
            return {}
        if key.endswith("/big"):
            lock = [name for name in arguments if name.startswith("ObjectLock")]
            arguments = {k: v for k, v in arguments.items() if k not in lock}
        return real(self, operation, key, **arguments)

    monkeypatch.setattr(Bucket, "call", call)
    target = run(Lock(GOVERNANCE, days=1))
    with pytest.raises(TargetError, match=r"big is not locked .* the store shows no retention"):
        load(target, artifact, shelf)
    assert target._bucket.head(f"{FOLDER}/.dray-complete.json") is None


def test_whole_days_end_with_the_next_midnight_and_are_owed_from_the_writing() -> None:
    written = datetime(2027, 3, 1, 23, 59, tzinfo=UTC)
    lock = Lock(COMPLIANCE, days=30)
    assert lock.end(written) == datetime(2027, 4, 1, tzinfo=UTC)
    assert lock.owed(written) == datetime(2027, 3, 31, 23, 59, tzinfo=UTC)
    fixed = Lock(COMPLIANCE, until=datetime(2031, 1, 1, tzinfo=UTC))
    assert fixed.end(written) == fixed.owed(written) == datetime(2031, 1, 1, tzinfo=UTC)


def read(tmp_path: Path, entry: str) -> destinations.Destination:
    file = tmp_path / "targets.yaml"
    file.write_text(f"apiVersion: dray/v1\ntargets: [{entry}]\n")
    [found] = destinations.read([str(file)])
    return found


def test_a_target_file_says_how_long(tmp_path: Path) -> None:
    found = read(
        tmp_path, "{to: 's3://b1x', lock: {mode: compliance, days: 365, legal-hold: true}}"
    )
    assert found.lock == Lock(COMPLIANCE, days=365, hold=True)
    found = read(tmp_path, "{to: 's3://b1x', lock: {mode: governance, until: 2099-12-31}}")
    assert found.lock == Lock(GOVERNANCE, until=datetime(2099, 12, 31, tzinfo=UTC))
    assert read(tmp_path, "{to: 's3://b1x', lock: {legal-hold: true}}").lock == Lock(hold=True)


@pytest.mark.parametrize(
    ("lock", "words"),
    [
        ("{}", "is missing, and no legal-hold"),
        ("{mode: forever, days: 1}", "is 'forever'"),
        ("{mode: compliance}", "has to say for how long"),
        ("{mode: compliance, days: 1, until: 2099-01-01}", "has to say for how long"),
        ("{days: 1}", "mode: is missing"),
        ("{mode: compliance, days: 0}", "is 0, not from 1"),
        ("{mode: compliance, until: 2020-01-01}", "which has begun already"),
        ("{mode: compliance, until: 2099-02-30}", "is no day"),
        ("{mode: compliance, until: tomorrow}", "is not allowed"),
        ("{mode: compliance, weeks: 3}", "weeks"),
        ("[1]", "must be a mapping"),
    ],
)
def test_a_lock_that_says_nothing_clear_is_refused(tmp_path: Path, lock: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        read(tmp_path, f"{{to: 's3://b1x', lock: {lock}}}")


def test_a_lock_means_nothing_for_a_folder(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="means nothing for folder"):
        read(tmp_path, "{to: ./x, lock: {legal-hold: true}}")
