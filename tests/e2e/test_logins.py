"""Registries that want a password, a token or their own CA, on both sides; keys with a phrase."""

from __future__ import annotations

import json
import os
import stat
import threading
from typing import TYPE_CHECKING, Any

import pytest
import requests

from fixtures.push import push
from tests.servers import programs
from tests.servers.tokens import SERVICE, basic

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fixtures.content import Graph
    from tests.e2e.desk import Desk
    from tests.e2e.upstream import Upstream
    from tests.servers.proxy import FaultProxy
    from tests.servers.registry import Registry

pytestmark = pytest.mark.server
ACCEPT = {"Accept": "application/vnd.oci.image.manifest.v1+json"}


@pytest.fixture
def image(desk: Desk, upstream: Upstream, tmp_path: Path) -> Graph:
    """An image, in a bundle in ``tmp_path/out``."""
    made = upstream.image("app", 1_500_000, 40_000)
    desk.lock(upstream.name("app:1.0"))
    desk.export(tmp_path / "out")
    return made


def docker_config(home: Path, config: dict[str, Any] | str) -> None:
    (home / "docker").mkdir(exist_ok=True)
    text = config if isinstance(config, str) else json.dumps(config)
    (home / "docker/config.json").write_text(text)


def published(registry: Registry, upstream: Upstream, **options: Any) -> bytes:
    """Return the manifest that a target has under the tag."""
    url = f"{registry.url}/v2/mirror/{upstream.prefix}/app/manifests/1.0"
    headers = {**ACCEPT, **options.pop("headers", {})}
    with requests.get(url, headers=headers, timeout=10, **options) as answer:
        assert answer.status_code == 200
        return answer.content


def login(registry: Registry) -> tuple[str, str]:
    return registry.username, registry.password


def test_a_password_from_docker_config_opens_the_target(
    desk: Desk,
    upstream: Upstream,
    registry_basic: Registry,
    image: Graph,
    isolated: Path,
    tmp_path: Path,
) -> None:
    target = f"registry://{registry_basic.host}/mirror"
    refused = desk.load(tmp_path / "out", target, code=6)
    assert "no credential was sent" in refused.err
    assert "docker login" in refused.err
    docker_config(isolated, registry_basic.docker_config())
    desk.load(tmp_path / "out", target)
    found = published(registry_basic, upstream, auth=login(registry_basic))
    assert found == image.manifest.read()


def test_a_wrong_password_is_told_without_the_password(
    desk: Desk, registry_basic: Registry, image: Graph, isolated: Path, tmp_path: Path
) -> None:
    assert image.blobs
    wrong = {"auths": {registry_basic.host: {"auth": basic("robot", "hunter2-secret")}}}
    docker_config(isolated, wrong)
    said = desk.load(tmp_path / "out", f"registry://{registry_basic.host}/mirror", code=6)
    assert "config.json" in said.err
    shown = said.out + said.err
    assert "hunter2" not in shown
    assert basic("robot", "hunter2-secret") not in shown


def test_a_credential_helper_is_asked_for_the_password(
    desk: Desk,
    upstream: Upstream,
    registry_basic: Registry,
    image: Graph,
    isolated: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    helper = folder / "docker-credential-vault"
    name, secret = login(registry_basic)
    answer = json.dumps({"ServerURL": registry_basic.host, "Username": name, "Secret": secret})
    helper.write_text(
        f'#!/bin/sh\nread host\ntest "$host" = "{registry_basic.host}" || exit 1\n'
        f"cat <<'END'\n{answer}\nEND\n"
    )
    helper.chmod(helper.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    docker_config(isolated, {"credHelpers": {registry_basic.host: "vault"}})
    desk.load(tmp_path / "out", f"registry://{registry_basic.host}/mirror")
    found = published(registry_basic, upstream, auth=login(registry_basic))
    assert found == image.manifest.read()


def test_a_target_file_names_the_ca_of_a_registry_and_maps_names(
    desk: Desk, registry_tls: Registry, image: Graph, upstream: Upstream, tmp_path: Path
) -> None:
    target = f"registry://{registry_tls.host}/mirror"
    refused = desk.load(tmp_path / "out", target, code=6)
    assert "certificate that is not trusted" in refused.err
    entry: dict[str, Any] = {"to": target, "ca": str(registry_tls.ca)}
    entry["map"] = [{"from": f"{upstream.registry.host}/{upstream.prefix}", "to": "mapped/ai"}]
    body = {"apiVersion": "dray/v1", "targets": [entry, {"to": "warehouse", "kinds": ["model"]}]}
    (desk.folder / "targets.yaml").write_text(json.dumps(body))
    desk.load(tmp_path / "out", "targets.yaml")
    url = f"{registry_tls.url}/v2/mirror/mapped/ai/app/manifests/1.0"
    with requests.get(url, headers=ACCEPT, verify=str(registry_tls.ca), timeout=10) as answer:
        assert answer.content == image.manifest.read()


def test_an_own_ca_is_named_in_the_spec_too(
    desk: Desk, registry_tls: Registry, image: Graph, tmp_path: Path
) -> None:
    body = {"to": f"registry://{registry_tls.host}/low", "ca": str(registry_tls.ca)}
    document = {"apiVersion": "dray/v1", "targets": [body]}
    (desk.folder / "targets.yaml").write_text(json.dumps(document))
    place = next(iter(desk.load(tmp_path / "out", "targets.yaml").json["places"].values()))
    name = place.rpartition(":")[0]
    desk.lock(f"{name}:1.0", registries={registry_tls.host: {"ca": str(registry_tls.ca)}})
    desk.export(tmp_path / "again")
    shown = desk.dray("inspect", tmp_path / "again", "--trust", "trust.json", "--json").json
    assert shown["artifacts"][0]["root"] == image.digest


def test_tokens_that_die_inside_an_upload_are_renewed(
    desk: Desk,
    upstream: Upstream,
    registry_token: Registry,
    fault_proxy: Callable[[int], FaultProxy],
    isolated: Path,
    tmp_path: Path,
) -> None:
    # Larger than what the kernel buffers: a request that was sent whole is waited for instead.
    image = upstream.image("app", 9_000_000)
    desk.lock(upstream.name("app:1.0"))
    desk.export(tmp_path / "out")
    tokens = registry_token.tokens
    assert tokens
    proxy = fault_proxy(registry_token.port)
    docker_config(isolated, {"auths": {proxy.host: {"auth": basic(*login(registry_token))}}})
    tokens.lifetime, pause = 2, threading.Event()
    proxy.call(900_000, lambda: pause.wait(3.1), "up")  # longer than a token lives
    proxy.cut(1000, "up")
    desk.load(tmp_path / "out", f"registry://{proxy.host}/mirror")
    assert proxy.fired == 2
    assert len(tokens.issued) >= 2
    scope = {"service": SERVICE, "scope": f"repository:mirror/{upstream.prefix}/app:pull"}
    tokens.lifetime = 300
    with requests.get(tokens.realm, scope, auth=login(registry_token), timeout=10) as answer:
        bearer = {"Authorization": f"Bearer {answer.json()['token']}"}
    assert published(registry_token, upstream, headers=bearer) == image.manifest.read()


def test_an_upstream_with_a_password_is_pulled_from(
    desk: Desk, upstream: Upstream, registry_basic: Registry, isolated: Path, tmp_path: Path
) -> None:
    made = upstream.image("app", 200_000)
    headers = {"Authorization": "Basic " + basic(*login(registry_basic))}
    push(registry_basic.url, "low/app", made, tags=["1.0"], headers=headers)
    desk.spec(f"{registry_basic.host}/low/app:1.0")
    assert "docker login" in desk.dray("lock", "dray.yaml", code=6).err
    docker_config(isolated, registry_basic.docker_config())
    desk.dray("lock", "dray.yaml")
    desk.export(tmp_path / "out")
    shown = desk.dray("inspect", tmp_path / "out", "--trust", "trust.json", "--json").json
    assert shown["artifacts"][0]["root"] == made.digest


def test_two_people_sign_with_encrypted_keys_and_stock_cosign_agrees(
    desk: Desk, upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DRAY_KEY_PASSPHRASE", "correct horse")
    for name, kind in (("alice", "p256"), ("bob", "ed25519")):
        desk.dray("keygen", "keys", "--name", name, "--type", kind)
        assert "ENCRYPTED" in (desk.folder / f"keys/{name}.key").read_text()
    upstream.image("app", 50_000)
    desk.lock(upstream.name("app:1.0"))
    desk.export(tmp_path / "out", "--key", "keys/alice.key")
    [folder] = (tmp_path / "out").iterdir()
    desk.dray("sign", folder, "--key", "keys/bob.key", "--pub", "keys/alice.pub")
    for name in ("alice", "bob"):
        desk.dray("verify", folder, "--pub", f"keys/{name}.pub")
    desk.verify(folder, code=5)
    monkeypatch.setenv("DRAY_KEY_PASSPHRASE", "wrong horse")
    said = desk.export(tmp_path / "out", "--new", "--key", "keys/alice.key", code=2)
    assert "horse" not in said.err
    manifest = folder / f"{folder.name}.manifest.json"
    if programs.find("cosign"):
        from tests.e2e.foreign import run

        bundle = ("--bundle", f"{manifest}.alice.sigstore.json")
        root = ("--trusted-root", folder / f"{folder.name}.trusted-root.json")
        key = ("--key", desk.folder / "keys/alice.pub")
        run("cosign", "verify-blob", *key, *bundle, *root, "--insecure-ignore-tlog=true", manifest)
