"""The registry on loopback: it has the locked image for whoever has the password, and no more."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import requests

from bundle.digest import Digest
from bundler.scan import door
from tests.bundler import world

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bundler.scan.door import Door

LAYER = world.noise("layer", 3 << 20)
IMAGE = world.locked("app", LAYER)


@pytest.fixture
def upstream() -> world.Upstream:
    return world.Upstream.of(LAYER)


@pytest.fixture
def opened(upstream: world.Upstream) -> Iterator[Door]:
    with door.opened(IMAGE, upstream.opener) as made:
        yield made


def get(opened: Door, path: str, method: str = "GET", password: str = "") -> requests.Response:
    login = opened.login
    return requests.request(
        method,
        f"http://{login.address}{path}",
        auth=(login.user, password or login.password),
        timeout=10,
    )


def test_it_has_the_image_by_digest(opened: Door) -> None:
    root = IMAGE.artifact.root
    answer = get(opened, f"/v2/up.example/app/manifests/{root}")
    assert Digest.of(answer.content) == root == answer.headers["Docker-Content-Digest"]
    assert answer.headers["Content-Type"] == world.MANIFEST
    blob = f"/v2/up.example/app/blobs/{Digest.of(LAYER)}"
    assert get(opened, blob).content == LAYER
    head = get(opened, blob, "HEAD")
    assert (head.content, head.headers["Content-Length"]) == (b"", str(len(LAYER)))
    assert opened.login.reference(IMAGE, root).endswith(f"/up.example/app@{root}")


def test_it_is_shut_for_whoever_has_no_password(opened: Door) -> None:
    for path in ("/v2/", f"/v2/up.example/app/manifests/{IMAGE.artifact.root}"):
        answer = get(opened, path, password="guess")
        assert (answer.status_code, answer.content) == (401, b"")
        bare = requests.get(f"http://{opened.login.address}{path}", timeout=10)
        assert bare.headers["WWW-Authenticate"].startswith("Basic ")
    assert get(opened, "/v2/").status_code == 200
    assert opened.server_address[0] == "127.0.0.1"


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/v2/_catalog",
        "/v2/up.example/app/tags/list",
        "/v2/up.example/app/manifests/1.0",
        f"/v2/up.example/other/manifests/{IMAGE.artifact.root}",
        f"/v2/up.example/app/blobs/{IMAGE.artifact.root}",
        f"/v2/up.example/app/manifests/{Digest.of(LAYER)}",
        f"/v2/up.example/app/blobs/{Digest.of(b'other')}",
    ],
)
def test_it_has_nothing_else(opened: Door, upstream: world.Upstream, path: str) -> None:
    assert get(opened, path).status_code == 404
    assert not upstream.opened


@pytest.mark.parametrize("lie", [world.other, world.longer, world.refuses])
def test_other_bytes_never_arrive_whole_and_the_fault_is_known(
    opened: Door, upstream: world.Upstream, lie: world.Blocks
) -> None:
    upstream.fail("app", LAYER, lie)
    with pytest.raises(requests.RequestException):
        get(opened, f"/v2/up.example/app/blobs/{Digest.of(LAYER)}")
    assert opened.fault is not None


def test_a_repository_of_odd_letters_has_a_name(upstream: world.Upstream) -> None:
    artifact = replace(IMAGE.artifact, repository="host:5000/a/b")
    with door.opened(replace(IMAGE, artifact=artifact), upstream.opener) as opened:
        assert opened.repository == "host-5000/a/b"
