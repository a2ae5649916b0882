"""An HTTP server on loopback that answers as a test scripts it, lies and cuts included."""

from __future__ import annotations

import ssl
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from email.message import Message

    from tests.servers.ca import Authority

    Script = Callable[["Asked"], "Reply"]


@dataclass
class Asked:
    """A request as it arrived; ``whole`` tells whether its body came to the announced end."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: Message[str, str]
    body: bytes = b""
    whole: bool = True

    @property
    def authorization(self) -> str:
        """The credential that was sent, or nothing."""
        return self.headers.get("Authorization", "")


@dataclass(frozen=True)
class Reply:
    """An answer. ``cut`` closes the connection after so many bytes of the body were sent."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: int | None = None


HANG_UP = Reply(0)
"""No answer at all: the connection is closed."""


class Faulty:
    """The running server: ``seen`` is every request so far, ``script`` answers the next."""

    def __init__(self, scheme: str, port: int) -> None:
        self.host = f"127.0.0.1:{port}"
        self.url = f"{scheme}://{self.host}"
        self.seen: list[Asked] = []
        self.script: Script = lambda _asked: Reply(404)
        self.released = threading.Event()

    def answers(self, *replies: Reply) -> None:
        """Give these answers in turn; the last one stays."""
        left = list(replies)
        self.script = lambda _asked: left.pop(0) if len(left) > 1 else left[0]

    def paths(self) -> list[str]:
        """Return method and path of every request so far."""
        return [f"{asked.method} {asked.path}" for asked in self.seen]


def ranged(asked: Asked, data: bytes) -> Reply:
    """Answer a closed or open range of ``data`` as a good server does."""
    wanted = asked.headers.get("Range", "")
    if not wanted:
        return Reply(200, data)
    first, _, last = wanted.removeprefix("bytes=").partition("-")
    start, end = int(first), int(last or len(data) - 1) + 1
    if start >= len(data):
        return Reply(416)
    part = data[start:end]
    header = f"bytes {start}-{start + len(part) - 1}/{len(data)}"
    return Reply(206, part, {"Content-Range": header})


@contextmanager
def serve(tls: Authority | None = None) -> Iterator[Faulty]:
    """Run the server on a free port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 20

        def handle_one_request(self) -> None:
            with suppress(OSError):
                super().handle_one_request()
                return
            self.close_connection = True

        def answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length)
            parts = urlsplit(self.path)
            query = parse_qs(parts.query, keep_blank_values=True)
            asked = Asked(self.command, parts.path, query, self.headers, body)
            asked.whole = len(body) == length
            state.seen.append(asked)
            self.send(state.script(asked))

        def send(self, reply: Reply) -> None:
            self.close_connection = reply.status == 0 or reply.cut is not None
            if reply.status == 0:
                return
            self.send_response(reply.status)
            headers = {"Content-Length": str(len(reply.body)), **reply.headers}
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(reply.body[: reply.cut])

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = answer  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Say nothing: what happened is in ``seen``."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """Clients of these tests hang up as they like."""

    with Server(("127.0.0.1", 0), Handler) as server:
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tls.cert, tls.key)
            server.socket = context.wrap_socket(
                server.socket, server_side=True, do_handshake_on_connect=False
            )
        state = Faulty("https" if tls else "http", server.server_port)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield state
        finally:
            state.released.set()
            server.shutdown()
            thread.join()
