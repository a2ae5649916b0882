"""What a registry's refusal means: its own code and message, and what to do next."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from bundle.errors import TransferError
    from bundle.http import Response

    Explain = Callable[["Refused"], TransferError | None]


@dataclass(frozen=True, slots=True)
class Refused:
    """A refusal by a registry, for whoever knows more about that registry than its protocol.

    ``what`` was asked for in ``repository``; ``at_token`` tells that its token service refused.
    """

    repository: str
    what: str
    response: Response
    at_token: bool = False


_BY_CODE = {
    "MANIFEST_BLOB_UNKNOWN": "the repository lacks a blob or a child manifest that this one names",
    "BLOB_UPLOAD_UNKNOWN": "the upload session was lost: several replicas without shared storage?",
    "BLOB_UPLOAD_INVALID": "the upload session was lost: several replicas without shared storage?",
    "PROJECTPOLICYVIOLATION": "a policy of the project blocks pulls: scan results or signatures",
    "TOOMANYREQUESTS": "the registry limits requests: run again later, or log in",
}
_BY_STATUS = {
    402: "the account has no right to this content that is paid for",
    412: "terms that were not accepted, an immutable tag, or another rule of the registry",
    413: "a proxy or the registry limits the size of requests: raise its limit (nginx: "
    "client_max_body_size 0)",
    416: "the blob is shorter there than its descriptor says",
    451: "the registry refuses this content at this location, for legal reasons",
    507: "the registry's storage is full",
}


_LONGEST = 4096
_READ = 1 << 20
"""Bytes of an answer that are looked at."""


def told(response: Response) -> tuple[str, str]:
    """Return the registry's own code and message, made safe to print; either may be empty.

    Source: OCI distribution-spec, "Error Codes". An HTML page gives its title.
    """
    try:
        first = json.loads(response.body[:_READ])["errors"][0]
        code, message = str(first.get("code", "")), str(first.get("message", ""))
        if isinstance(first.get("detail"), str):
            message += f": {first['detail']}"
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        code, message = "", _title(response.body)
    return printable(code)[:60], printable(message)[:300]


def hint_for(response: Response, code: str, message: str) -> str:
    """Return what to do about a refusal, or nothing."""
    if response.status == 403 and re.search(r"quota|exceed", message, re.IGNORECASE):
        return "raise the quota of the project, or make room in it"
    if response.status == 403 and "read only" in message.lower():
        return "the registry is in read-only mode"
    return _BY_CODE.get(code) or _BY_STATUS.get(response.status, "")


def printable(text: str) -> str:
    """Return foreign ``text`` as one line with no control characters and no URL's query.

    Of a long text only the beginning, for nobody reads more, and a server could send megabytes.
    """
    line = " ".join(re.sub(r"[^\x20-\x7e\u00a0-\ud7ff]", " ", text[:_LONGEST]).split())
    return re.sub(r"(https?://[^\s?\"']+)\?[^\s\"']*", r"\1", line)


def _title(body: bytes) -> str:
    match = re.search(rb"<title>([^<]{1,200})</title>", body, re.IGNORECASE)
    return match[1].decode("utf-8", "replace") if match else ""
