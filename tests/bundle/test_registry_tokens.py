from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from bundle.credentials import Credentials
from bundle.digest import BLOCK
from bundle.errors import SourceError, TargetError
from bundle.http import Host
from bundle.registry import Registry
from bundle.transfer import resume
from tests.bundle.faulty import Asked, Faulty, Reply, ranged
from tests.bundle.scripted import BLOB, LAYER, REPO, Tokens, error, manifest, served

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.bundle.conftest import Clients


def pull(registry: Registry) -> bytes:
    opener = registry.opener(REPO, LAYER)
    return b"".join(resume(opener, size=LAYER.size, what="blob", sleep=lambda _seconds: None))


def test_an_anonymous_token_is_asked_for_pull_alone(low: Registry, server: Faulty) -> None:
    tokens = Tokens(server)
    assert pull(low) == BLOB
    assert pull(low) == BLOB
    assert len(tokens.asked) == 1
    assert tokens.asked[0].query == {"service": ["reg"], "scope": ["repository:team/app:pull"]}
    assert tokens.asked[0].authorization == ""


def test_a_challenge_without_a_service_and_with_a_scope_in_its_realm_is_understood(
    low: Registry, server: Faulty
) -> None:
    realm = f"{server.url}/proxy_auth?account=x&scope=repository:team/app:pull,push"
    tokens = Tokens(server, realm=realm, service="")
    assert pull(low) == BLOB
    assert tokens.asked[0].query == {"account": ["x"], "scope": ["repository:team/app:pull"]}


def test_a_token_that_expires_in_the_middle_of_a_blob_is_renewed_and_the_blob_goes_on(
    low: Registry, server: Faulty, serve: Callable[..., Faulty]
) -> None:
    tokens, elsewhere = Tokens(server), serve()
    tokens.later = f"{elsewhere.url}/token"

    def content(asked: Asked) -> Reply:
        reply = ranged(asked, BLOB)
        if len(tokens.asked) > 1:
            return reply
        tokens.valid = "nothing"
        return Reply(reply.status, reply.body, reply.headers, cut=BLOCK + 5)

    tokens.content = content
    assert pull(low) == BLOB
    assert len(tokens.asked) == 2
    assert server.seen[-1].headers["Range"] == f"bytes={BLOCK + 5}-{len(BLOB) - 1}"
    # The realm of the later challenge serves no anonymous client: it is not even asked.
    assert elsewhere.seen == []


def test_many_threads_renew_a_token_once(low: Registry, server: Faulty) -> None:
    tokens = Tokens(server)
    tokens.content = lambda _asked: served(manifest())
    low.manifest(REPO, "v1")
    tokens.valid = "revoked"
    with ThreadPoolExecutor(6) as pool:
        got = list(pool.map(lambda _number: low.manifest(REPO, "v1"), range(12)))
    assert len(got) == 12
    assert len(tokens.asked) == 2


def test_a_token_is_renewed_before_its_end_where_that_is_known(
    low: Registry, server: Faulty, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr("bundle.auth.time.monotonic", lambda: now[0])
    tokens = Tokens(server)
    tokens.life = 100
    pull(low)
    now[0] += 89
    pull(low)
    assert len(tokens.asked) == 1
    now[0] += 2
    pull(low)
    assert len(tokens.asked) == 2
    assert server.paths().count(f"GET /v2/team/app/blobs/{LAYER.digest}") == 5


def test_a_wrong_password_fails_at_once(clients: Clients, server: Faulty) -> None:
    tokens = Tokens(server)
    tokens.status = 401
    registry = Registry(server.host, clients(), Credentials("u", "hidden", origin="config.json"))
    with pytest.raises(SourceError, match=r"401, with the credential from config\.json") as caught:
        registry.manifest(REPO, "v1")
    assert len(server.seen) == 2
    assert clients.pauses == []
    assert "hidden" not in str(caught.value) + caught.value.hint


def test_a_token_that_does_not_help_is_asked_for_once_more_and_no_more(
    low: Registry, server: Faulty
) -> None:
    tokens = Tokens(server)
    tokens.content = lambda _asked: error(401, "UNAUTHORIZED", "authentication required")
    with pytest.raises(SourceError, match="no credential was sent") as caught:
        low.manifest(REPO, "v1")
    assert len(tokens.asked) == 1
    assert "docker login" in caught.value.hint


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"token": 5}', b'{"token": "a\\r\\nX: y"}'])
def test_a_token_that_is_none_is_refused(low: Registry, server: Faulty, body: bytes) -> None:
    tokens = Tokens(server)
    server.script = lambda asked: (
        Reply(200, body) if asked.path == "/proxy_auth" else tokens.script(asked)
    )
    with pytest.raises(SourceError, match="answered with no token"):
        low.manifest(REPO, "v1")


def test_a_credential_goes_to_no_realm_on_another_host(
    clients: Clients, server: Faulty, serve: Callable[..., Faulty]
) -> None:
    thief = serve()
    Tokens(server, realm=thief.url.replace("127.0.0.1", "localhost") + "/token")
    registry = Registry(server.host, clients(), Credentials("u", "p"))
    with pytest.raises(SourceError, match="another host"):
        registry.manifest(REPO, "v1")
    assert thief.seen == []


def test_a_known_realm_gets_the_credential_of_its_own_registry_alone(
    clients: Clients, server: Faulty, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bundle.auth.REALMS", {"nvcr.io": frozenset({"localhost"})})
    tokens = Tokens(server, realm=server.url.replace("127.0.0.1", "localhost") + "/proxy_auth")
    tokens.content = lambda _asked: served(manifest())
    hosts = {name: Host(endpoint=server.url) for name in ("nvcr.io", "other.test")}
    key = Credentials("$oauthtoken", "nvapi-x")
    Registry("nvcr.io", clients(hosts), key).manifest(REPO, "v1")
    assert tokens.asked[0].authorization == key.basic
    with pytest.raises(SourceError, match="another host"):
        Registry("other.test", clients(hosts), key).manifest(REPO, "v1")


def test_an_anonymous_client_may_fetch_its_token_elsewhere(low: Registry, server: Faulty) -> None:
    tokens = Tokens(server, realm=server.url.replace("127.0.0.1", "localhost") + "/proxy_auth")
    assert pull(low) == BLOB
    assert len(tokens.asked) == 1


@pytest.mark.parametrize(
    "realm",
    [
        "http://127.0.0.1:1/token",
        "HTTP://127.0.0.1:1/token",
        "https://user:word@127.0.0.1:1/token",
        "file://127.0.0.1/token",
        "/token",
    ],
)
def test_a_registry_over_tls_may_not_name_a_realm_that_is_plain_or_none(
    clients: Clients, serve: Callable[..., Faulty], authority: Any, realm: str
) -> None:
    secure = serve(authority)
    Tokens(secure, realm=realm)
    http = clients({secure.host: Host(ca_file=str(authority.ca))})
    with pytest.raises(SourceError, match="no https URL"):
        Registry(secure.host, http, Credentials("u", "p")).manifest(REPO, "v1")


def test_an_identity_token_is_exchanged_by_post(clients: Clients, server: Faulty) -> None:
    tokens = Tokens(server)
    tokens.content = lambda _asked: served(manifest())
    registry = Registry(server.host, clients(), Credentials("", identity_token="refresh-me"))
    registry.manifest(REPO, "v1")
    (asked,) = tokens.asked
    assert asked.method == "POST"
    assert b"refresh_token=refresh-me" in asked.body
    assert b"grant_type=refresh_token" in asked.body
    assert b"scope=repository%3Ateam%2Fapp%3Apull" in asked.body


def test_basic_is_sent_once_it_was_asked_for_and_ahead_from_then_on(
    clients: Clients, server: Faulty
) -> None:
    who = Credentials("u", "p")

    def script(asked: Asked) -> Reply:
        if asked.authorization == who.basic:
            return served(manifest())
        return Reply(401, headers={"WWW-Authenticate": 'Basic realm="x"'})

    server.script = script
    registry = Registry(server.host, clients(), who)
    registry.manifest(REPO, "v1")
    registry.manifest(REPO, "v2")
    assert [asked.authorization for asked in server.seen] == ["", who.basic, who.basic]


def test_a_refused_basic_credential_is_not_tried_twice(clients: Clients, server: Faulty) -> None:
    server.answers(Reply(401, headers={"WWW-Authenticate": "Basic realm=x"}))
    with pytest.raises(SourceError, match="401"):
        Registry(server.host, clients(), Credentials("u", "p")).manifest(REPO, "v1")
    assert len(server.seen) == 2


def test_a_blob_from_a_foreign_store_is_fetched_without_the_token(
    low: Registry, server: Faulty, serve: Callable[..., Faulty]
) -> None:
    tokens, store = Tokens(server), serve()
    tokens.content = lambda _asked: Reply(307, headers={"Location": f"{store.url}/b?Signature=s"})

    def script(asked: Asked) -> Reply:
        return Reply(400) if asked.authorization else ranged(asked, BLOB)

    store.script = script
    assert pull(low) == BLOB
    assert low.has_blob(REPO, LAYER.digest)


def test_a_repository_that_worked_gets_another_chance_on_the_low_side(
    low: Registry, high: Registry, server: Faulty, clients: Clients
) -> None:
    good, bad = served(manifest()), error(403, "DENIED")
    server.answers(good, bad, bad, good)
    low.manifest(REPO, "v1")
    low.manifest(REPO, "v1")
    assert len(clients.pauses) == 2
    server.answers(good, bad)
    high.manifest(REPO, "v1")
    with pytest.raises(TargetError, match="DENIED"):
        high.manifest(REPO, "v1")
    with pytest.raises(SourceError, match="DENIED"):
        low.manifest(REPO, "v1")
