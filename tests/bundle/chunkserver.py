"""A scripted registry that takes uploads in chunks, a medium to send from, sessions in memory."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bundle.digest import Digest, verified
from tests.bundle.faulty import HANG_UP, Asked, Faulty, Reply
from tests.bundle.scripted import BLOB, LAYER, REPO, error

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bundle.sessions import Session


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
