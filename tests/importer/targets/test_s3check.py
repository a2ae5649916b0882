"""What an import into a bucket would fail by: each provoked, and what people are told."""

from __future__ import annotations

import json
import threading
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from botocore import auth
from botocore.exceptions import ClientError

from bundle import instant
from bundle.errors import TargetError
from importer.targets import s3client
from importer.targets.base import Want
from importer.targets.bucket import Bucket, Store
from importer.targets.lock import COMPLIANCE, Lock
from importer.targets.naming import Naming
from importer.targets.ready import NotReady
from importer.targets.s3 import S3
from tests.importer.targets.samples import Shelf

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.servers.s3 import ObjectStore

VERSITY = pytest.param("s3_versity", marks=pytest.mark.server)
STORES = [
    pytest.param("s3_rclone_tls", marks=pytest.mark.server),
    VERSITY,
    pytest.param("s3_rgw", marks=[pytest.mark.server, pytest.mark.xdist_group("ceph")]),
]
MEMORY = ["s3_memory", "s3_careless"]


@pytest.fixture(params=[VERSITY])
def server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    found: ObjectStore = request.getfixturevalue(request.param)
    for name, value in found.environment().items():
        monkeypatch.setenv(name, value)
    return found


@pytest.fixture
def bucket(server: ObjectStore) -> str:
    return server.bucket()


@pytest.fixture
def target(server: ObjectStore, bucket: str, tmp_path: Path) -> Iterator[S3]:
    made = S3(Store(bucket, server.endpoint, "", str(server.ca or "")), tmp_path)
    yield made
    made.close()


def ask(target: S3, files: int = 1) -> tuple[str, ...]:
    shelf = Shelf()
    artifact = shelf.model("org/m", "1", {f"f{n}": b"1" for n in range(files)})
    target.check()
    return target.preflight([Want(artifact, artifact.contents if files else ())])


@pytest.mark.parametrize("server", [*MEMORY, *STORES], indirect=True)
def test_asking_leaves_nothing_behind_and_tells_which_stores_compare(
    server: ObjectStore, bucket: str, target: S3
) -> None:
    notes = ask(target)
    client = server.client()
    assert not client.list_objects_v2(Bucket=bucket).get("Contents")
    assert not client.list_multipart_uploads(Bucket=bucket).get("Uploads")
    client.close()
    if ":".join(notes):
        assert "every object is read back" in notes[0]
    assert bool(notes) != target._preflight.compares


@pytest.mark.parametrize("server", MEMORY, indirect=True)
def test_a_bucket_that_lacks_nothing_is_not_written_to(
    target: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    real = Bucket.call

    def call(self: Bucket, operation: str, key: str = "", **arguments: Any) -> dict[str, Any]:
        seen.append(operation)
        return real(self, operation, key, **arguments)

    monkeypatch.setattr(Bucket, "call", call)
    ask(target, files=0)
    assert not [name for name in seen if name.startswith(("create", "put", "upload", "delete"))]


def deny(server: ObjectStore, bucket: str, *actions: str, unless: str = "") -> None:
    """Forbid everybody something, the bucket's owner too; listing ``unless`` below a prefix."""
    rows: dict[str, Any] = {"Effect": "Deny", "Principal": {"AWS": ["*"]}}
    rows |= {"Action": list(actions)}
    if unless:
        rows["Condition"] = {"StringNotLike": {"s3:prefix": unless}}
    where = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
    policy = {"Version": "2012-10-17", "Statement": [{**rows, "Resource": where}]}
    client = server.client()
    client.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
    client.close()


@pytest.mark.parametrize("server", STORES[2:], indirect=True)
def test_a_login_that_may_not_write_is_told_before_anything_is_sent(
    server: ObjectStore, bucket: str, target: S3
) -> None:
    deny(server, bucket, "s3:PutObject")
    with pytest.raises(NotReady, match="CreateMultipartUpload was refused: AccessDenied") as error:
        ask(target)
    assert "the bucket's owner has to give these credentials s3:ListBucket" in error.value.hint


@pytest.mark.parametrize("server", STORES[2:], indirect=True)
def test_a_login_that_may_not_list_is_told(server: ObjectStore, bucket: str, target: S3) -> None:
    deny(server, bucket, "s3:ListBucket")
    with pytest.raises(TargetError, match="ListObjectsV2 was refused: AccessDenied") as error:
        target.check()
    assert error.value.case == "denied"


@pytest.mark.parametrize("server", STORES[2:], indirect=True)
def test_a_login_that_may_list_its_prefix_alone_is_enough(
    server: ObjectStore, bucket: str, tmp_path: Path
) -> None:
    deny(server, bucket, "s3:ListBucket", unless="prod/*")
    target = S3(
        Store(bucket, server.endpoint, "", str(server.ca or "")), tmp_path, naming=Naming("prod")
    )
    assert ask(target) == ()
    target.close()


@pytest.mark.parametrize("server", STORES[2:], indirect=True)
def test_a_lock_that_nobody_may_ask_for_counts_as_none(server: ObjectStore, tmp_path: Path) -> None:
    name, client = f"l{server.bucket()}", server.client()
    client.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    client.close()
    deny(server, name, "s3:GetBucketObjectLockConfiguration")
    lock = Lock(COMPLIANCE, days=1)
    target = S3(Store(name, server.endpoint, "", str(server.ca or ""), lock), tmp_path)
    with pytest.raises(NotReady, match="may not ask whether the bucket has object lock") as error:
        ask(target)
    assert "s3:GetBucketObjectLockConfiguration" in error.value.hint
    target.close()


def test_a_retention_that_the_bucket_puts_on_everything_is_noted(
    server: ObjectStore, tmp_path: Path
) -> None:
    name, client = f"l{server.bucket()}", server.client()
    client.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    rule = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 30}}
    whole = {"ObjectLockEnabled": "Enabled", "Rule": rule}
    client.put_object_lock_configuration(Bucket=name, ObjectLockConfiguration=whole)
    client.close()
    target = S3(Store(name, server.endpoint, "", str(server.ca or "")), tmp_path)
    (note,) = ask(target)
    assert "the bucket locks whatever is written: governance, 30 days" in note
    target.close()


# -- clocks ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("server", STORES, indirect=True)
def test_a_clock_that_is_off_is_told_by_how_much(
    target: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, now, off = auth.get_current_datetime, instant.now, timedelta(hours=3, minutes=1)
    monkeypatch.setattr(auth, "get_current_datetime", lambda *a, **k: real(*a, **k) + off)
    monkeypatch.setattr(instant, "now", lambda: now() + off)
    with pytest.raises(TargetError, match="RequestTimeTooSkewed") as error:
        target.check()
    assert "the clock of this host is 3 hours ahead of the store's" in error.value.message
    assert "set the clock" in error.value.hint


def test_a_clock_that_will_soon_be_too_far_off_is_noted(
    target: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = instant.now
    monkeypatch.setattr(instant, "now", lambda: now() - timedelta(minutes=7, seconds=30))
    (note,) = ask(target)
    assert "the clock of this host is 7 minutes behind the store's" in note


# -- endpoints ------------------------------------------------------------------------------------


@pytest.mark.parametrize("server", STORES, indirect=True)
def test_http_where_https_is_spoken_is_told(
    server: ObjectStore, bucket: str, tmp_path: Path
) -> None:
    plain = server.endpoint.replace("https://", "http://")
    target = S3(Store(bucket, plain), tmp_path)
    with pytest.raises(TargetError) as error:
        target.check()
    assert "write https://" in error.value.hint
    target.close()


class _Redirect(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(301)
        self.send_header("Location", f"https://s3.example.com{self.path}")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_HEAD = do_GET  # noqa: N815  (as the base class wants it)

    def log_message(self, *_words: object) -> None:
        pass


def test_a_proxy_that_leads_to_https_is_told_and_not_followed(
    server: ObjectStore, tmp_path: Path
) -> None:
    proxy = HTTPServer(("127.0.0.1", 0), _Redirect)
    thread = threading.Thread(target=proxy.serve_forever)
    thread.start()
    target = S3(Store("bucket", f"http://127.0.0.1:{proxy.server_port}"), tmp_path)
    try:
        with pytest.raises(TargetError, match="RedirectToTLS") as error:
            target.check()
        assert "write https://" in error.value.hint
        assert server.secret_key not in str(error.value)
    finally:
        target.close()
        proxy.shutdown()
        proxy.server_close()
        thread.join()


def refused(code: str, status: int = 400, **more: Any) -> s3client.Answer:
    headers = more.pop("headers", {})
    answer = {"Error": {"Code": code, "Message": "secret text", **more}}
    about = {"HTTPStatusCode": status, "HTTPHeaders": headers}
    return s3client.refusal(ClientError({**answer, "ResponseMetadata": about}, "GetObject"))


def test_a_wrong_region_is_told_by_its_name() -> None:
    assert (
        "AWS_REGION=eu-west-9" in refused("AuthorizationHeaderMalformed", Region="eu-west-9").hint
    )
    headers = {"x-amz-bucket-region": "ap-x-1"}
    assert "AWS_REGION=ap-x-1" in refused("301", 301, headers=headers).hint
    assert "set region:" in refused("PermanentRedirect", Region="a b\nc").hint
    assert "a b" not in refused("PermanentRedirect", Region="a b\nc").hint


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        ("XMinioStorageFull", "the store is full"),
        ("507", "the store is full"),
        ("QuotaExceeded", "raise the quota"),
        ("XMinioAdminBucketQuotaExceeded", "raise the quota"),
        ("ServiceUnavailable", "overloaded"),
        ("ExpiredToken", "have expired"),
        ("InvalidToken", "have expired"),
        ("InvalidAccessKeyId", "check AWS_ACCESS_KEY_ID"),
        ("XAmzContentSHA256Mismatch", "changes what is sent"),
        ("405", "fresh prefix"),
        ("KeyTooLongError", "shorter prefix"),
        ("500", "run it again"),
    ],
)
def test_what_a_store_refuses_by_is_told_with_what_to_do(code: str, hint: str) -> None:
    assert hint in refused(code).hint


def test_a_servers_own_words_are_never_repeated() -> None:
    said = refused("Odd<script>Code")
    assert said.code == "OddscriptCode"
    assert "secret text" not in repr(said)
