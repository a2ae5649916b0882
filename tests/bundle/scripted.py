"""What the tests of the clients share: manifests, a blob, an access, and scripted registries."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from bundle.digest import BLOCK, Descriptor, Digest, verified
from bundle.errors import SourceError
from tests.bundle.faulty import Asked, Faulty, Reply, ranged

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bundle.http import Response


OCI = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
BLOB = bytes(range(256)) * 12_000
LAYER = Descriptor("application/octet-stream", Digest.of(BLOB), len(BLOB))
REPO = "team/app"
SUBJECT = Digest.of(b"subject")


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


class Bearer:
    """An access with one value that is never renewed."""

    def __init__(self, value: str = "Bearer one") -> None:
        self.value = value

    def header(self) -> str:
        return self.value

    def renew(self, sent: str, challenge: str) -> bool:
        return False

    def fault(self, response: Response) -> Exception:
        return SourceError(f"own words for {response.status}")


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
