"""Every server starts, answers, refuses who it must refuse, and is gone afterwards."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests
from botocore.exceptions import ClientError, SSLError

from tests.servers import ca, rclone, rgw
from tests.servers import registry as registries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.servers.ca import Authority
    from tests.servers.registry import Registry
    from tests.servers.s3 import ObjectStore

pytestmark = pytest.mark.server


def alive(pid: int) -> bool:
    """Whether a process runs: one that only waits to be reaped by its parent does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def status(url: str, **options: object) -> int:
    with requests.get(url, timeout=10, **options) as answer:  # type: ignore[arg-type]
        return answer.status_code


def test_the_plain_registry_takes_a_blob_and_logs_it(registry: Registry) -> None:
    name = registry.repository()
    digest = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
    with requests.post(f"{registry.url}/v2/{name}/blobs/uploads/", timeout=10) as begun:
        location = begun.headers["Location"]
    with requests.put(f"{location}&digest={digest}", data=b"{}", timeout=10) as done:
        assert done.status_code == 201
    assert status(f"{registry.url}/v2/{name}/blobs/{digest}") == 200
    assert ("GET", f"/v2/{name}/blobs/{digest}", 200) in registry.requests()


def test_the_password_registry_refuses_none_and_wrong(registry_basic: Registry) -> None:
    url, user = f"{registry_basic.url}/v2/", registry_basic.username
    assert status(url) == 401
    assert status(url, auth=(user, "wrong")) == 401
    assert status(url, auth=(user, registry_basic.password)) == 200


def test_the_tls_registry_is_known_by_its_own_ca_only(registry_tls: Registry) -> None:
    assert status(f"{registry_tls.url}/v2/", verify=str(registry_tls.ca)) == 200
    with pytest.raises(requests.exceptions.SSLError):
        status(f"{registry_tls.url}/v2/")


def test_a_registry_leaves_no_process(tmp_path: Path) -> None:
    with registries.serve(tmp_path / "r", memory=True) as server:
        assert alive(server.pid)
        assert status(f"{server.url}/v2/") == 200
    assert not alive(server.pid)


def bearer(server: Registry, scope: str) -> dict[str, str]:
    assert server.tokens
    with requests.get(
        server.tokens.realm,
        params={"service": "registry.test", "scope": scope},
        auth=(server.username, server.password),
        timeout=10,
    ) as answer:
        return {"Authorization": "Bearer " + answer.json()["token"]}


def test_the_token_registry_refuses_expired_tokens_and_foreign_scopes(
    registry_token: Registry,
) -> None:
    assert registry_token.tokens
    tags = f"{registry_token.url}/v2/a/b/tags/list"
    assert status(tags) == 401
    assert status(registry_token.tokens.realm, params={"service": "registry.test"}) == 401
    assert status(tags, headers=bearer(registry_token, "repository:a/b:pull")) == 404
    assert status(tags, headers=bearer(registry_token, "repository:a/c:pull")) == 401
    registry_token.tokens.expired = 1
    assert status(tags, headers=bearer(registry_token, "repository:a/b:pull")) == 401
    assert status(tags, headers=bearer(registry_token, "repository:a/b:pull")) == 404
    assert registry_token.tokens.refused == 1


def round_trip(store: ObjectStore) -> None:
    """Write an object in parts, read it back; be refused with a wrong secret or another CA."""
    bucket, body = store.bucket(), bytes(5 << 20)
    client = store.client()
    part = {"Bucket": bucket, "Key": "a/b.bin"}
    part["UploadId"] = client.create_multipart_upload(**part)["UploadId"]
    tags = [client.upload_part(**part, PartNumber=n, Body=body)["ETag"] for n in (1, 2)]
    parts = [{"PartNumber": n, "ETag": tag} for n, tag in enumerate(tags, 1)]
    client.complete_multipart_upload(**part, MultipartUpload={"Parts": parts})
    answer = client.get_object(Bucket=bucket, Key="a/b.bin")["Body"]
    assert answer.read() == body * 2
    answer.close()
    client.close()
    thief = store.client(aws_secret_access_key="wrong")
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        thief.get_object(Bucket=bucket, Key="a/b.bin")
    thief.close()
    if store.ca:
        stranger = store.client(verify=True)
        with pytest.raises(SSLError):
            stranger.list_buckets()
        stranger.close()


def test_rclone_keeps_objects_and_refuses_a_wrong_secret(s3_rclone: ObjectStore) -> None:
    round_trip(s3_rclone)


def test_rclone_over_tls_is_known_by_its_own_ca_only(s3_rclone_tls: ObjectStore) -> None:
    round_trip(s3_rclone_tls)


def test_the_ceph_gateway_keeps_objects_and_refuses_a_wrong_secret(s3_rgw: ObjectStore) -> None:
    round_trip(s3_rgw)


def test_the_ceph_gateway_checks_the_digest_of_a_body(s3_rgw: ObjectStore) -> None:
    """It is the one store here that does: a test on it can prove that we sent the digest."""
    client = s3_rgw.client()
    with pytest.raises(ClientError, match="BadDigest"):
        client.put_object(
            Bucket=s3_rgw.bucket(), Key="k", Body=b"x", ContentMD5="AAAAAAAAAAAAAAAAAAAAAA=="
        )
    client.close()


def test_object_stores_leave_no_process(tmp_path: Path, authority: Authority) -> None:
    with rclone.serve(tmp_path / "rclone", tls=authority) as first:
        with rgw.serve(tmp_path / "rgw", authority) as second:
            pids = first.pids + second.pids
            assert all(map(alive, pids))
            assert len(pids) == 4
        assert not any(map(alive, second.pids))
    assert not any(map(alive, pids))


def servers(folder: Path) -> None:
    """Run one server of each kind, print their process ids, and wait for ever."""
    tls = ca.make(folder / "ca")
    with (
        registries.serve(folder / "registry") as one,
        rclone.serve(folder / "rclone") as two,
        rgw.serve(folder / "rgw", tls) as three,
    ):
        sys.stdout.write(" ".join(map(str, (one.pid, *two.pids, *three.pids))) + "\n")
        sys.stdout.flush()
        signal.pause()


@pytest.fixture
def orphans() -> Iterator[Callable[[int], int]]:
    """Make this process inherit orphans; yield a function that awaits the end of one.

    It returns the signal that ended the orphan. In a container whose first process reaps nobody,
    they would stay as zombies otherwise. Source: prctl(2), PR_SET_CHILD_SUBREAPER.
    """
    prctl, subreaper = ctypes.CDLL(None).prctl, 36

    def ended_by(pid: int) -> int:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            try:
                ended, status = os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:  # it has not been handed over yet
                ended = 0
            if ended:
                return os.WTERMSIG(status)
            os.sched_yield()
        msg = f"process {pid} still runs"
        raise TimeoutError(msg)

    assert prctl(subreaper, 1, 0, 0, 0) == 0
    try:
        yield ended_by
    finally:
        prctl(subreaper, 0, 0, 0, 0)


@pytest.mark.usefixtures("s3_rgw")  # so that this is skipped where Ceph cannot be had
def test_a_killed_run_leaves_no_process(tmp_path: Path, orphans: Callable[[int], int]) -> None:
    code = f"import pathlib, {__name__} as here; here.servers(pathlib.Path({str(tmp_path)!r}))"
    root = str(Path(__file__).parents[2])
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE) as run:
        assert run.stdout
        pids = [int(pid) for pid in run.stdout.readline().split()]
        assert len(pids) == 5
        assert all(map(alive, pids))
        run.kill()
    assert [orphans(pid) for pid in pids] == [signal.SIGKILL] * 5
