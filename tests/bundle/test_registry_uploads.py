from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from bundle.credentials import Credentials
from bundle.digest import BLOCK, Digest
from bundle.errors import TargetError, VerificationError
from bundle.http import Host
from bundle.registry import Registry
from tests.bundle.faulty import HANG_UP, Asked, Faulty, Reply
from tests.bundle.scripted import BLOB, LAYER, REPO, Tokens, Uploads, blocks, error, spoiled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.bundle.conftest import Clients


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
    # The server may notice the end of the upload only after it has answered this.
    assert "DELETE /v2/team/app/blobs/uploads/1" in server.paths()
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


@pytest.mark.parametrize("location", ["", "//[::1", "http://h:99999/", "ftp://h/", "http://u@h/"])
def test_an_upload_that_begins_nowhere_is_refused(
    high: Registry, server: Faulty, location: str
) -> None:
    uploads = Uploads(server)
    uploads.location = location
    if not location:
        server.answers(Reply(202))
    with pytest.raises(TargetError, match="does not say where"):
        high.put_blob(REPO, LAYER, blocks)


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
