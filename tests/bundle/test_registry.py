from __future__ import annotations

import json
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from bundle.credentials import Credentials, find
from bundle.digest import BLOCK, Descriptor, Digest, verified
from bundle.errors import NotFound, SourceError, TargetError, VerificationError
from bundle.http import Host
from bundle.registry import Registry
from bundle.transfer import resume
from tests.bundle.faulty import HANG_UP, Asked, Faulty, Reply, ranged
from tests.servers import programs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.bundle.conftest import Clients
    from tests.servers.registry import Registry as Served

OCI = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
BLOB = bytes(range(256)) * 12_000
LAYER = Descriptor("application/octet-stream", Digest.of(BLOB), len(BLOB))
REPO = "team/app"


def manifest(kind: str = OCI, **more: Any) -> bytes:
    """Return a manifest in a form that no JSON writer would give again."""
    body = {"schemaVersion": 2, "mediaType": kind, "layers": [], **more}
    return json.dumps(body, indent=3).encode() + b"\n\n"


def served(data: bytes, kind: str = OCI, **headers: str) -> Reply:
    return Reply(200, data, {"Content-Type": kind, **headers})


def error(status: int, code: str, message: str = "no", **headers: str) -> Reply:
    body = {"errors": [{"code": code, "message": message}]}
    return Reply(status, json.dumps(body).encode(), headers)


def blocks() -> Iterator[bytes]:
    for start in range(0, len(BLOB), BLOCK):
        yield BLOB[start : start + BLOCK]


def spoiled() -> Iterator[bytes]:
    wrong = (b"x" if number == 1 else block for number, block in enumerate(blocks()))
    return verified(wrong, digest=LAYER.digest, size=LAYER.size, what="blob")


@pytest.fixture
def low(clients: Clients, server: Faulty) -> Registry:
    """The scripted registry as the low side sees it, anonymously."""
    return Registry(server.host, clients())


@pytest.fixture
def high(clients: Clients, server: Faulty) -> Registry:
    """The scripted registry as the high side sees it, anonymously."""
    return Registry(server.host, clients(error=TargetError))


# Manifests.


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
    with pytest.raises(NotFound, match=r"has no manifest v1 \(404 MANIFEST_UNKNOWN: manifest unk"):
        low.manifest(REPO, "v1")
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


# Lists.


@pytest.mark.parametrize("absolute", [True, False])
def test_tags_come_from_all_pages(low: Registry, server: Faulty, *, absolute: bool) -> None:
    pages = {"": ["a", "b"], "b": ["b", "c"], "c": []}

    def script(asked: Asked) -> Reply:
        last = asked.query.get("last", [""])[0]
        tags = pages[last]
        base = server.url if absolute else ""
        link = f'<{base}{asked.path}?n=2&last={tags[-1]}>; rel="next"' if tags else ""
        headers = {"Link": link} if link else {}
        return Reply(200, json.dumps({"name": "x", "tags": tags or None}).encode(), headers)

    server.script = script
    assert low.tags(REPO) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("link", "message"),
    [
        ("<https://evil.test/v2/team/app/tags/list?last=a>; rel=next", "elsewhere"),
        ("</v2/other/tags/list?last=a>; rel=next", "elsewhere"),
        ("<?n=1000>; rel=next", "circle"),
    ],
)
def test_a_list_that_leaves_its_place_or_never_ends_is_refused(
    low: Registry, server: Faulty, link: str, message: str
) -> None:
    server.answers(Reply(200, b'{"tags": ["a"]}', {"Link": link}))
    with pytest.raises(SourceError, match=message):
        low.tags(REPO)


@pytest.mark.parametrize("tag", ["a b", "\u001b[31m", "../x", 5, None, ""])
def test_a_tag_that_is_none_is_refused(low: Registry, server: Faulty, tag: object) -> None:
    server.answers(Reply(200, json.dumps({"tags": [tag]}).encode()))
    with pytest.raises(SourceError, match="lists a tag that is none"):
        low.tags(REPO)


SUBJECT = Digest.of(b"subject")
SIGNATURE = Descriptor(OCI, Digest.of(b"signature"), 9)
INDEX = json.dumps(
    {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [
            {"mediaType": OCI, "digest": SIGNATURE.digest, "size": 9, "artifactType": "a/b"}
        ],
    }
).encode()


def test_referrers_come_from_the_api(low: Registry, server: Faulty) -> None:
    server.answers(served(INDEX, OCI_INDEX))
    assert low.referrers(REPO, SUBJECT) == [SIGNATURE]
    assert {asked.path for asked in server.seen} == {f"/v2/team/app/referrers/{SUBJECT}"}


@pytest.mark.parametrize(
    "api",
    [Reply(404), Reply(405), Reply(403), Reply(200, b"<html>", {"Content-Type": "text/html"})],
)
def test_referrers_come_from_the_fallback_tag(low: Registry, server: Faulty, api: Reply) -> None:
    tag = f"/v2/team/app/manifests/sha256-{SUBJECT.hex}"
    server.script = lambda asked: served(INDEX, OCI_INDEX) if asked.path == tag else api
    assert low.referrers(REPO, SUBJECT) == [SIGNATURE]


def test_no_referrers_is_no_error(low: Registry, server: Faulty) -> None:
    server.answers(Reply(404))
    assert low.referrers(REPO, SUBJECT) == []
    server.script = lambda asked: Reply(404) if "referrers" in asked.path else served(manifest())
    assert low.referrers(REPO, SUBJECT) == []


@pytest.mark.parametrize(
    "entry",
    [
        None,
        {},
        {"mediaType": OCI, "digest": "sha256:../../x", "size": 1},
        {"mediaType": OCI, "digest": SUBJECT, "size": -1},
        {"mediaType": OCI, "digest": SUBJECT, "size": True},
        {"mediaType": "x", "digest": SUBJECT, "size": 1},
    ],
)
def test_a_referrer_that_is_no_descriptor_is_refused(
    low: Registry, server: Faulty, entry: object
) -> None:
    server.answers(served(json.dumps({"manifests": [entry]}).encode(), OCI_INDEX))
    with pytest.raises(SourceError, match="no descriptor"):
        low.referrers(REPO, SUBJECT)


# Credentials and tokens.


class Tokens:
    """A scripted registry that wants tokens of its own making."""

    def __init__(self, server: Faulty, realm: str = "", service: str = ',service="reg"') -> None:
        self.server = server
        self.realm = realm or f"{server.url}/proxy_auth"
        self.service = service
        self.later = self.realm
        self.valid = ""
        self.life: int | None = None
        self.status = 200
        self.asked: list[Asked] = []
        self.content: Callable[[Asked], Reply] = lambda asked: ranged(asked, BLOB)
        server.script = self.script

    def script(self, asked: Asked) -> Reply:
        if asked.path == "/proxy_auth":
            return self.token(asked)
        if self.valid and asked.authorization == f"Bearer {self.valid}":
            return self.content(asked)
        realm = self.later if asked.authorization else self.realm
        scope = 'scope="repository:team/app:pull,push"'
        return error(
            401,
            "UNAUTHORIZED",
            **{"WWW-Authenticate": f'Bearer realm="{realm}"{self.service},{scope}'},
        )

    def token(self, asked: Asked) -> Reply:
        self.asked.append(asked)
        if self.status != 200:
            return Reply(self.status)
        self.valid = f"token-{len(self.asked)}"
        body: dict[str, object] = {"token": self.valid}
        if self.life is not None:
            body["expires_in"] = self.life
        return Reply(200, json.dumps(body).encode())


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


def test_a_registry_over_tls_may_not_name_a_plain_realm(
    clients: Clients, serve: Callable[..., Faulty], authority: Any
) -> None:
    secure = serve(authority)
    Tokens(secure, realm="http://127.0.0.1:1/token")
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


# Uploads.


class Uploads:
    """A scripted registry that takes uploads; ``closing`` answers the PUTs in turn."""

    def __init__(self, server: Faulty, *closing: Reply) -> None:
        self.server = server
        self.closing = list(closing)
        self.stored: set[str] = set()
        self.location = "/v2/team/app/blobs/uploads/{number}?_state=a%3D%3D&empty="
        self.sessions = 0
        server.script = self.script

    def script(self, asked: Asked) -> Reply:
        if asked.method == "POST":
            self.sessions += 1
            location = self.location.format(number=self.sessions)
            return Reply(202, headers={"Location": location})
        if asked.method == "PUT":
            reply = self.closing.pop(0) if self.closing else Reply(201)
            if reply.status == 201 and asked.whole:
                self.stored.add(asked.query["digest"][0])
            return reply
        if asked.method == "HEAD":
            return Reply(200 if asked.path.rpartition("/")[2] in self.stored else 404)
        return Reply(204)

    def count(self, method: str) -> int:
        return sum(asked.method == method for asked in self.server.seen)


def test_a_blob_is_sent_in_one_request_and_the_session_comes_back_as_it_was(
    high: Registry, server: Faulty
) -> None:
    uploads = Uploads(server)
    high.put_blob(REPO, LAYER, blocks)
    assert high.has_blob(REPO, LAYER.digest)
    put = next(asked for asked in server.seen if asked.method == "PUT")
    assert put.body == BLOB
    assert put.query == {"_state": ["a=="], "empty": [""], "digest": [LAYER.digest]}
    assert uploads.sessions == 1


def test_wrong_bytes_are_never_committed_and_the_session_is_deleted(
    high: Registry, server: Faulty, clients: Clients
) -> None:
    uploads = Uploads(server)
    with pytest.raises(VerificationError):
        high.put_blob(REPO, LAYER, spoiled)
    assert uploads.stored == set()
    assert server.seen[-1].method == "DELETE"
    assert server.seen[-1].path == "/v2/team/app/blobs/uploads/1"
    assert clients.pauses == []


def test_a_local_fault_is_not_tried_again(high: Registry, server: Faulty) -> None:
    uploads = Uploads(server)
    fault = OSError(5, "the medium is gone")

    def broken() -> Iterator[bytes]:
        yield BLOB[:BLOCK]
        raise fault

    with pytest.raises(OSError, match="medium is gone") as caught:
        high.put_blob(REPO, LAYER, broken)
    assert caught.value is fault
    assert uploads.sessions == 1


@pytest.mark.parametrize("first", [Reply(503), error(404, "BLOB_UPLOAD_UNKNOWN"), Reply(502)])
def test_an_upload_that_broke_off_begins_anew(high: Registry, server: Faulty, first: Reply) -> None:
    uploads = Uploads(server, first)
    high.put_blob(REPO, LAYER, blocks)
    assert (uploads.sessions, uploads.stored) == (2, {LAYER.digest})


@pytest.mark.parametrize("last", [HANG_UP, Reply(504)])
def test_an_upload_without_an_answer_is_looked_for_before_it_is_sent_again(
    high: Registry, server: Faulty, last: Reply
) -> None:
    uploads = Uploads(server, last)
    plain, looks = uploads.script, list[Asked]()

    def script(asked: Asked) -> Reply:
        if asked.method == "HEAD":
            looks.append(asked)
            return Reply(200 if len(looks) == 3 else 404)  # storage is slow, and gets there
        return plain(asked)

    server.script = script
    high.put_blob(REPO, LAYER, blocks)
    assert uploads.count("PUT") == 1
    assert len(looks) == 3


def test_an_upload_that_is_not_found_is_sent_again(high: Registry, server: Faulty) -> None:
    uploads = Uploads(server, HANG_UP)
    high.put_blob(REPO, LAYER, blocks)
    assert uploads.count("PUT") == 2
    assert uploads.stored == {LAYER.digest}


def test_an_upload_that_never_works_ends_in_an_error(clients: Clients, server: Faulty) -> None:
    Uploads(server, *[Reply(503)] * 9)
    registry = Registry(server.host, clients(error=TargetError, retries=2))
    with pytest.raises(TargetError, match=r"503 \(tried 3 times\)"):
        registry.put_blob(REPO, LAYER, blocks)


@pytest.mark.parametrize(
    ("reply", "message", "hint"),
    [
        (Reply(413, b"<title>413 Too Large</title>"), "413: 413 Too Large", "proxy"),
        (error(403, "DENIED", "adding 12 GiB will exceed the limit"), "403 DENIED", "quota"),
        (error(403, "DENIED", "The system is in read only mode."), "403 DENIED", "read-only"),
        (Reply(507), "507", "storage is full"),
        (error(400, "DIGEST_INVALID", "provided digest did not match"), "DIGEST_INVALID", ""),
        (error(412, "PRECONDITION", "configured as immutable"), "412 PRECONDITION", "immutable"),
    ],
)
def test_a_refusal_carries_the_registrys_words_and_a_hint(
    high: Registry, server: Faulty, reply: Reply, message: str, hint: str
) -> None:
    uploads = Uploads(server, reply)
    with pytest.raises(TargetError, match=message) as caught:
        high.put_blob(REPO, LAYER, blocks)
    assert hint in caught.value.hint
    assert uploads.sessions == 1


def test_a_refusal_prints_no_secret_and_no_control_character(
    high: Registry, server: Faulty
) -> None:
    text = "see https://s.test/x?Signature=secret\x1b[31m\nnow"
    server.answers(error(400, "NAME_INVALID", text))
    with pytest.raises(TargetError) as caught:
        high.put_blob(REPO, LAYER, blocks)
    assert "see https://s.test/x" in str(caught.value)
    assert "secret" not in str(caught.value)
    assert str(caught.value).isprintable()


def test_an_upload_to_another_host_takes_no_credential_along(
    clients: Clients, server: Faulty, serve: Callable[..., Faulty]
) -> None:
    store = serve()
    store.answers(Reply(201))
    tokens = Tokens(server)
    tokens.content = lambda _asked: Reply(202, headers={"Location": f"{store.url}/up?sig=1"})
    registry = Registry(server.host, clients(error=TargetError), Credentials("u", "p"))
    registry.put_blob(REPO, LAYER, blocks)
    assert [asked.authorization for asked in store.seen] == [""]
    assert store.seen[0].query["sig"] == ["1"]
    assert tokens.asked[0].query["scope"] == ["repository:team/app:pull,push"]


def test_a_location_without_tls_is_mended_on_the_same_host(
    clients: Clients, serve: Callable[..., Faulty], authority: Any
) -> None:
    secure = serve(authority)
    uploads = Uploads(secure)
    uploads.location = "http://127.0.0.1/v2/team/app/blobs/uploads/{number}"
    http = clients({secure.host: Host(ca_file=str(authority.ca))}, error=TargetError)
    Registry(secure.host, http).put_blob(REPO, LAYER, blocks)
    assert uploads.stored == {LAYER.digest}
    uploads.location = "http://elsewhere.test/{number}"
    with pytest.raises(TargetError, match="over plain HTTP"):
        Registry(secure.host, http).put_blob(REPO, LAYER, blocks)


def test_a_blob_that_was_stored_as_another_is_an_error(high: Registry, server: Faulty) -> None:
    other = Digest.of(b"other")
    Uploads(server, Reply(201, headers={"Docker-Content-Digest": other}))
    with pytest.raises(TargetError, match="stored"):
        high.put_blob(REPO, LAYER, blocks)


@pytest.mark.parametrize(
    ("reply", "mounted"),
    [
        (Reply(201), True),
        (Reply(202, headers={"Location": "/v2/team/app/blobs/uploads/7"}), False),
        (error(404, "BLOB_UNKNOWN"), False),
        (error(401, "UNAUTHORIZED"), False),
    ],
)
def test_a_mount_works_or_leaves_nothing_behind(
    high: Registry, server: Faulty, reply: Reply, *, mounted: bool
) -> None:
    server.script = lambda asked: reply if asked.method == "POST" else Reply(204)
    assert high.mount(REPO, LAYER.digest, "team/base") is mounted
    assert server.seen[0].query == {"mount": [LAYER.digest], "from": ["team/base"]}
    assert [asked.method for asked in server.seen[1:]] == ["DELETE"] * (reply.status == 202)


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


# A real registry.


@pytest.fixture(params=["registry", "registry_basic", "registry_tls", "registry_token"])
def real(request: pytest.FixtureRequest) -> Served:
    """docker-registry in each of its forms."""
    found: Served = request.getfixturevalue(request.param)
    return found


def client(clients: Clients, real: Served) -> Registry:
    known = {real.host: Host(ca_file=str(real.ca))} if real.ca else {}
    who = Credentials(real.username, real.password) if real.username else None
    return Registry(real.host, clients(known, error=TargetError), who)


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
