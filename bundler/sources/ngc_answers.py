"""NGC's answers: the JSON in them, and what they say of a failure."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, NoReturn

from bundle import weight

if TYPE_CHECKING:
    from bundle.http import Response
    from bundler.sources.ngc_auth import Authorization


def read_object(data: bytes) -> dict[str, object]:
    """Return the JSON object in an answer; raise ``ValueError`` for anything else.

    Duplicate keys, NaN and numbers of absurd length are refused. Fractions are let through: NGC has
    them in fields that nobody here reads.
    """
    try:
        text = data.decode("utf-8")
        words = weight.check(text)
        found = json.loads(
            text,
            object_pairs_hook=lambda pairs: _unique(pairs, words),
            parse_constant=_refused,
        )
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(found, dict):
        raise ValueError("no object")
    return found


def _unique(pairs: list[tuple[str, object]], words: dict[str, str]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice in one object")
    weight.share(found, words)
    return found


def _refused(text: str) -> NoReturn:
    raise ValueError(f"no number: {text}")


def status_of(body: dict[str, object]) -> tuple[str, str, str]:
    """Return ``requestStatus``: code, description, request id; what is missing is empty."""
    status = body.get("requestStatus")
    fields = status if isinstance(status, dict) else {}
    texts = [fields.get(key) for key in ("statusCode", "statusDescription", "requestId")]
    code, description, request = (text if isinstance(text, str) else "" for text in texts)
    return code, description, request


def told(response: Response) -> tuple[str, str]:
    """Return what a failure says and its request id; its shape may be any of four."""
    try:
        body = read_object(response.body)
    except ValueError:
        match = re.search(rb"<(title|Message)>([^<]{1,300})</\1>", response.body, re.IGNORECASE)
        return (match[2].decode("utf-8", "replace") if match else ""), ""
    _code, description, request = status_of(body)
    for key in ("detail", "message"):
        other = body.get(key)
        description = description or (other if isinstance(other, str) else "")
    return description, request


def suffix(response: Response, authorization: Authorization) -> str:
    """Return NGC's own words and the request id, as the end of a message."""
    description, request = told(response)
    words = authorization.scrub(description)
    number = f" [request {authorization.scrub(request)[:80]}]" if request else ""
    return (f": {words}" if words else "") + number
