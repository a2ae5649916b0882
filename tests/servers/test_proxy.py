"""The fault proxy passes bytes on unchanged, counts them, and breaks what it is told to break."""

from __future__ import annotations

import socket
import socketserver
import threading
from typing import TYPE_CHECKING

import pytest
import requests

from tests.servers import proxy as proxies

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.servers.proxy import FaultProxy
    from tests.servers.registry import Registry

SIZE = 300_000
PAYLOAD = bytes(range(250)) * (SIZE // 250)


class Fountain(socketserver.BaseRequestHandler):
    """Sends the payload to whoever sends a byte, then reads to the end of what comes."""

    received: list[int]

    def handle(self) -> None:
        count = len(self.request.recv(1))
        try:
            self.request.sendall(PAYLOAD)
            while data := self.request.recv(65536):
                count += len(data)
        except OSError:
            pass
        self.received.append(count)


@pytest.fixture
def fountain() -> Iterator[tuple[FaultProxy, list[int]]]:
    """A proxy in front of a fountain, and how many bytes each of its connections received."""
    received: list[int] = []
    handler = type("Handler", (Fountain,), {"received": received})
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = False  # so that closing it waits until all counts are in
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            with proxies.serve(server.server_address[1]) as proxy:
                yield proxy, received
        finally:
            server.shutdown()
            thread.join()


def drink(proxy: FaultProxy) -> bytes:
    """Connect, and return all that comes before the connection ends; a reset raises."""
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as client:
        client.sendall(b"x")
        client.shutdown(socket.SHUT_WR)
        taken = bytearray()
        while data := client.recv(65536):
            taken += data
        return bytes(taken)


def test_bytes_pass_unchanged_and_are_counted(fountain: tuple[FaultProxy, list[int]]) -> None:
    proxy, _ = fountain
    assert drink(proxy) == PAYLOAD
    assert drink(proxy) == PAYLOAD
    assert proxy.bytes == {"up": 2, "down": 2 * SIZE}
    assert proxy.connections == 2


@pytest.mark.parametrize("after", [0, 1, 70_000, SIZE - 1])
def test_a_cut_lets_exactly_so_many_bytes_through(
    fountain: tuple[FaultProxy, list[int]], after: int
) -> None:
    proxy, _ = fountain
    proxy.cut(after)
    assert drink(proxy) == PAYLOAD[:after]
    assert proxy.fired == 1
    assert drink(proxy) == PAYLOAD


def test_cuts_repeat_and_count_over_connections(fountain: tuple[FaultProxy, list[int]]) -> None:
    proxy, _ = fountain
    proxy.cut(SIZE + 100, times=2)
    assert [len(drink(proxy)) for _ in range(5)] == [SIZE, 100, SIZE, 100, SIZE]


def test_a_reset_is_an_error_and_not_an_end(fountain: tuple[FaultProxy, list[int]]) -> None:
    proxy, _ = fountain
    proxy.cut(1000, reset=True)
    with pytest.raises(ConnectionResetError):
        drink(proxy)


def test_an_upload_is_cut_where_told(fountain: tuple[FaultProxy, list[int]]) -> None:
    proxy, received = fountain
    proxy.cut(5000, "up")
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as client:
        try:
            client.sendall(bytes(2_000_000))
            while client.recv(65536):
                pass
        except OSError:
            pass
    assert proxy.bytes["up"] == 5000
    assert drink(proxy) == PAYLOAD
    assert max(received, default=0) <= 5000


def test_a_stalled_connection_stays_open_until_released(
    fountain: tuple[FaultProxy, list[int]],
) -> None:
    proxy, _ = fountain
    proxy.stall(1000)
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=0.3) as client:
        client.sendall(b"x")
        assert _exactly(client, 1000) == PAYLOAD[:1000]
        with pytest.raises(TimeoutError):
            client.recv(1)
        client.settimeout(10)
        proxy.release()
        assert _exactly(client, SIZE - 1000) == PAYLOAD[1000:]


def _exactly(client: socket.socket, count: int) -> bytes:
    taken = bytearray()
    while len(taken) < count:
        data = client.recv(count - len(taken))
        assert data
        taken += data
    return bytes(taken)


def test_a_kill_resets_what_is_open_and_no_more(fountain: tuple[FaultProxy, list[int]]) -> None:
    proxy, _ = fountain
    proxy.stall(1000)
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as client:
        client.sendall(b"x")
        _exactly(client, 1000)
        proxy.kill()
        with pytest.raises(ConnectionResetError):
            _exactly(client, SIZE)
    proxy.clear()
    assert drink(proxy) == PAYLOAD


def test_a_call_comes_at_its_byte(fountain: tuple[FaultProxy, list[int]]) -> None:
    proxy, _ = fountain
    seen: list[int] = []
    proxy.call(123_456, lambda: seen.append(proxy.bytes["down"]))
    assert drink(proxy) == PAYLOAD
    assert seen == [123_456]


def test_a_refusing_proxy_accepts_again_on_its_port(
    fountain: tuple[FaultProxy, list[int]],
) -> None:
    proxy, _ = fountain
    port = proxy.port
    proxy.refuse()
    with pytest.raises(ConnectionRefusedError):
        drink(proxy)
    proxy.accept()
    assert proxy.port == port
    assert drink(proxy) == PAYLOAD


def test_a_server_that_is_down_looks_down_through_the_proxy(
    fault_proxy: Callable[[int], FaultProxy],
) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # bound and not listening: the kernel refuses
        proxy = fault_proxy(nobody.getsockname()[1])
        with pytest.raises(requests.exceptions.ConnectionError):
            requests.get(f"http://{proxy.host}/", timeout=10)
    assert proxy.connections == 1


def test_tls_goes_through_and_is_cut(
    registry_tls: Registry, fault_proxy: Callable[[int], FaultProxy]
) -> None:
    proxy = fault_proxy(registry_tls.port)
    url = f"https://{proxy.host}/v2/"
    with requests.get(url, verify=str(registry_tls.ca), timeout=10) as answer:
        assert answer.status_code == 200
    proxy.cut(200)
    with pytest.raises(requests.exceptions.ConnectionError):
        requests.get(url, verify=str(registry_tls.ca), timeout=10)
    with requests.get(url, verify=str(registry_tls.ca), timeout=10) as answer:
        assert answer.status_code == 200
