"""Ends what a server draws out: a byte now and then is no silence, and would go on for ever."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import contextmanager, suppress
from http.client import HTTPException
from typing import TYPE_CHECKING, Any

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from urllib3.poolmanager import PoolManager
    from urllib3.response import BaseHTTPResponse, HTTPResponse

SLOWEST = 600.0
"""Seconds for a block of 1 MiB of a body: 1.7 kB/s. Nobody has waited for a terabyte at that."""
HEAD = 2.0
"""How often a head may take as long as a server may be silent: interim answers come before it."""
TOO_SLOW = "it came too slowly to ever end"
TICK = 1.0
"""Seconds between two looks at what is watched."""


class Watch:
    """One thread that ends whatever takes longer than it may; without anything, it sleeps."""

    def __init__(self) -> None:
        self._ends: dict[object, tuple[float, Callable[[], object]]] = {}
        self._waits = threading.Condition()
        self._thread: threading.Thread | None = None
        self._asleep = False

    @contextmanager
    def limit(self, seconds: float, end: Callable[[], object]) -> Iterator[None]:
        """Call ``end``, in another thread, when the body of this takes longer than ``seconds``."""
        token = object()
        with self._waits:
            self._ends[token] = (time.monotonic() + seconds, end)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="patience", daemon=True)
                self._thread.start()
            elif self._asleep:  # not for each block: waking it costs as much as a block
                self._waits.notify()
        try:
            yield
        finally:
            with self._waits:
                self._ends.pop(token, None)

    def _run(self) -> None:
        with self._waits:
            while True:
                self._asleep = not self._ends
                self._waits.wait(None if self._asleep else TICK)
                now = time.monotonic()
                for token, (when, end) in list(self._ends.items()):
                    if when <= now:
                        del self._ends[token]
                        end()


WATCH = Watch()


def hang_up(connection: socket.socket | None) -> None:
    """Have whoever reads from a connection find its end."""
    if connection is not None:
        with suppress(OSError):
            # Past TLS: an SSLSocket would go on with what is not decrypted.
            socket.socket.shutdown(connection, socket.SHUT_RD)


def _headed(read: Callable[[Any], HTTPResponse]) -> Any:
    def getresponse(self: HTTPConnection) -> HTTPResponse:
        connection, silence = self.sock, self.timeout or SLOWEST
        late = threading.Event()

        def end() -> None:
            late.set()
            hang_up(connection)

        try:
            with WATCH.limit(HEAD * silence, end):
                answer = read(self)
        except (HTTPException, OSError):
            if late.is_set():
                raise TimeoutError from None
            raise
        if late.is_set():  # an end among the headers is one for http.client
            answer.close()
            raise TimeoutError
        answer.dray_socket = connection  # type: ignore[attr-defined]  # http.client lets go of it
        return answer

    return getresponse


class _Plain(HTTPConnection):
    getresponse = _headed(HTTPConnection.getresponse)


class _Secure(HTTPSConnection):
    getresponse = _headed(HTTPSConnection.getresponse)


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _Plain


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _Secure


class Adapter(HTTPAdapter):
    """Requests' adapter, whose heads come to their end, with and without a proxy."""

    def init_poolmanager(self, *arguments: Any, **named: Any) -> None:
        """Make the connections' pools."""
        super().init_poolmanager(*arguments, **named)
        _impatient(self.poolmanager)

    def proxy_manager_for(self, *arguments: Any, **named: Any) -> Any:
        """Return the pools of connections by way of a proxy."""
        manager = super().proxy_manager_for(*arguments, **named)
        _impatient(manager)
        return manager


def _impatient(manager: PoolManager) -> None:
    manager.pool_classes_by_scheme = {"http": _PlainPool, "https": _SecurePool}


class Drawn:
    """The body of an answer; a block that takes too long is its end, and :attr:`late` says so."""

    def __init__(self, raw: BaseHTTPResponse) -> None:
        self._raw = raw
        self.late = False

    def read(self, size: int, *, decode: bool) -> bytes:
        """Read up to ``size`` bytes."""
        with WATCH.limit(SLOWEST, self._end):
            return self._raw.read(size, decode_content=decode)

    def _end(self) -> None:
        self.late = True
        hang_up(getattr(self._raw, "dray_socket", None))
