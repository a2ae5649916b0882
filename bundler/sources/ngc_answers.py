"""NGC's answers: the JSON in them, and what each refusal means to whoever has to act on it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, NoReturn

from bundle.errors import NotFound, SourceError

if TYPE_CHECKING:
    from bundle.http import Response
    from bundler.sources.ngc_api import Item
    from bundler.sources.ngc_auth import Authorization

ENTITLEMENT = "https://org.ngc.nvidia.com/subscriptions"


def read_object(data: bytes) -> dict[str, object]:
    """Return the JSON object in an answer; raise ``ValueError`` for anything else.

    Duplicate keys, NaN and numbers of absurd length are refused. Fractions are let through: NGC has
    them in fields that nobody here reads.
    """
    try:
        found = json.loads(data.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_refused)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(found, dict):
        raise ValueError("no object")
    return found


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice in one object")
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


def fault(response: Response, item: Item, authorization: Authorization) -> SourceError:
    """Return the error for a final status of the API about a model or a resource."""
    status, login = response.status, authorization.login
    end = suffix(response, authorization)
    match status:
        case 401:
            return _unauthorized(item, authorization, end)
        case 402:
            message = f"NGC wants a subscription for {item} (402) with {login}{end}"
            return SourceError(message, hint=f"the org's subscriptions: {ENTITLEMENT}")
        case 403:
            return _forbidden(item, authorization, end)
        case 404:
            who = "without a key" if authorization.guest else f"to {login}"
            message = f"{item} is not found, or not visible {who} (404){end}"
            return NotFound(message, hint=f"does this page show it? {item.page}")
        case 412:
            message = f"the terms of {item} are not accepted (412){end}"
            with_key = ", with a key of that account" if authorization.guest else ""
            hint = f"accept them in a browser, then run again{with_key}: {item.page}"
            return SourceError(message, hint=hint)
        case 451:
            message = f"NGC refuses {item} at this location, for legal reasons (451){end}"
            return SourceError(message, hint="another location or NVIDIA has to help; dray can't")
        case _:
            return SourceError(f"NGC answers {status} about {item}{end}")


def _unauthorized(item: Item, authorization: Authorization, end: str) -> SourceError:
    login = authorization.login
    if authorization.guest:
        hint = "set NGC_API_KEY to a key of an org that has it"
        return SourceError(f"{item} is not given to guests (401){end}", hint=hint)
    hints = {
        "scoped": "expired, revoked or mistyped? Or made in another org than the item's?",
        "token": "a token lives for minutes: use a key",
        "legacy": f"is its user a member of the org {item.org!r}?",
    }
    return SourceError(f"NGC does not take {login} for {item} (401){end}", hint=hints[login.kind])


def _forbidden(item: Item, authorization: Authorization, end: str) -> SourceError:
    if authorization.guest:
        hint = "set NGC_API_KEY to a key of an org that has it"
        return SourceError(f"{item} is not given to guests (403){end}", hint=hint)
    return SourceError(
        f"{authorization.login} has no right to {item} (403){end}",
        hint=f"a private item needs a key made in org {item.org!r}; others need the Developer "
        f"Program or NVAIE, and a key with the NGC Catalog service: {ENTITLEMENT}",
    )
