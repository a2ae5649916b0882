"""Every server starts, answers, refuses who it must refuse, and is gone afterwards."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests

from tests.servers import registry as registries

if TYPE_CHECKING:
    from tests.servers.registry import Registry

pytestmark = pytest.mark.server


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


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
