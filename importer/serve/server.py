"""The server: connections, limits, TLS and who may ask; what is answered is decided elsewhere.

A thread for each connection, and so many of them at most. A client that is slow to send its request
or to take its answer is let go.
"""

from __future__ import annotations

import re
import socket
import socketserver
import ssl
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from bundle.errors import DrayError, MediaIncomplete, NotTrusted, UsageError
from bundle.required import LEFT_OUT
from importer.serve.answer import Answer, Refused
from importer.serve.request import HEAD_LIMIT, BadRequest, Request, parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from importer.serve.answer import Registry
    from importer.serve.passwords import Passwords

CONNECTIONS = 64
"""Connections at once, of 8 MB each at most; containerd opens about ten for one image."""
PATIENCE = 30.0
"""Seconds for a request's head, and for the next request on a connection."""
SENDING = 60.0
"""Seconds for a client to take a block of a megabyte: 17 kB/s at least."""
GUESSING = 1.0
"""Seconds that a wrong password costs whoever sent it: no more than 64 a second in all."""
ENDING = 5.0
"""Seconds that transfers have to see that the server ends."""


_HANDSHAKE = b"\x16"
"""The first byte of TLS (RFC 8446, section 5.1)."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the access log. ``fault`` is what was wrong with the media, or with the request."""

    client: str
    request: str
    status: int
    sent: int
    seconds: float
    fault: DrayError | None = None


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """Serves a registry at ``address`` until :meth:`end`; raises :class:`UsageError` at first."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(
        self,
        address: tuple[str, int],
        registry: Registry,
        *,
        tls: ssl.SSLContext | None = None,
        passwords: Passwords | None = None,
        log: Callable[[Entry], object] = lambda _entry: None,
        patience: float = PATIENCE,
    ) -> None:
        self.registry, self.tls, self.passwords, self.log = registry, tls, passwords, log
        self.patience = patience
        self.stopping = threading.Event()
        self.open: set[socket.socket] = set()
        self._free = threading.BoundedSemaphore(CONNECTIONS)
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        try:
            super().__init__(address, Connection)
        except OSError as error:
            reason = (error.strerror or "no such address").lower()
            hint = "name another address or port with --listen; port 0 takes any that is free"
            raise UsageError(
                f"cannot listen at {address[0]}:{address[1]}: {reason}", hint=hint
            ) from None

    @property
    def url(self) -> str:
        """Where it is reached."""
        host, port = self.server_address[:2]
        shown = f"[{host!s}]" if ":" in str(host) else str(host)
        return f"{'https' if self.tls else 'http'}://{shown}:{port}"

    def process_request(self, request: Any, client_address: Any) -> None:
        """Give a connection a thread, or close it when there are too many."""
        if not self._free.acquire(timeout=1):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except RuntimeError:  # no more threads
            self._free.release()
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve one connection."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, _request: Any, client_address: Any) -> None:
        """Log what nobody foresaw, in one line: a server does not print tracebacks."""
        import sys  # noqa: PLC0415  (only here)

        kind = type(sys.exc_info()[1]).__name__
        fault = DrayError(f"an unexpected {kind}", hint="report this with the request of this line")
        self.log(Entry(str(client_address[0]), "-", 500, 0, 0.0, fault))

    def end(self) -> None:
        """Stop: no new connections, and transfers are cut between two blocks."""
        if self.stopping.is_set():
            return
        self.stopping.set()
        self.shutdown()
        self.server_close()
        for connection in list(self.open):
            with suppress(OSError):  # past TLS: whoever waits for a request gets none
                socket.socket.shutdown(connection, socket.SHUT_RD)
        deadline = time.monotonic() + ENDING
        for _number in range(CONNECTIONS):
            if not self._free.acquire(timeout=max(deadline - time.monotonic(), 0)):
                return


class Connection(socketserver.BaseRequestHandler):
    """One client: its requests, one after the other."""

    server: Server

    def handle(self) -> None:
        """Answer until the client or the server has enough."""
        connection: socket.socket = self.request
        connection.settimeout(self.server.patience)
        with suppress(OSError):  # whatever the client does with its connection is its own affair
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.server.tls:
                # Here, in its own thread: a client that is slow at it keeps nobody else waiting.
                connection = self.server.tls.wrap_socket(connection, server_side=True)
            self.server.open.add(connection)
            try:
                self._serve(connection)
            finally:
                self.server.open.discard(connection)
                if isinstance(connection, ssl.SSLSocket):
                    connection.close()

    def _serve(self, connection: socket.socket) -> None:
        rest = b""
        while not self.server.stopping.is_set():
            try:
                head, rest = read_head(connection, rest, self.server.patience)
                if not head:
                    return
                request = parse(head)
            except BadRequest as bad:
                refused = Refused(bad.status, "UNSUPPORTED", bad.reason)
                self._send(connection, None, refused.answer(), time.monotonic())
                return
            if not self._answer(connection, request):
                return

    def _answer(self, connection: socket.socket, request: Request) -> bool:
        """Answer one request; return whether another one may follow."""
        began, fault = time.monotonic(), None
        try:
            if self.server.passwords:
                self.server.passwords.check(request.headers.get("authorization", ""))
            answer = self.server.registry.answer(request)
            # With the first block in hand a blob that is bad and short still gets an error.
            answer = _begun(answer) if request.method == "GET" else answer
        except Refused as refused:
            answer = refused.answer()
            if refused.status == HTTPStatus.UNAUTHORIZED and "authorization" in request.headers:
                fault = self._guessed()
        except DrayError as error:
            answer, fault = _failure(error), error
        return self._send(connection, request, answer, began, fault)

    def _guessed(self) -> DrayError | None:
        """Let whoever guesses passwords wait; return a warning, ever more seldom."""
        self.server.stopping.wait(GUESSING)
        wrong = self.server.passwords.wrong if self.server.passwords else 0
        if wrong & (wrong - 1):
            return None
        return NotTrusted(
            f"{wrong} wrong passwords so far, the last from {self.client_address[0]}",
            hint="if it goes on, somebody guesses them",
        )

    def _send(
        self,
        connection: socket.socket,
        request: Request | None,
        answer: Answer,
        began: float,
        fault: DrayError | None = None,
    ) -> bool:
        keep = request is not None and request.keep and answer.status < 500
        body = () if request and request.method == "HEAD" else answer.body
        sent, complete = 0, False
        connection.settimeout(SENDING)
        try:
            connection.sendall(spelt(answer, keep=keep))
            for block in body:
                if self.server.stopping.is_set():
                    break
                connection.sendall(block)
                sent += len(block)
            complete = not body or sent == answer.size
        except DrayError as error:
            fault = error
        finally:
            self._log(request, answer.status, sent, time.monotonic() - began, fault)
        if not complete:
            _cut(connection)
        return keep and complete

    def _log(
        self,
        request: Request | None,
        status: int,
        sent: int,
        seconds: float,
        fault: DrayError | None,
    ) -> None:
        # An absolute target may hold a name and a password.
        target = re.sub(r"//[^/@?#]*@", "//", request.target) if request else ""
        line = f"{request.method} {target}" if request else "-"
        entry = Entry(str(self.client_address[0]), line[:1000], status, sent, seconds, fault)
        self.server.log(entry)


def read_head(connection: socket.socket, rest: bytes, patience: float) -> tuple[bytes, bytes]:
    """Return a request's head with its empty line, and what came after it.

    Nothing when the client has closed. Raises :class:`BadRequest` for a head that is too long, and
    ``OSError`` when it takes longer than ``patience`` seconds, however many bytes come.
    """
    deadline, found = time.monotonic() + patience, bytearray(rest)
    while (end := found.find(b"\r\n\r\n")) < 0:
        if len(found) > HEAD_LIMIT:
            raise BadRequest(431, "the request's head is too long")
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        connection.settimeout(left)
        block = connection.recv(16 << 10)
        if not block:
            return b"", b""
        found += block
        while found.startswith(b"\r\n"):  # RFC 9112, section 2.2
            del found[:2]
        if found[:1] == _HANDSHAKE:
            # Clients that try TLS first wait ten seconds for an answer.
            raise BadRequest(400, "TLS is not spoken here")
    if end > HEAD_LIMIT:
        raise BadRequest(431, "the request's head is too long")
    return bytes(found[: end + 4]), bytes(found[end + 4 :])


def spelt(answer: Answer, *, keep: bool) -> bytes:
    """Return an answer's line and headers."""
    status = HTTPStatus(answer.status)
    lines = [f"HTTP/1.1 {answer.status} {status.phrase}"]
    lines.append("Docker-Distribution-Api-Version: registry/2.0")
    lines += [f"{name}: {value}" for name, value in answer.headers.items()]
    if answer.status != HTTPStatus.NOT_MODIFIED:
        lines.append(f"Content-Length: {answer.size}")
    lines += ["X-Content-Type-Options: nosniff", f"Connection: {'keep-alive' if keep else 'close'}"]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def _begun(answer: Answer) -> Answer:
    blocks = iter(answer.body)
    first = next(blocks, b"")
    return Answer(answer.status, answer.headers, _chained(first, blocks), answer.size)


def _chained(first: bytes, rest: Iterable[bytes]) -> Iterator[bytes]:
    if first:
        yield first
    yield from rest


def _failure(error: DrayError) -> Answer:
    """Say that the media are at fault; which file it is, is for the server's own people."""
    if error.case == LEFT_OUT:  # no medium of this bundle will ever bring it
        return Refused(404, "BLOB_UNKNOWN", error.message).answer()
    if isinstance(error, MediaIncomplete):
        return Refused(503, "UNAVAILABLE", "what it is stored on is not here").answer()
    return Refused(500, "UNKNOWN", "what is stored here is not what was verified").answer()


def _cut(connection: socket.socket) -> None:
    """End a connection so that nobody takes what was sent for all of it."""
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
