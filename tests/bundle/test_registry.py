from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from bundle.credentials import Credentials
from bundle.digest import Descriptor, Digest
from bundle.errors import NotFound, SourceError, TargetError, VerificationError
from bundle.registry import Registry
from tests.bundle.faulty import Faulty, Reply
from tests.bundle.scripted import (
    DOCKER,
    DOCKER_LIST,
    OCI,
    OCI_INDEX,
    REPO,
    SUBJECT,
    error,
    manifest,
    served,
)

if TYPE_CHECKING:
    from tests.bundle.conftest import Clients


@pytest.mark.parametrize("kind", [OCI, OCI_INDEX, DOCKER, DOCKER_LIST])
def test_a_manifest_comes_byte_for_byte_whatever_its_kind(
    low: Registry, server: Faulty, kind: str
) -> None:
    data = manifest(kind)
    server.answers(served(data, kind + "; charset=utf-8"))
    assert low.manifest(REPO, "v1") == (Descriptor(kind, Digest.of(data), len(data)), data)
    accepted = server.seen[0].headers["Accept"]
    assert all(each in accepted for each in (OCI, OCI_INDEX, DOCKER, DOCKER_LIST))


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"schemaVersion": 2, "layers": []}, OCI),
        ({"schemaVersion": 2, "manifests": []}, OCI_INDEX),
        ({"schemaVersion": 2, "mediaType": DOCKER, "layers": []}, DOCKER),
    ],
)
def test_a_manifest_whose_header_says_nothing_is_known_by_its_content(
    low: Registry, server: Faulty, body: dict[str, Any], kind: str
) -> None:
    server.answers(served(json.dumps(body).encode(), "application/json"))
    assert low.manifest(REPO, "v1")[0].media_type == kind


def test_other_bytes_than_pinned_are_refused(low: Registry, server: Faulty) -> None:
    server.answers(served(manifest()))
    with pytest.raises(VerificationError, match="has other bytes"):
        low.manifest(REPO, Digest.of(b"other"))
    with pytest.raises(VerificationError, match="has other bytes"):
        server.answers(served(manifest(), **{"Docker-Content-Digest": Digest.of(b"x")}))
        low.manifest(REPO, "v1")


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (served(manifest(DOCKER), OCI), "by its header"),
        (served(b'{"schemaVersion": 1}', "application/json"), "schema 1"),
        (served(b"{}", "text/html"), "no manifest and no index"),
        (served(b"<html>", "text/html"), "no valid JSON"),
        (served(b"[]"), "no JSON object"),
        (served(b" " * ((4 << 20) + 1)), "more than 4194304 bytes"),
    ],
)
def test_what_is_no_manifest_is_refused(
    low: Registry, server: Faulty, reply: Reply, message: str
) -> None:
    server.answers(reply)
    with pytest.raises(SourceError, match=message):
        low.manifest(REPO, "v1")


def test_resolving_takes_the_head_where_it_tells_enough(low: Registry, server: Faulty) -> None:
    data = manifest()
    digest = Digest.of(data)
    server.answers(served(data, **{"Docker-Content-Digest": digest}))
    assert low.resolve(REPO, "v1") == Descriptor(OCI, digest, len(data))
    assert server.paths() == ["HEAD /v2/team/app/manifests/v1"]
    with pytest.raises(VerificationError):
        low.resolve(REPO, Digest.of(b"other"))


@pytest.mark.parametrize(
    "head",
    [
        served(manifest()),
        served(manifest(), **{"Docker-Content-Digest": "sha512:00"}),
        served(manifest(), "text/plain", **{"Docker-Content-Digest": Digest.of(b"")}),
        Reply(405),
        Reply(307, headers={"Location": "https://cdn.test/"}),
    ],
)
def test_resolving_falls_back_to_the_bytes(low: Registry, server: Faulty, head: Reply) -> None:
    data = manifest()
    server.script = lambda asked: head if asked.method == "HEAD" else served(data)
    assert low.resolve(REPO, "v1").digest == Digest.of(data)


def test_what_is_not_there_is_not_found_on_the_low_side_alone(
    low: Registry, high: Registry, server: Faulty
) -> None:
    server.answers(error(404, "MANIFEST_UNKNOWN", "manifest unknown"))
    with pytest.raises(
        NotFound, match=r"has no manifest v1 \(404 MANIFEST_UNKNOWN: manifest unk"
    ) as missing:
        low.manifest(REPO, "v1")
    assert "mind the spelling" in missing.value.hint
    with pytest.raises(TargetError):
        high.manifest(REPO, "v1")
    assert high.has_manifest(REPO, "v1") is None


@pytest.mark.parametrize("name", ["", "Team/app", "../x", "a//b", "a/../b", "a?b", "a" * 256])
def test_a_name_that_is_none_is_not_asked_for(low: Registry, server: Faulty, name: str) -> None:
    with pytest.raises(SourceError, match="no name"):
        low.manifest(name, "v1")
    assert server.seen == []


@pytest.mark.parametrize("reference", ["", "a/b", "..", "sha256:00", "v1?x", "a" * 129])
def test_a_reference_that_is_none_is_not_asked_for(
    low: Registry, server: Faulty, reference: str
) -> None:
    with pytest.raises(SourceError, match="neither a tag nor"):
        low.manifest(REPO, reference)
    assert server.seen == []


def test_a_manifest_is_stored_byte_for_byte(high: Registry, server: Faulty) -> None:
    server.answers(Reply(201))
    high.put_manifest(REPO, "v1", manifest(DOCKER), DOCKER)
    assert server.seen[0].body == manifest(DOCKER)
    assert server.seen[0].headers["Content-Type"] == DOCKER
    with pytest.raises(VerificationError):
        high.put_manifest(REPO, Digest.of(b"other"), manifest(), OCI)


@pytest.mark.parametrize("same", [True, False])
def test_an_immutable_tag_is_an_error_unless_it_is_the_same(
    high: Registry, server: Faulty, *, same: bool
) -> None:
    there = Digest.of(manifest()) if same else Digest.of(b"other")
    put = error(412, "PRECONDITION", "configured as immutable")
    head = served(b"", **{"Docker-Content-Digest": there})
    server.script = lambda asked: put if asked.method == "PUT" else head
    if same:
        high.put_manifest(REPO, "v1", manifest(), OCI)
    else:
        with pytest.raises(TargetError, match="412 PRECONDITION"):
            high.put_manifest(REPO, "v1", manifest(), OCI)


def test_a_manifest_that_was_stored_as_another_is_an_error(high: Registry, server: Faulty) -> None:
    server.answers(Reply(201, headers={"Docker-Content-Digest": Digest.of(b"other")}))
    with pytest.raises(TargetError, match="was stored as"):
        high.put_manifest(REPO, "v1", manifest(), OCI)


def test_a_manifest_that_a_policy_hides_is_there_by_its_digest(
    high: Registry, server: Faulty
) -> None:
    server.answers(Reply(412))
    assert high.has_manifest(REPO, SUBJECT) == SUBJECT
    assert high.has_manifest(REPO, "v1") is None


def test_a_ping_tells_a_registry_from_another_server(
    low: Registry, server: Faulty, clients: Clients
) -> None:
    server.answers(Reply(401))
    low.ping()
    with pytest.raises(SourceError, match="refuses the login"):
        Registry(server.host, clients(), Credentials("u", "p")).ping()
    server.answers(Reply(404))
    with pytest.raises(SourceError, match="is no registry"):
        low.ping()


def test_the_transfers_of_the_base_class_can_not_be_reached(low: Registry) -> None:
    with pytest.raises(NotImplementedError):
        low.get_manifest("127.0.0.1:1/x:y")
