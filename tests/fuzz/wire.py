"""A registry of any bytes for the fuzz targets: the real client over answers from the input.

The input is a row of answers, each with a line that holds a blank and a status, lines of headers,
an empty line and a body, with a line ``====`` between two of them. The last of them stays. What the
client sends is watched: a credential goes to its own host alone, and nothing goes over plain HTTP.
"""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any, Final

import requests
from requests.adapters import BaseAdapter
from urllib3 import HTTPResponse
from urllib3._collections import HTTPHeaderDict

from bundle import hosts, wire
from bundle.credentials import Credentials
from bundle.http import Host, Http

if TYPE_CHECKING:
    from bundle.errors import TransferError

NAME: Final = "reg.example"
SECRET: Final = "hunter2-is-secret"
LOGIN: Final = Credentials("user", SECRET, origin="a test")
BETWEEN: Final = b"\n====\n"
LINE: Final = 65_000
"""Bytes of a header: http.client takes no line of more than 65,536."""
_MOST: Final = 40
"""Requests that the answers of one input are given to; after these the line is dead."""


def client(data: bytes, error: type[TransferError]) -> Http:
    """Return a client of :data:`NAME` which gets the answers in ``data``."""
    http = Http({NAME: Host(plain_http=False)}, error=error, retries=1, sleep=lambda _: None)
    vars(wire)["get_environ_proxies"] = lambda *_: {}  # half of the time goes there
    http.wire.session.mount("https://", _Line(data))
    http.wire.session.mount("http://", _Plain())
    return http


class _Line(BaseAdapter):
    """Takes requests and gives the next answer."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self._left = data.split(BETWEEN)
        self._asked = 0

    def send(self, request: requests.PreparedRequest, *_how: Any, **_more: Any) -> Any:
        self._asked += 1
        _watch(request)
        for _block in _sent(request.body):
            pass
        if self._asked > _MOST:
            raise requests.ConnectionError
        answer = self._left.pop(0) if len(self._left) > 1 else self._left[0]
        return _response(answer, str(request.method))

    def close(self) -> None:
        """Do nothing."""


class _Plain(BaseAdapter):
    """Plain HTTP, over which nothing may go."""

    def send(self, request: requests.PreparedRequest, *_how: Any, **_more: Any) -> Any:
        raise AssertionError(f"over plain HTTP: {request.url}")

    def close(self) -> None:
        """Do nothing."""


def _watch(request: requests.PreparedRequest) -> None:
    ours = hosts.origin(str(request.url)) == ("https", NAME, 443)
    text = f"{request.url} {request.headers}"
    assert SECRET not in text
    assert ours or not ("Authorization" in request.headers or LOGIN.basic in text), text


def _sent(body: Any) -> Any:
    return body if body is not None and not isinstance(body, bytes | str) else ()


def parts(answer: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
    """Return status, headers and body of one answer."""
    head, _, body = answer.partition(b"\n\n")
    first, *lines = head.split(b"\n", 51)
    status = re.search(rb" ([2-5][0-9][0-9])", first[:LINE])
    headers: list[tuple[str, str]] = []
    for line in lines[:50]:
        name, colon, value = line.partition(b":")
        if colon and re.fullmatch(rb"[!-9;-~]{1,999}", name):
            headers.append((name.decode(), value[:LINE].strip().decode("latin-1")))
    return int(status[1]) if status else 200, headers, body


def _response(answer: bytes, method: str) -> requests.Response:
    status, rows, body = parts(answer)
    headers = HTTPHeaderDict(rows)
    made = requests.Response()
    made.status_code = status
    made.headers = requests.structures.CaseInsensitiveDict(headers)
    made.raw = HTTPResponse(io.BytesIO(body), headers, preload_content=False, request_method=method)
    return made
