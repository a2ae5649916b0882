"""The head of an HTTP request, out of bytes that anybody may have sent.

Source: RFC 9112 (HTTP/1.1), sections 2 to 6; RFC 9110, sections 13 and 14. Nothing here does I/O.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote_to_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

HEAD_LIMIT = 32 << 10
"""Bytes of a request's line and headers together."""
_HEADERS = 100
_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_LINE = re.compile(rf"({_WORD}) ([\x21-\x7e]+) HTTP/1\.([0-9])")
_FIELD = re.compile(rf"({_WORD}):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*")
_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")
_QUERY_FIELDS = 16


class BadRequest(Exception):
    """What was sent is no request that this server reads; ``status`` is the answer to it."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Request:
    """A request without a body. ``path`` is decoded; names of ``headers`` are in lower case."""

    method: str
    target: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    keep: bool
    """Whether the client wants the connection kept."""


def parse(head: bytes) -> Request:
    """Read a head up to and with its empty line; raise :class:`BadRequest`.

    A body is refused: nothing that this server answers has one, and one that is left unread would
    be taken for the next request.
    """
    # One reading of what a line is: a bare CR or LF is none (RFC 9112, section 2.2).
    lines = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    match = _LINE.fullmatch(lines[0])
    if not match:
        raise BadRequest(400, "not an HTTP/1.x request line")
    method, target, minor = match.groups()
    headers = _fields(lines[1:])
    if minor != "0" and "host" not in headers:
        raise BadRequest(400, "no Host header")
    if "transfer-encoding" in headers or headers.get("content-length", "0").strip("0"):
        raise BadRequest(405 if method not in {"GET", "HEAD"} else 413, "a body is never taken")
    path, query = _split(target)
    wish = headers.get("connection", "").lower()
    keep = "close" not in wish and (minor != "0" or "keep-alive" in wish)
    return Request(method, target, path, query, headers, keep)


def _fields(lines: list[str]) -> dict[str, str]:
    if len(lines) > _HEADERS:
        raise BadRequest(431, f"more than {_HEADERS} headers")
    found: dict[str, str] = {}
    for line in lines:
        match = _FIELD.fullmatch(line)
        if not match:
            raise BadRequest(400, "not a header field")
        name, value = match[1].lower(), match[2]
        if name in found and name in {"host", "content-length", "range", "authorization"}:
            raise BadRequest(400, f"{name} is there twice")
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found


def _split(target: str) -> tuple[str, dict[str, str]]:
    """Return the decoded path, and the first value of each field of the query."""
    if re.match(r"https?://", target):
        target = "/" + target.split("://", 1)[1].partition("/")[2]  # absolute-form, section 3.2.2
    if not target.startswith("/"):
        raise BadRequest(400, "not a path")
    path, _, query = target.partition("#")[0].partition("?")
    try:
        fields = parse_qsl(query, keep_blank_values=True, max_num_fields=_QUERY_FIELDS)
        decoded = unquote_to_bytes(path).decode("utf-8")
    except ValueError:
        raise BadRequest(400, "a path or query that cannot be read") from None
    return decoded, dict(reversed(fields))


def one_range(text: str, size: int) -> tuple[int, int] | None:
    """Return the first byte and the byte after the last that a ``Range`` header asks for.

    ``None`` when it is to be ignored: it names another unit, several ranges, or is malformed (RFC
    9110, section 14.2). Raises ``ValueError`` when no byte of ``size`` is in it (416).
    """
    match = _RANGE.fullmatch(text.replace(" ", ""))
    if not match or match[0] == "bytes=-":
        return None
    first, last = match.groups()
    if not first:
        start, end = max(size - int(last), 0), size
    else:
        start, end = int(first), min(int(last) + 1, size) if last else size
        if last and int(last) < int(first):
            return None
    if start >= end:
        raise ValueError(text)
    return start, end
