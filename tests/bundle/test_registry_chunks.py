"""Uploads in chunks: behind a limit, after cuts, across runs; the digest has the last word."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest

from bundle import upload as module
from bundle.credentials import Credentials
from bundle.digest import BLOCK, Descriptor, Digest
from bundle.errors import PartlyDone, TargetError, VerificationError
from bundle.registry import Registry
from bundle.sessions import Session
from tests.bundle.chunkserver import Chunks, Remembered, Source
from tests.bundle.faulty import HANG_UP, Asked, Faulty, Reply
from tests.bundle.scripted import BLOB, LAYER, REPO, error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.bundle.conftest import Clients

KIB = 1 << 10
STEPS = (1024 * KIB, 256 * KIB, 64 * KIB)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STEPS", STEPS)


@pytest.fixture
def remembered() -> Remembered:
    return Remembered()


@pytest.fixture
def client(clients: Clients, server: Faulty, remembered: Remembered) -> Callable[[], Registry]:
    """A function that makes a client, as each run has one of its own."""

    def make() -> Registry:
        return Registry(server.host, clients(error=TargetError), sessions=remembered)

    return make


@pytest.mark.parametrize("limit", [2_000_000, 1024 * KIB, 300_000, 64 * KIB])
def test_a_limit_is_met_by_smaller_chunks_and_kept_in_mind(
    client: Callable[[], Registry], server: Faulty, limit: int
) -> None:
    registry, chunks = client(), Chunks(server, limit=limit)
    registry.put_blob(REPO, LAYER, Source())
    assert chunks.stored == {LAYER.digest: BLOB}
    assert max(chunks.patches) <= limit
    assert max(chunks.patches) == max(step for step in STEPS if step <= limit)
    before = len(server.seen)
    registry.put_blob("team/other", LAYER, Source())
    assert all(len(asked.body) <= limit for asked in server.seen[before:]), "it was learnt"


def test_small_blobs_are_one_request_behind_a_limit_too(
    client: Callable[[], Registry], server: Faulty
) -> None:
    registry, chunks = client(), Chunks(server, limit=300_000)
    registry.put_blob(REPO, LAYER, Source())
    data = BLOB[:200_000]
    little = Descriptor(LAYER.media_type, Digest.of(data), len(data))
    before = chunks.count("PATCH")
    registry.put_blob(REPO, little, lambda **_: iter([data]))
    assert chunks.count("PATCH") == before
    assert little.digest in chunks.stored


def test_a_limit_below_all_chunks_is_told(client: Callable[[], Registry], server: Faulty) -> None:
    Chunks(server, limit=10_000)
    with pytest.raises(TargetError, match="413") as caught:
        client().put_blob(REPO, LAYER, Source())
    assert "proxy" in caught.value.hint


def test_chunks_are_never_smaller_than_the_registry_wants(
    client: Callable[[], Registry], server: Faulty
) -> None:
    chunks = Chunks(server, limit=300_000)
    chunks.minimum = str(200_000)
    client().put_blob(REPO, LAYER, Source())
    assert min(chunks.patches[:-1]) >= 200_000
    chunks.limit, chunks.minimum = 100_000, str(200_000)
    with pytest.raises(TargetError, match="413"):
        client().put_blob("team/other", LAYER, Source())


@pytest.mark.parametrize("keeps", [True, False])
def test_a_chunk_without_an_answer_is_asked_about(
    client: Callable[[], Registry], server: Faulty, *, keeps: bool
) -> None:
    chunks, source = Chunks(server, limit=300_000, keeps=keeps), Source()
    chunks.lost = {5}
    client().put_blob(REPO, LAYER, source)
    assert chunks.stored == {LAYER.digest: BLOB}
    assert (chunks.sent() == len(BLOB)) is keeps
    assert chunks.begun == 1 + 1 + (not keeps)
    assert source.read < 3 * len(BLOB)


def test_chunks_that_go_on_may_fail_more_often_than_one_request_may(
    clients: Clients, server: Faulty
) -> None:
    chunks = Chunks(server, limit=64 * KIB)
    chunks.lost = set(range(2, 40, 2))
    Registry(server.host, clients(error=TargetError, retries=2)).put_blob(REPO, LAYER, Source())
    assert chunks.stored == {LAYER.digest: BLOB}


def test_another_run_goes_on_behind_the_last_chunk(
    client: Callable[[], Registry], server: Faulty, remembered: Remembered
) -> None:
    chunks, source = Chunks(server, limit=300_000), Source()
    source.fail_at, source.fault = 1_500_000, PartlyDone("interrupted")
    registry = client()
    registry.uploads._most = 256 * KIB
    with pytest.raises(PartlyDone):
        registry.put_blob(REPO, LAYER, source)
    (session,) = remembered.known.values()
    assert session.offset == 5 * 256 * KIB
    # What was on its way never came to the registry: a proxy that buffers held it back.
    name = urlsplit(session.location).path.rpartition("/")[2]
    chunks.sessions[name] = bytearray(BLOB[: session.offset])
    sent = chunks.sent()
    registry = client()
    registry.uploads._most = 256 * KIB
    registry.put_blob(REPO, LAYER, Source())
    assert chunks.stored == {LAYER.digest: BLOB}
    assert chunks.sent() - sent == len(BLOB) - session.offset
    assert remembered.known == {}


@pytest.mark.parametrize(
    "session",
    [
        Session("{url}/v2/team/app/blobs/uploads/99?at=500", 500),
        Session("http://elsewhere.test/up", 500),
        Session("{url}/v2/team/app/blobs/uploads/1?at=0", LAYER.size + 1),
    ],
    ids=["gone", "elsewhere", "longer than the blob"],
)
def test_a_session_that_is_no_good_is_left_and_the_blob_begun_anew(
    clients: Clients, server: Faulty, session: Session
) -> None:
    chunks = Chunks(server, limit=300_000)
    known = Session(session.location.format(url=server.url), session.offset)
    remembered = Remembered({f"{server.host}/{REPO}@{LAYER.digest}": known})
    registry = Registry(server.host, clients(error=TargetError), sessions=remembered)
    registry.put_blob(REPO, LAYER, Source())
    assert chunks.stored == {LAYER.digest: BLOB}
    assert remembered.known == {}


@pytest.mark.parametrize(("told", "begun"), [(500, 0), (1500, 0), (len(BLOB) + 1, 1)])
def test_a_session_is_gone_on_with_from_where_the_registry_says(
    clients: Clients, server: Faulty, told: int, begun: int
) -> None:
    chunks = Chunks(server, limit=300_000)
    chunks.sessions["old"] = bytearray((BLOB + b"more")[:told])
    known = Session(f"{server.url}/v2/{REPO}/blobs/uploads/old?at=1000", 1000)
    remembered = Remembered({f"{server.host}/{REPO}@{LAYER.digest}": known})
    registry = Registry(server.host, clients(error=TargetError), sessions=remembered)
    registry.put_blob(REPO, LAYER, Source())
    assert chunks.stored == {LAYER.digest: BLOB}
    assert chunks.begun == begun
    assert chunks.count("PUT") == 1


def test_a_session_with_other_bytes_is_left_and_the_blob_begun_anew(
    clients: Clients, server: Faulty
) -> None:
    chunks = Chunks(server, limit=300_000)
    chunks.sessions["1"] = bytearray(1000)
    known = Session(f"{server.url}/v2/{REPO}/blobs/uploads/1?at=1000", 1000)
    remembered = Remembered({f"{server.host}/{REPO}@{LAYER.digest}": known})
    registry = Registry(server.host, clients(error=TargetError), sessions=remembered)
    registry.put_blob(REPO, LAYER, Source())
    assert chunks.stored == {LAYER.digest: BLOB}


@pytest.mark.parametrize("there", [True, False])
def test_a_closing_request_without_an_answer_is_looked_for_before_anything_is_sent_again(
    client: Callable[[], Registry], server: Faulty, *, there: bool
) -> None:
    chunks = Chunks(server, limit=300_000)
    chunks.closing = [HANG_UP]
    plain = server.script

    def script(asked: Asked) -> Reply:
        if there and asked.method == "PUT" and not asked.body:
            chunks.stored[LAYER.digest] = BLOB
        return plain(asked)

    server.script = script
    client().put_blob(REPO, LAYER, Source())
    assert chunks.sent() == len(BLOB)
    closing = [asked for asked in server.seen if asked.method == "PUT" and not asked.body]
    assert len(closing) == (1 if there else 2)


@pytest.mark.parametrize("status", [404, 405, 501])
def test_a_registry_without_chunks_gets_large_blobs_in_one_request(
    client: Callable[[], Registry],
    server: Faulty,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
) -> None:
    monkeypatch.setattr(module, "LARGE", 1_000_000)
    monkeypatch.setattr(module, "CHUNK", 500_000)
    chunks = Chunks(server)
    plain = server.script
    server.script = lambda asked: Reply(status) if asked.method == "PATCH" else plain(asked)
    registry = client()
    registry.put_blob(REPO, LAYER, Source())
    registry.put_blob("team/other", LAYER, Source())
    assert chunks.stored == {LAYER.digest: BLOB}
    assert chunks.count("PATCH") == 1


def test_a_large_blob_goes_in_chunks_unasked(
    client: Callable[[], Registry], server: Faulty, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LARGE", LAYER.size)
    monkeypatch.setattr(module, "CHUNK", 1_000_000)
    chunks, source = Chunks(server), Source()
    client().put_blob(REPO, LAYER, source)
    assert chunks.patches == [1_000_000, 1_000_000, 1_000_000, LAYER.size - 3_000_000]
    assert source.read == len(BLOB)


def test_a_request_that_is_cut_off_again_and_again_is_sent_in_chunks(
    client: Callable[[], Registry], server: Faulty
) -> None:
    chunks = Chunks(server)
    chunks.closing = [HANG_UP, HANG_UP]
    cut = Source()
    times = iter([1, 1])

    def blocks(**where: Any) -> Iterator[bytes]:
        return cut(**where)

    plain = server.script

    def script(asked: Asked) -> Reply:
        if asked.method == "PUT" and asked.body and next(times, None):
            asked.whole = False
            return HANG_UP
        return plain(asked)

    server.script = script
    chunks.closing = []
    client().put_blob(REPO, LAYER, blocks)
    assert chunks.stored == {LAYER.digest: BLOB}


def test_wrong_bytes_are_never_committed_and_nothing_is_left_of_them(
    client: Callable[[], Registry], server: Faulty, remembered: Remembered
) -> None:
    chunks = Chunks(server, limit=300_000)
    with pytest.raises(VerificationError):
        client().put_blob(REPO, LAYER, Source(BLOB[:-1] + b"?"))
    assert (chunks.stored, remembered.known) == ({}, {})
    assert chunks.count("DELETE") >= 1


def test_a_refusal_in_the_middle_ends_it_and_leaves_nothing(
    client: Callable[[], Registry], server: Faulty, remembered: Remembered
) -> None:
    chunks = Chunks(server, limit=300_000)
    plain = server.script

    def script(asked: Asked) -> Reply:
        if asked.method == "PATCH" and len(chunks.patches) == 3:
            return error(403, "DENIED", "adding 12 GiB will exceed the limit")
        return plain(asked)

    server.script = script
    with pytest.raises(TargetError, match="DENIED") as caught:
        client().put_blob(REPO, LAYER, Source())
    assert "quota" in caught.value.hint
    assert remembered.known == {}


def test_chunks_for_another_host_take_no_credential_along_and_are_not_remembered(
    clients: Clients, server: Faulty, serve: Callable[..., Faulty]
) -> None:
    store = serve()
    chunks = Chunks(store, limit=300_000)
    chunks.host = store.url
    remembered = Remembered()
    saved: list[Session] = []

    def save(name: str, session: Session) -> None:
        saved.append(session)

    remembered.save = save  # type: ignore[method-assign]

    def script(asked: Asked) -> Reply:
        return chunks.post(asked) if asked.method == "POST" else Reply(404)

    server.script = script
    who = Credentials("u", "p")
    registry = Registry(server.host, clients(error=TargetError), who, sessions=remembered)
    registry.put_blob(REPO, LAYER, Source())
    assert chunks.stored == {LAYER.digest: BLOB}
    assert {asked.authorization for asked in store.seen} == {""}
    assert saved == []


def test_locations_come_back_as_they_were(client: Callable[[], Registry], server: Faulty) -> None:
    chunks = Chunks(server, limit=1024 * KIB)
    client().put_blob(REPO, LAYER, Source())
    closing = server.seen[-1]
    assert closing.method == "PUT"
    query = parse_qs(urlsplit(f"?{closing.query}").query)
    assert closing.query["at"] == [str(len(BLOB))], query
    assert chunks.patches[0] == BLOCK
