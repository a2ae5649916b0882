"""Uploads in chunks: behind a limit, after cuts, across runs; the digest has the last word."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest

from bundle import upload as module
from bundle.credentials import Credentials
from bundle.digest import BLOCK, Descriptor, Digest, verified
from bundle.errors import PartlyDone, TargetError, VerificationError
from bundle.registry import Registry
from bundle.sessions import Session
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


@dataclass
class Remembered:
    """Sessions in memory."""

    known: dict[str, Session] = field(default_factory=dict)

    def load(self, name: str) -> Session | None:
        return self.known.get(name)

    def save(self, name: str, session: Session) -> None:
        self.known[name] = session

    def drop(self, name: str) -> None:
        self.known.pop(name, None)


class Source:
    """A blob on a medium: counts what is read of it, and can be told to fail at a byte."""

    def __init__(self, data: bytes = BLOB) -> None:
        self.data, self.read = data, 0
        self.fail_at: int | None = None
        self.fault: Exception = OSError("the medium is gone")

    def __call__(self, *, offset: int = 0, sha: Any = None) -> Iterator[bytes]:
        if offset:
            assert sha is not None
            assert sha.digest() == hashlib.sha256(self.data[:offset]).digest()
        return verified(
            self._blocks(offset),
            digest=LAYER.digest,
            size=LAYER.size,
            what="blob",
            start=offset,
            sha=sha,
        )

    def _blocks(self, offset: int) -> Iterator[bytes]:
        for start in range(offset, len(self.data), 100_000):
            if self.fail_at is not None and start >= self.fail_at:
                raise self.fault
            block = self.data[start : start + 100_000]
            self.read += len(block)
            yield block


class Chunks:
    """A scripted registry that takes chunks. ``keeps`` tells what a lost answer leaves behind.

    ``limit`` is the most bytes of a request. Requests numbered in ``lost`` are taken and not
    answered: later releases of distribution know of their bytes, earlier ones lose the session.
    """

    def __init__(self, server: Faulty, *, limit: int = 1 << 40, keeps: bool = True) -> None:
        self.limit, self.keeps, self.begun = limit, keeps, 0
        self.lost: set[int] = set()
        self.sessions: dict[str, bytearray] = {}
        self.stored: dict[str, bytes] = {}
        self.patches: list[int] = []
        self.closing: list[Reply] = []
        self.minimum = ""
        self.host = ""
        self.server = server
        server.script = self.script

    def script(self, asked: Asked) -> Reply:
        return getattr(self, asked.method.lower())(asked)  # type: ignore[no-any-return]

    def located(self, name: str, status: int, count: int) -> Reply:
        headers = {"Location": f"{self.host}/v2/{REPO}/blobs/uploads/{name}?at={count}"}
        headers["Range"] = f"0-{max(count - 1, 0)}"
        if self.minimum:
            headers["OCI-Chunk-Min-Length"] = self.minimum
        return Reply(status, headers=headers)

    def post(self, _asked: Asked) -> Reply:
        self.begun += 1
        name = str(self.begun)
        self.sessions[name] = bytearray()
        return self.located(name, 202, 0)

    def known(self, asked: Asked) -> tuple[str, bytearray | None]:
        name = asked.path.rpartition("/")[2]
        return name, self.sessions.get(name)

    def patch(self, asked: Asked) -> Reply:
        if len(asked.body) > self.limit:
            return Reply(413, b"<title>413 Request Entity Too Large</title>")
        name, data = self.known(asked)
        at = int(asked.query["at"][0])
        if data is None or at != len(data):
            return error(404, "BLOB_UPLOAD_INVALID")
        assert asked.headers["Content-Range"] == f"{at}-{at + len(asked.body) - 1}"
        self.patches.append(len(asked.body))
        if not asked.whole:
            self.sessions.pop(name)
            return HANG_UP
        data += asked.body
        if len(self.patches) in self.lost:
            if not self.keeps:
                self.sessions[name] = bytearray(b"?")
            return HANG_UP
        return self.located(name, 202, len(data))

    def get(self, asked: Asked) -> Reply:
        name, data = self.known(asked)
        if data is None or data == b"?":
            return error(404, "BLOB_UPLOAD_INVALID")
        return self.located(name, 204, len(data))

    def put(self, asked: Asked) -> Reply:
        if len(asked.body) > self.limit:
            return Reply(413, b"<title>413 Request Entity Too Large</title>")
        _name, data = self.known(asked)
        if self.closing:
            return self.closing.pop(0)
        whole = bytes(data or b"") + asked.body
        if data is None:
            return error(404, "BLOB_UPLOAD_UNKNOWN")
        if Digest.of(whole) != asked.query["digest"][0]:
            return error(400, "DIGEST_INVALID")
        self.stored[Digest.of(whole)] = whole
        return Reply(201)

    def head(self, asked: Asked) -> Reply:
        return Reply(200 if asked.path.rpartition("/")[2] in self.stored else 404)

    def delete(self, asked: Asked) -> Reply:
        self.sessions.pop(self.known(asked)[0], None)
        return Reply(204)

    def sent(self) -> int:
        return sum(self.patches)

    def count(self, method: str) -> int:
        return sum(asked.method == method for asked in self.server.seen)


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
