"""A registry that has one image of any size and no disk: makes its layer up, forgets uploads."""

from __future__ import annotations

import hashlib
import re
import threading
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import parse_qs, urlsplit

from bundle.digest import BLOCK
from fixtures import content

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fixtures.content import Blob, Graph

REPOSITORY = "bench/large"
TAG = "1.0"


@contextmanager
def serve(size: int) -> Iterator[str]:
    """Serve an image with one layer of ``size`` bytes on loopback; yield ``host:port``.

    The layer is no archive: nobody who copies blobs looks inside. Uploads are hashed and dropped.
    """
    layer = content.blob(content.Generated(f"large-{size}", size), content.OCI_LAYER)
    graph = content.image([layer])

    class Handler(_Handler):
        image = graph
        blobs: ClassVar[dict[str, Blob]] = {str(blob.digest): blob for blob in graph.blobs}
        pushed: ClassVar[dict[str, tuple[str, bytes]]] = {}

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, name="endless")
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def reference(host: str) -> str:
    """Return the image's name at a server."""
    return f"{host}/{REPOSITORY}:{TAG}"


class _Handler(BaseHTTPRequestHandler):
    """The few requests of the OCI distribution-spec that a pull and a push need."""

    protocol_version = "HTTP/1.1"
    image: ClassVar[Graph]
    blobs: ClassVar[dict[str, Blob]]
    pushed: ClassVar[dict[str, tuple[str, bytes]]]

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """Answer with a manifest or a blob; a push goes to another repository, which has none."""
        path = urlsplit(self.path).path
        if path == "/v2/":
            self._answer(200)
        elif found := self._manifest(path):
            kind, data = found
            digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
            self._answer(200, data, {"Content-Type": kind, "Docker-Content-Digest": digest})
        elif path.startswith(f"/v2/{REPOSITORY}/blobs/") and (
            blob := self.blobs.get(path.rpartition("/")[2])
        ):
            self._send(blob)
        else:
            self._answer(404)

    def do_HEAD(self) -> None:
        """Answer as to GET, without the body."""
        self.do_GET()

    def do_POST(self) -> None:
        """Begin an upload; a mount becomes one too."""
        self._answer(202, headers={"Location": f"{urlsplit(self.path).path}one"})

    def do_PUT(self) -> None:
        """Take a manifest, or hash an upload and drop it."""
        address = urlsplit(self.path)
        left, sha, kept = int(self.headers["Content-Length"]), hashlib.sha256(), b""
        while left and (block := self.rfile.read(min(left, BLOCK))):
            left -= len(block)
            sha.update(block)
            kept = block
        digest = f"sha256:{sha.hexdigest()}"
        if "/manifests/" in address.path:
            entry = (self.headers["Content-Type"], kept)
            base = address.path.rpartition("/")[0]
            self.pushed[address.path] = self.pushed[f"{base}/{digest}"] = entry
        elif parse_qs(address.query).get("digest") != [digest]:
            self._answer(400)
            return
        self._answer(201, headers={"Docker-Content-Digest": digest})

    def _manifest(self, path: str) -> tuple[str, bytes] | None:
        own = self.image.manifest
        if path in {f"/v2/{REPOSITORY}/manifests/{end}" for end in (TAG, own.digest)}:
            return own.media_type, own.read()
        return self.pushed.get(path)

    def _send(self, blob: Blob) -> None:
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        start = int(asked[1]) if asked else 0
        end = min(int(asked[2]) + 1, blob.size) if asked and asked[2] else blob.size
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(end - start))
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{blob.size}")
        self.end_headers()
        if self.command == "HEAD":
            return
        with suppress(ConnectionError):
            for block in blob.data.blocks(start, end):
                self.wfile.write(block)

    def _answer(
        self, status: int, data: bytes = b"", headers: dict[str, str] | None = None
    ) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)
