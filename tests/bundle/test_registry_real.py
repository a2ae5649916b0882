from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from bundle.credentials import Credentials, find
from bundle.digest import Descriptor, Digest
from bundle.errors import PartlyDone, TargetError, VerificationError
from bundle.http import Host
from bundle.registry import Registry
from bundle.sessions import Session
from bundle.transfer import resume
from tests.bundle.chunkserver import Source
from tests.bundle.scripted import (
    BLOB,
    DOCKER,
    LAYER,
    OCI,
    OCI_INDEX,
    SUBJECT,
    blocks,
    manifest,
    spoiled,
)
from tests.servers import programs

if TYPE_CHECKING:
    from bundle.sessions import Sessions
    from tests.bundle.conftest import Clients
    from tests.servers.registry import Registry as Served


@pytest.fixture(params=["registry", "registry_basic", "registry_tls", "registry_token"])
def real(request: pytest.FixtureRequest) -> Served:
    """docker-registry in each of its forms."""
    found: Served = request.getfixturevalue(request.param)
    return found


def client(clients: Clients, real: Served, sessions: Sessions | None = None) -> Registry:
    known = {real.host: Host(ca_file=str(real.ca))} if real.ca else {}
    who = Credentials(real.username, real.password) if real.username else None
    return Registry(real.host, clients(known, error=TargetError), who, sessions=sessions)


def image(registry: Registry, repository: str, kind: str = OCI) -> bytes:
    """Push an image of two blobs, and return its manifest."""
    config = json.dumps({"architecture": "amd64", "os": "linux"}).encode()
    conf = Descriptor(kind.replace("manifest", "config"), Digest.of(config), len(config))
    registry.put_blob(repository, LAYER, blocks)
    registry.put_blob(repository, conf, lambda: iter((config,)))
    layer, conf_entry = (
        {"mediaType": each.media_type, "digest": each.digest, "size": each.size}
        for each in (LAYER, conf)
    )
    return manifest(kind, config=conf_entry, layers=[layer])


@pytest.mark.server
@pytest.mark.parametrize("kind", [OCI, DOCKER])
def test_a_real_registry_gives_back_every_byte(clients: Clients, real: Served, kind: str) -> None:
    registry, repository = client(clients, real), real.repository()
    registry.ping()
    assert not registry.has_blob(repository, LAYER.digest)
    data = image(registry, repository, kind)
    registry.put_manifest(repository, Digest.of(data), data, kind)
    registry.put_manifest(repository, "v1", data, kind)
    fresh = client(clients, real)
    assert fresh.manifest(repository, "v1") == (Descriptor(kind, Digest.of(data), len(data)), data)
    assert fresh.resolve(repository, "v1") == Descriptor(kind, Digest.of(data), len(data))
    assert fresh.has_manifest(repository, "v1") == Digest.of(data)
    assert fresh.has_manifest(repository, "v2") is None
    assert fresh.tags(repository) == ["v1"]
    assert fresh.referrers(repository, Digest.of(data)) == []
    opener = fresh.opener(repository, LAYER)
    assert b"".join(resume(opener, size=LAYER.size, what="b")) == BLOB
    assert b"".join(resume(opener, size=LAYER.size, start=12_345, what="b")) == BLOB[12_345:]


class Killed(BaseException):
    """What no handler of errors sees."""


class Mortal(dict[str, Session]):
    """Remembers sessions, and dies after a number of them."""

    lives = 1000

    def load(self, name: str) -> Session | None:
        return self.get(name)

    def save(self, name: str, session: Session) -> None:
        self[name] = session
        self.lives -= 1
        if not self.lives:
            raise Killed

    def drop(self, name: str) -> None:
        self.pop(name, None)


@pytest.mark.server
def test_a_real_registry_takes_chunks_and_goes_on_between_them_in_another_run(
    clients: Clients, real: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bundle.upload.LARGE", 1_000_000)
    monkeypatch.setattr("bundle.upload.CHUNK", 700_000)
    sessions, repository = Mortal(), real.repository()
    sessions.lives = 2
    source = Source()
    with pytest.raises(Killed):
        client(clients, real, sessions).put_blob(repository, LAYER, source)
    (session,) = sessions.values()
    assert session.offset == 1_400_000
    sessions.lives = 1000
    again = client(clients, real, sessions)
    sent: list[str] = []
    plain = again.uploads.send

    def send(method: str, *rest: Any, **named: Any) -> Any:
        sent.append(method)
        return plain(method, *rest, **named)

    monkeypatch.setattr(again.uploads, "send", send)
    again.put_blob(repository, LAYER, source)
    assert sent == ["PATCH", "PATCH", "PATCH", "PUT"]
    assert again.has_blob(repository, LAYER.digest)
    opener = again.opener(repository, LAYER)
    assert b"".join(resume(opener, size=LAYER.size, what="b")) == BLOB
    assert not sessions


@pytest.mark.server
def test_a_real_registry_that_lost_a_session_midway_gets_the_blob_anew(
    clients: Clients, registry: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bundle.upload.LARGE", 1_000_000)
    monkeypatch.setattr("bundle.upload.CHUNK", 700_000)
    sessions, repository, source = Mortal(), registry.repository(), Source()
    source.fail_at, source.fault = 1_700_000, PartlyDone("interrupted")
    with pytest.raises(PartlyDone):
        client(clients, registry, sessions).put_blob(repository, LAYER, source)
    assert [session.offset for session in sessions.values()] == [1_400_000]
    source.fail_at = None
    again = client(clients, registry, sessions)
    again.put_blob(repository, LAYER, source)
    assert again.has_blob(repository, LAYER.digest)
    assert not sessions


@pytest.mark.server
def test_a_real_registry_keeps_nothing_of_wrong_bytes(clients: Clients, real: Served) -> None:
    registry, repository = client(clients, real), real.repository()
    with pytest.raises(VerificationError):
        registry.put_blob(repository, LAYER, spoiled)
    assert not registry.has_blob(repository, LAYER.digest)
    stored = real.folder / "data/docker/registry/v2/repositories" / repository
    assert list(stored.glob("_layers/**/*")) == []


@pytest.mark.server
def test_a_real_registry_mounts_what_it_has(clients: Clients, real: Served) -> None:
    registry, first, second = client(clients, real), real.repository(), real.repository()
    registry.put_blob(first, LAYER, blocks)
    assert registry.mount(second, LAYER.digest, first)
    assert registry.has_blob(second, LAYER.digest)
    assert not registry.mount(second, Digest.of(b"absent"), first)


@pytest.mark.server
def test_a_real_registry_keeps_a_fallback_index_of_referrers(
    clients: Clients, registry: Served
) -> None:
    ours, repository = client(clients, registry), registry.repository()
    data = image(ours, repository)
    ours.put_manifest(repository, "v1", data, OCI)
    entry = {"mediaType": OCI, "digest": Digest.of(data), "size": len(data)}
    body = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry]}
    index = json.dumps(body).encode()
    ours.put_manifest(repository, f"sha256-{SUBJECT.hex}", index, OCI_INDEX)
    assert ours.referrers(repository, SUBJECT) == [Descriptor(OCI, Digest.of(data), len(data))]


@pytest.mark.server
def test_a_real_registry_refuses_a_wrong_password_and_we_say_whose(
    clients: Clients, registry_basic: Served
) -> None:
    who = Credentials(registry_basic.username, "wrong", origin="config.json")
    registry = Registry(registry_basic.host, clients(error=TargetError), who)
    with pytest.raises(TargetError, match=r"401 UNAUTHORIZED.*with the credential from config"):
        registry.ping()
    assert clients.pauses == []


@pytest.mark.server
def test_a_real_token_that_is_past_its_end_is_renewed(
    clients: Clients, registry_token: Served
) -> None:
    assert registry_token.tokens is not None
    registry, repository = client(clients, registry_token), registry_token.repository()
    registry_token.tokens.expired = 1
    with pytest.raises(TargetError):  # a fresh token that is refused is no matter of renewal
        registry.put_blob(repository, LAYER, blocks)
    registry.put_blob(repository, LAYER, blocks)
    assert registry.has_blob(repository, LAYER.digest)


@pytest.mark.server
def test_dockers_configuration_opens_a_real_registry(
    clients: Clients, registry_basic: Served, isolated: Any
) -> None:
    (isolated / "docker").mkdir()
    (isolated / "docker/config.json").write_text(registry_basic.docker_config())
    registry = Registry(registry_basic.host, clients(), find(registry_basic.host))
    registry.ping()


@pytest.mark.server
def test_a_stock_client_reads_what_we_pushed(clients: Clients, registry: Served) -> None:
    skopeo = programs.require("skopeo")
    ours, repository = client(clients, registry), registry.repository()
    ours.put_manifest(repository, "v1", image(ours, repository), OCI)
    reference = f"docker://{registry.host}/{repository}:v1"
    command = [str(skopeo), "inspect", "--raw", "--tls-verify=false", reference]
    shown = subprocess.run(command, capture_output=True, check=True, timeout=60).stdout
    assert shown == ours.manifest(repository, "v1")[1]
