"""A server that sends a byte now and then is not silent, and comes to its end all the same."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import pytest

from bundle import patience
from bundle.errors import SourceError
from bundle.http import Http, Interrupted

if TYPE_CHECKING:
    from collections.abc import Iterator

LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"
UNTIL_CLOSED = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@contextmanager
def dripping(at_once: bytes, drop: bytes) -> Iterator[str]:
    """Yield the URL of a server that sends ``at_once``, and then ``drop`` for ever.

    Which is ten seconds: whoever waits so long has no patience to lose, and the test is red.
    """
    stopping, end = threading.Event(), time.monotonic() + 10
    with socket.create_server(("127.0.0.1", 0)) as door:

        def run() -> None:
            connection, _client = door.accept()
            with connection, suppress(OSError):
                connection.recv(4096)
                connection.sendall(at_once)
                while not stopping.wait(0.02) and time.monotonic() < end:
                    connection.sendall(drop)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield f"http://127.0.0.1:{door.getsockname()[1]}/blob"
        finally:
            stopping.set()
            thread.join()


@pytest.fixture
def http(monkeypatch: pytest.MonkeyPatch) -> Iterator[Http]:
    monkeypatch.setattr(patience, "TICK", 0.1)
    monkeypatch.setattr(patience, "SLOWEST", 0.3)
    monkeypatch.setattr(patience, "HEAD", 0.005)  # of a minute
    made = Http(retries=0)
    yield made
    made.close()


@pytest.mark.parametrize(
    ("head", "drop"),
    [(LENGTH, b"x"), (UNTIL_CLOSED, b"x"), (CHUNKED, b"1\r\nx\r\n")],
    ids=["with a length", "without one", "in chunks"],
)
def test_a_body_that_drips_is_given_up(http: Http, head: bytes, drop: bytes) -> None:
    began = time.monotonic()
    with (
        dripping(head, drop) as url,
        pytest.raises(Interrupted, match="too slowly"),
        http.stream(url) as blocks,
    ):
        list(blocks)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("head", "drop"),
    [(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"), (b"", b"H")],
    ids=["interim answers", "headers", "a status line"],
)
def test_a_head_that_never_ends_is_given_up(http: Http, head: bytes, drop: bytes) -> None:
    began = time.monotonic()
    with dripping(head, drop) as url, pytest.raises(SourceError, match="no answer in time"):
        http.request("GET", url)
    assert time.monotonic() - began < 5


def test_what_takes_its_time_and_ends_is_whole(http: Http) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
    with dripping(answer, b"x") as url, http.stream(url) as blocks:
        assert b"".join(blocks) == b"xxxxx"
