"""A registry on loopback with the locked images, for one scanner at a time: nothing is stored.

It asks the upstreams with dray's own logins, so that the scanner needs none, and compares every
byte with the lock, so that what is scanned is what will be exported. Source: OCI distribution-spec,
"Pull"; only what is asked for by digest is there.
"""

from __future__ import annotations

import base64
import hmac
import re
import secrets
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from bundle.artifact import MANIFEST_ROLES
from bundle.digest import verified
from bundle.errors import DrayError
from bundle.transfer import resume

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bundler.blobs import Opener
    from bundler.lock import LockedArtifact, LockedContent

_PATH = re.compile(r"/v2/([a-z0-9._/-]{1,300})/(manifests|blobs)/(sha256:[0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Login:
    """Where the door is, and what opens it: other users of this host must not read through it."""

    address: str
    user: str
    password: str

    def reference(self, locked: LockedArtifact, digest: str) -> str:
        """Return what a scanner is told to scan."""
        return f"{self.address}/{_repository(locked)}@{digest}"


class Door(ThreadingHTTPServer):
    """``fault`` is what an upstream failed with, the last of it."""

    daemon_threads = True

    def __init__(self, locked: LockedArtifact, opener: Opener, on_bytes: Callable[[int], object]):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.locked, self.opener, self.on_bytes = locked, opener, on_bytes
        self.repository = _repository(locked)
        self.login = Login(f"127.0.0.1:{self.server_port}", "dray", secrets.token_urlsafe(24))
        self.fault: DrayError | None = None

    def find(self, path: str) -> LockedContent | None:
        """Return what a path names, if it is in the lock."""
        match = _PATH.fullmatch(path)
        if not match or match[1] != self.repository:
            return None
        content = {str(d): source for d, source in self.locked.sources.items()}.get(match[3])
        is_manifest = content is not None and content.content.role in MANIFEST_ROLES
        return content if is_manifest == (match[2] == "manifests") else None

    def blocks(self, source: LockedContent) -> Iterator[bytes]:
        """Yield a content, the last block only after its digest has matched."""
        what = f"{self.locked.artifact.name}: {source.content.digest.short}"
        size, digest = source.content.size, source.content.digest
        if source.text is not None:
            stream: Iterator[bytes] = iter([source.text.encode()])
        else:
            stream = resume(self.opener(self.locked, source), size=size, what=what)
        return verified(stream, digest=digest, size=size, what=what)

    def handle_error(self, _request: object, _address: object) -> None:
        """Say nothing: a scanner that goes away has its own words."""


class _Handler(BaseHTTPRequestHandler):
    server: Door
    protocol_version = "HTTP/1.1"
    timeout = 120

    def log_message(self, *_what: object) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        """Answer without a body."""
        self._answer(body=False)

    def do_GET(self) -> None:
        """Answer."""
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        pair = f"{self.server.login.user}:{self.server.login.password}".encode()
        wanted = b"Basic " + base64.b64encode(pair)
        if not hmac.compare_digest(self.headers.get("Authorization", "").encode(), wanted):
            self._short(401, {"WWW-Authenticate": 'Basic realm="dray"'})
        elif self.path in {"/v2", "/v2/"}:
            self._short(200, {"Docker-Distribution-API-Version": "registry/2.0"})
        elif source := self.server.find(self.path):
            self._send(source, body=body)
        else:
            self._short(404, {})

    def _short(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": "0"}.items():
            self.send_header(name, value)
        self.end_headers()

    def _send(self, source: LockedContent, *, body: bool) -> None:
        content = source.content
        self.send_response(200)
        self.send_header("Content-Type", content.media_type)
        self.send_header("Content-Length", str(content.size))
        self.send_header("Docker-Content-Digest", str(content.digest))
        self.end_headers()
        if not body:
            return
        try:
            for block in self.server.blocks(source):
                self.wfile.write(block)
                self.server.on_bytes(len(block))
        except DrayError as error:
            self.server.fault = error
            self.close_connection = True  # too few bytes: the scanner must fail


@contextmanager
def opened(
    locked: LockedArtifact, opener: Opener, on_bytes: Callable[[int], object] = lambda _count: None
) -> Iterator[Door]:
    """Open the door for as long as one image is scanned."""
    with Door(locked, opener, on_bytes) as door:
        thread = threading.Thread(target=door.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield door
        finally:
            door.shutdown()
            thread.join()


def _repository(locked: LockedArtifact) -> str:
    text: Any = locked.artifact.repository.lower()
    return re.sub(r"[^a-z0-9._/-]", "-", str(text))
