"""A TCP proxy that breaks connections on purpose: works through TLS, since it never reads along."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections import deque
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

Direction = Literal["up", "down"]
"""``up``: from the client to the server, ``down``: back."""

_RESET = struct.pack("ii", 1, 0)  # SO_LINGER on, zero seconds: closing sends a reset
_BLOCK = 1 << 16


class _Link:
    """One client's connection and the one to the server that belongs to it."""

    def __init__(self, *ends: asyncio.StreamWriter) -> None:
        self._ends = ends

    def cut(self, *, reset: bool) -> None:
        """Close both ends: after what was passed on so far, or at once with a reset."""
        for end in self._ends:
            if not reset:
                end.close()
                continue
            raw = end.get_extra_info("socket")
            with suppress(OSError):  # closed by the peer already
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            end.transport.abort()


class FaultProxy:
    """A loopback port in front of another; faults are armed from the test's thread.

    Rules of one direction fire one after the other; each counts the bytes that pass in that
    direction, over all connections, since the rule before it fired (or since it was armed). So
    ``cut(1000, times=3)`` breaks whichever connection carries the thousandth byte, then the one
    that carries the next thousandth, and so on.
    """

    def __init__(self, port: int) -> None:
        self.port = 0
        self.connections = 0
        """How many were accepted so far."""
        self.bytes: dict[Direction, int] = {"up": 0, "down": 0}
        """How many were passed on so far."""
        self.fired = 0
        """How many rules have fired so far."""
        self._upstream = port
        self._rules: dict[Direction, deque[tuple[int, Callable[[_Link], object]]]]
        self._rules = {"up": deque(), "down": deque()}
        self._since: dict[Direction, int] = {"up": 0, "down": 0}
        self._links: set[_Link] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._lock = threading.Lock()
        self._server: asyncio.Server | None = None

    @property
    def host(self) -> str:
        """What takes the place of the server's ``127.0.0.1:port``."""
        return f"127.0.0.1:{self.port}"

    def cut(
        self, after: int, direction: Direction = "down", *, times: int = 1, reset: bool = False
    ) -> None:
        """Cut a connection when ``after`` bytes have passed: exactly those arrive, unless reset."""
        for _ in range(times):
            self._arm(after, direction, lambda link: link.cut(reset=reset))

    def stall(self, after: int, direction: Direction = "down", *, times: int = 1) -> None:
        """Pass no more on a connection after ``after`` bytes, and leave it open until released."""
        for _ in range(times):
            self._arm(after, direction, lambda _link: self._open.clear())

    def call(self, after: int, action: Callable[[], object], direction: Direction = "down") -> None:
        """Call ``action`` (from the proxy's thread) when ``after`` bytes have passed."""
        self._arm(after, direction, lambda _link: action())

    def clear(self) -> None:
        """Forget rules that have not fired, and let stalled connections go on."""
        with self._lock:
            for rules in self._rules.values():
                rules.clear()
        self.release()

    def release(self) -> None:
        """Let stalled connections go on."""
        self._loop.call_soon_threadsafe(self._open.set)

    def kill(self) -> None:
        """Reset all connections that are open now."""
        self._do(self._kill())

    def refuse(self) -> None:
        """Refuse new connections from now on, as a server that is down."""
        self._do(self._unlisten())

    def vanish(self) -> None:
        """Reset all connections and refuse new ones from now on; an action may call it."""
        for work in (self._unlisten(), self._kill()):
            asyncio.run_coroutine_threadsafe(work, self._loop)

    def accept(self) -> None:
        """Accept connections again, on the same port."""
        self._do(self._listen())

    def _arm(self, after: int, direction: Direction, action: Callable[[_Link], object]) -> None:
        with self._lock:
            if not self._rules[direction]:
                self._since[direction] = 0
            self._rules[direction].append((after, action))

    def _do(self, work: Coroutine[None, None, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _kill(self) -> None:
        for link in list(self._links):
            link.cut(reset=True)

    async def _unlisten(self) -> None:
        if self._server:
            self._server.close()
        self._server = None

    async def _listen(self) -> None:
        if not self._server:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task
        self._tasks.add(task)
        try:
            there, to_server = await asyncio.open_connection("127.0.0.1", self._upstream)
        except OSError:
            writer.transport.abort()
            return
        link = _Link(writer, to_server)
        self._links.add(link)
        try:
            await asyncio.gather(
                self._pump(reader, to_server, "up", link), self._pump(there, writer, "down", link)
            )
        finally:
            link.cut(reset=False)
            self._links.discard(link)
            self._tasks.discard(task)

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        direction: Direction,
        link: _Link,
    ) -> None:
        try:
            while data := await reader.read(_BLOCK):
                while data and not writer.is_closing():
                    count, action = self._next(direction, len(data))
                    writer.write(data[:count])
                    self.bytes[direction] += count
                    await writer.drain()
                    data = data[count:]
                    if action:
                        action(link)
                        self.fired += 1
                        await self._open.wait()
            if not writer.is_closing():
                writer.write_eof()
        except OSError:
            link.cut(reset=True)

    def _next(
        self, direction: Direction, count: int
    ) -> tuple[int, Callable[[_Link], object] | None]:
        """Return how many of ``count`` bytes pass now, and the rule that fires behind them."""
        with self._lock:
            rules = self._rules[direction]
            left = rules[0][0] - self._since[direction] if rules else count + 1
            if left > count:
                self._since[direction] += count
                return count, None
            self._since[direction] = 0
            return left, rules.popleft()[1]

    async def _main(self, ready: threading.Event) -> None:
        self._loop, self._open = asyncio.get_running_loop(), asyncio.Event()
        self._open.set()
        self._stopping = asyncio.Event()
        await self._listen()
        ready.set()
        await self._stopping.wait()
        await self._unlisten()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@contextmanager
def serve(port: int) -> Iterator[FaultProxy]:
    """Run a proxy in front of a loopback port."""
    proxy, ready = FaultProxy(port), threading.Event()
    thread = threading.Thread(target=asyncio.run, args=(proxy._main(ready),), daemon=True)
    thread.start()
    if not ready.wait(10):
        raise TimeoutError("the proxy did not start")
    try:
        yield proxy
    finally:
        proxy._loop.call_soon_threadsafe(proxy._stopping.set)
        thread.join()
