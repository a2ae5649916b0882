"""The registry over real sockets: what it gives out, and what it never completes."""

from __future__ import annotations

import os
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
import requests

from bundle.digest import Digest
from bundle.errors import TargetError
from bundle.http import Http
from bundle.registry import Registry
from importer.serve import server as serving
from tests import factory, keys
from tests.importer.serve.conftest import big

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.factory import Bundle
    from tests.importer.serve.conftest import Served

    Serve = Callable[..., Served]

CUDA = "nvcr.io/nvidia/cuda"
WAYS = ["plain", "spread", "zstd", "encrypted"]


def get(served: Served, path: str, **headers: str) -> requests.Response:
    return requests.get(served.url + path, headers=headers, timeout=30)


def layer(bundle: Bundle) -> tuple[Digest, int]:
    """Return the largest layer of a bundle."""
    blob = max(bundle.manifest.blobs, key=lambda one: one.size)
    return blob.digest, blob.size


def way(kinds: dict[str, Bundle], serve: Serve, name: str) -> Served:
    key = keys.recipient("ops") if name == "encrypted" else None
    return serve(kinds[name], recipient=key)


@pytest.mark.parametrize("name", WAYS)
def test_a_blob_comes_whole_and_in_ranges(
    name: str, kinds: dict[str, Bundle], serve: Serve
) -> None:
    served = way(kinds, serve, name)
    digest, size = layer(served.bundle)
    path = f"/v2/nvidia/cuda/blobs/{digest}"
    middle = get(served, path, Range="bytes=1000000-2200000")
    whole = get(served, path)
    assert Digest.of(whole.content) == digest
    assert (middle.status_code, middle.content) == (206, whole.content[1_000_000:2_200_001])
    assert middle.headers["Content-Range"] == f"bytes 1000000-2200000/{size}"
    for text, part in (
        ("bytes=5-5", whole.content[5:6]),
        ("bytes=-7", whole.content[-7:]),
        (f"bytes={size - 3}-", whole.content[-3:]),
        (f"bytes=0-{size * 2}", whole.content),
    ):
        answer = get(served, path, Range=text)
        assert (answer.status_code, answer.content) == (206, part), text
    assert served.faults == []


def test_the_rest_of_a_blob_is_read_once_and_verified(
    kinds: dict[str, Bundle], serve: Serve
) -> None:
    served = serve(kinds["plain"])
    digest, size = layer(served.bundle)
    rest = get(served, f"/v2/nvidia/cuda/blobs/{digest}", Range="bytes=3000000-")
    assert (rest.status_code, len(rest.content)) == (206, size - 3_000_000)
    assert get(served, f"/v2/nvidia/cuda/blobs/{digest}").content.endswith(rest.content)


def test_a_head_tells_sizes_and_reads_no_chunk(
    kinds: dict[str, Bundle], serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = serve(kinds["plain"])
    digest, size = layer(served.bundle)
    monkeypatch.setattr(os, "pread", None)
    answer = requests.head(f"{served.url}/v2/nvidia/cuda/blobs/{digest}", timeout=30)
    assert (answer.status_code, answer.headers["Content-Length"]) == (200, str(size))
    answer = requests.head(f"{served.url}/v2/nvidia/cuda/manifests/12.6", timeout=30)
    assert answer.headers["Docker-Content-Digest"] == served.bundle.manifest.artifacts[0].root
    assert answer.headers["Content-Type"] == "application/vnd.oci.image.manifest.v1+json"


def test_our_own_client_reads_all_of_it(kinds: dict[str, Bundle], serve: Serve) -> None:
    served = serve(kinds["sample"])
    registry = Registry(served.host, Http(error=TargetError, retries=0))
    registry.ping()
    for artifact in served.bundle.manifest.artifacts:
        name = artifact.repository.partition("/")[2]
        name = f"models/{name}" if artifact.kind == "model" else name
        (tag,) = registry.tags(name)
        descriptor, _data = registry.manifest(name, tag)
        assert descriptor == registry.resolve(name, tag)
        assert descriptor.digest == artifact.root
        for content in artifact.contents:
            if content not in artifact.manifests:
                assert registry.has_blob(name, content.digest)
                with registry.opener(name, content.descriptor)(1, None) as blocks:
                    assert len(b"".join(blocks)) == content.size - 1
    registry.http.close()


def test_names_are_those_of_an_import_and_of_the_source(
    kinds: dict[str, Bundle], serve: Serve
) -> None:
    served = serve(kinds["sample"])
    names = get(served, "/v2/_catalog").json()["repositories"]
    assert names == ["models/nvidia/riva", "nvidia/cuda", "nvidia/pytorch"]
    for path in ("nvidia/cuda", CUDA):
        assert get(served, f"/v2/{path}/manifests/12.6").status_code == 200
    assert get(served, "/v2/nvidia/cuda/manifests/12.6?ns=nvcr.io").status_code == 200
    # Another source's image of the same name is not this one.
    assert get(served, "/v2/nvidia/cuda/manifests/12.6?ns=docker.io").status_code == 404
    assert get(served, f"/v2/nvidia/cuda/manifests/12.6?ns={served.host}").status_code == 200


def test_a_tag_of_two_sources_is_nobodys_by_its_short_name(tmp_path: Path, serve: Serve) -> None:
    def two(kept: factory.Contents) -> tuple[Any, ...]:
        names = ("nvcr.io/nvidia/cuda:1", "docker.io/nvidia/cuda:1")
        return tuple(factory.image(kept, name, [name.encode()]) for name in names)

    served = serve(factory.build(tmp_path, two))
    answer = get(served, "/v2/nvidia/cuda/manifests/1")
    assert answer.status_code == 404
    assert "two sources" in answer.json()["errors"][0]["message"]
    ours, theirs = (
        get(served, f"/v2/{host}/nvidia/cuda/manifests/1") for host in ("nvcr.io", "docker.io")
    )
    assert (ours.status_code, theirs.status_code) == (200, 200)
    assert ours.content != theirs.content


# -- damage ---------------------------------------------------------------------------------------


def damaged(folder: Path) -> Bundle:
    bundle = factory.build(folder, big, chunk_size=1 << 20)
    path = bundle.chunk(2)
    data = bytearray(path.read_bytes())
    data[500_000] ^= 1
    path.write_bytes(data)
    return bundle


@pytest.mark.parametrize("wanted", ["", "bytes=0-10", "bytes=100-", "bytes=-1"])
def test_a_flipped_byte_never_completes_and_the_file_is_named(
    wanted: str, tmp_path: Path, serve: Serve
) -> None:
    served = serve(damaged(tmp_path))
    digest, _size = layer(served.bundle)
    path = f"/v2/nvidia/cuda/blobs/{digest}"
    try:
        answer = get(served, path, **({"Range": wanted} if wanted else {}))
    except requests.RequestException:
        pass  # cut off before its end
    else:
        assert answer.status_code == 500
        assert answer.json()["errors"][0]["code"] == "UNKNOWN"
    assert "chunk-00002.tar: bytes " in served.fault()


def test_a_medium_that_changes_after_it_was_verified_is_found_out(
    tmp_path: Path, serve: Serve
) -> None:
    served = serve(factory.build(tmp_path, big, chunk_size=1 << 20))
    digest, _size = layer(served.bundle)
    path = f"/v2/nvidia/cuda/blobs/{digest}"
    assert get(served, path, Range="bytes=0-10").status_code == 206
    chunk = served.bundle.chunk(1)
    times = chunk.stat()
    data = bytearray(chunk.read_bytes())
    data[-200_000] ^= 1
    with chunk.open("r+b") as file:  # the same file, as long and as old as before
        file.write(data)
    os.utime(chunk, ns=(times.st_atime_ns, times.st_mtime_ns))
    answer = get(served, path, Range="bytes=0-10")
    assert answer.status_code == 500
    assert "chunk-00001.tar" in served.fault()
    # Nothing was lost of what is good.
    assert get(served, path, Range="bytes=3000000-3000010").status_code == 206


def test_what_is_on_a_medium_that_is_not_here_is_said(tmp_path: Path, serve: Serve) -> None:
    served = serve(factory.build(tmp_path, big, chunk_size=1 << 20))
    served.bundle.chunk(2).unlink()
    digest, _size = layer(served.bundle)
    answer = get(served, f"/v2/nvidia/cuda/blobs/{digest}", Range="bytes=0-10")
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (503, "UNAVAILABLE")


# -- connections ----------------------------------------------------------------------------------


def raw(served: Served, *parts: bytes, pause: float = 0) -> bytes:
    """Send bytes; return all that comes back."""
    with socket.create_connection(served.address, timeout=10) as client:
        for part in parts:
            client.sendall(part)
            time.sleep(pause)
        client.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: client.recv(1 << 16), b""))


def test_a_drive_that_was_pulled_serves_again_when_it_is_back(tmp_path: Path, serve: Serve) -> None:
    bundle = factory.build(tmp_path / "bundle", big, chunk_size=1 << 20)
    served = serve(bundle)
    blob = max(bundle.manifest.blobs, key=lambda one: one.size)
    where = f"{served.url}/v2/nvidia/cuda/blobs/{blob.digest}"
    away = bundle.folder.rename(tmp_path / "away")
    assert requests.get(where, timeout=10).status_code == 503
    away.rename(bundle.folder)
    assert Digest.of(requests.get(where, timeout=10).content) == blob.digest
    part = requests.get(where, headers={"Range": "bytes=5-9"}, timeout=10)
    assert (part.status_code, len(part.content)) == (206, 5)


def test_a_password_in_a_target_is_not_logged(kinds: dict[str, Bundle], serve: Serve) -> None:
    served = serve(kinds["plain"])
    with socket.create_connection(served.address, timeout=10) as connection:
        connection.sendall(b"GET http://me:secret@here/v2/ HTTP/1.0\r\n\r\n")
        assert b" 200 OK" in connection.recv(4096)
    deadline = time.monotonic() + 5
    while not served.entries and time.monotonic() < deadline:
        time.sleep(0.02)
    assert [entry.request for entry in served.entries] == ["GET http://here/v2/"]


def test_a_connection_is_kept_and_a_request_may_come_in_pieces(
    kinds: dict[str, Bundle], serve: Serve
) -> None:
    served = serve(kinds["sample"])
    one = b"GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n"
    assert raw(served, one + one + one[:20], one[20:]).count(b"200 OK") == 3
    assert b"Connection: close" in raw(served, b"GET /v2/ HTTP/1.0\r\n\r\n")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET /v2/ HTTP/2.0\r\nHost: x\r\n\r\n", 400),
        (b"GET /v2/ HTTP/1.1\r\n\r\n", 400),
        (b"GET /v2/ HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400),
        (b"GET /v2/ HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n", 400),
        (b"GET /v2/ HTTP/1.1\nHost: x\r\n\r\n", 400),
        (b"GET http HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET /v2/%ff HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET /v2/ HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", 413),
        (b"GET /v2/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", 413),
        (b"POST /v2/a/blobs/uploads/ HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", 405),
        (b"DELETE /v2/a/manifests/b HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        (b"GET /v2/ HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 200 + b"\r\n", 431),
        (b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 404),
    ],
)
def test_what_is_no_request_is_refused(
    sent: bytes, status: int, kinds: dict[str, Bundle], serve: Serve
) -> None:
    served = serve(kinds["sample"])
    answer = raw(served, sent)
    assert answer.startswith(b"HTTP/1.1 %d " % status), answer[:100]
    assert b'"errors":[{' in answer
    assert b"Traceback" not in answer


def test_whoever_sends_too_slowly_is_let_go(kinds: dict[str, Bundle], serve: Serve) -> None:
    served = serve(kinds["sample"], patience=0.5)
    began = time.monotonic()
    with socket.create_connection(served.address, timeout=10) as client:
        with pytest.raises(OSError):
            for _number in range(50):  # a byte now and then does not keep it open
                client.sendall(b"a")
                time.sleep(0.1)
        assert client.recv(10) == b""
    assert time.monotonic() - began < 4


def test_whoever_takes_too_slowly_is_let_go(
    kinds: dict[str, Bundle], serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "SENDING", 0.3)
    served = serve(kinds["plain"])
    digest, size = layer(served.bundle)
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(served.address)
        head = f"GET /v2/nvidia/cuda/blobs/{digest} HTTP/1.1\r\nHost: x\r\n\r\n"
        client.sendall(head.encode())
        deadline = time.monotonic() + 10
        while not served.entries and time.monotonic() < deadline:
            time.sleep(0.05)
    assert served.entries
    assert served.entries[0].sent < size


def test_more_connections_than_it_has_threads_for_are_closed(
    kinds: dict[str, Bundle], serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "CONNECTIONS", 2)
    served = serve(kinds["sample"])
    address = served.address
    with socket.create_connection(address), socket.create_connection(address):
        time.sleep(0.2)
        with socket.create_connection(address, timeout=5) as third:
            assert third.recv(1) == b""
    time.sleep(0.2)
    assert get(served, "/v2/").status_code == 200


def test_it_ends_though_clients_are_connected(kinds: dict[str, Bundle], serve: Serve) -> None:
    served = serve(kinds["sample"])
    with socket.create_connection(served.address, timeout=5) as client:
        client.sendall(b"GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n")
        client.recv(1 << 16)
        began = time.monotonic()
        served.server.end()
        assert time.monotonic() - began < 2
        rest = iter(lambda: client.recv(1 << 16), b"")  # of the answer; a time-out if it stays open
        assert len(b"".join(rest)) < 1000
    assert threading.active_count() < 20


def test_ranges_at_once_read_the_blob_to_its_end_once(
    kinds: dict[str, Bundle], serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = serve(kinds["plain"])
    digest, size = layer(served.bundle)
    read = [0]
    real = os.pread

    def counting(handle: int, count: int, offset: int) -> bytes:
        data = real(handle, count, offset)
        read[0] += len(data)
        return data

    monkeypatch.setattr(os, "pread", counting)
    answers: list[int] = []

    def ask(number: int) -> None:
        wanted = f"bytes={number * 1000}-{number * 1000 + 9}"
        answer = get(served, f"/v2/nvidia/cuda/blobs/{digest}", Range=wanted)
        answers.append(answer.status_code)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [206] * 8
    assert read[0] < size + 8 * (2 << 20) + 100_000
