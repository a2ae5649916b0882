"""A small web server for what the emulated NGC does not do: any answer at any path."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass
class Page:
    """An answer; ``ranges`` and ``head`` say whether the server knows ranges and HEAD."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    ranges: bool = True
    head: bool = True


@dataclass
class Web:
    """A running server: ``base`` is its URL, ``pages`` its answers, ``asked`` what came."""

    base: str
    pages: dict[str, Page] = field(default_factory=dict)
    asked: list[tuple[str, str, str]] = field(default_factory=list)

    @property
    def host(self) -> str:
        return self.base.partition("://")[2]


@contextmanager
def serve() -> Iterator[Web]:
    """Serve on loopback, over plain HTTP, until the end of the ``with``."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    web = server.web = Web(f"http://127.0.0.1:{server.server_port}")  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield web
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 5

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        self._answer(head=True)

    def do_GET(self) -> None:
        self._answer(head=False)

    def _answer(self, *, head: bool) -> None:
        web: Web = self.server.web  # type: ignore[attr-defined]
        authorization = self.headers.get("Authorization", "")
        web.asked.append((self.command, self.path, authorization))
        page = web.pages.get(self.path, Page(status=404))
        if head and not page.head:
            page = Page(status=405)
        body, status, headers = page.body, page.status, dict(page.headers)
        asked = self.headers.get("Range", "").removeprefix("bytes=")
        if asked and page.ranges and status == 200:
            first, _, last = asked.partition("-")
            end = min(int(last or len(body)) + 1, len(body))
            headers["Content-Range"] = f"bytes {first}-{end - 1}/{len(body)}"
            body, status = body[int(first) : end], 206
            if not body:
                headers["Content-Range"], status = f"bytes */{len(page.body)}", 416
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        if not head:
            self.wfile.write(body)
