"""What Harbor's refusals mean, and who has to do what about them.

Source of codes and texts: goharbor/harbor, src/lib/errors/const.go and src/server/middleware.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bundle.errors import TargetError
from bundle.refusals import printable, told

if TYPE_CHECKING:
    from bundle.http import Response

_ADMIN = "a system administrator of Harbor"
LOGIN = (
    "whoever made that robot or user has to look whether it is disabled or expired, or give it a"
    " new secret; then log in again: docker login"
)
"""What to do about a login that is not accepted."""
_HINTS = (
    # code, what its message has, what to do
    ("DENIED", "quota|exceed", f"{_ADMIN} has to raise the quota of the project, or make room"),
    (
        "DENIED",
        "read.only",
        f"{_ADMIN} has to end the read-only mode, which garbage collection may have set; then run"
        " the same command again: it goes on from here",
    ),
    ("DENIED", "proxy", "the project is a proxy cache, which takes no pushes: name another one"),
    ("DENIED", "permission", "a robot gives no rights that it has not: use one with more"),
    (
        "FORBIDDEN",
        "csrf",
        "something between here and Harbor adds a session cookie: whoever runs it has to let"
        " cookies alone",
    ),
    ("FORBIDDEN", "create project", f"{_ADMIN} has to create the project, or to allow it"),
    ("FORBIDDEN", "", "the project's administrator has to give that right: see `dray harbor init`"),
    ("UNAUTHORIZED", "", LOGIN),
    (
        "NOT_FOUND",
        "artifact",
        "something has removed a part of it meanwhile, such as a retention policy: run the same"
        " command again",
    ),
    ("NOT_FOUND", "in GC", "garbage collection is removing it: run the same command again later"),
    (
        "PRECONDITION",
        "immutable",
        "the tag may not be moved: the project's administrator has to change the rule, or the"
        " artifact needs another tag",
    ),
    ("PRECONDITION", "scanner", f"{_ADMIN} has to set a default scanner"),
    ("PRECONDITION", "", "a rule of the project forbids it"),
    (
        "PROJECTPOLICYVIOLATION",
        "",
        "the project blocks pulls by its policy of scans or signatures: its administrator decides",
    ),
    (
        "REQUEST_ENTITY_TOO_LARGE",
        "",
        "Harbor takes manifests of up to 4 MiB; a proxy before it may take less",
    ),
    ("VIOLATE_FOREIGN_KEY_CONSTRAINT", "", "an index names it: delete the index first"),
    (
        "MANIFEST_INVALID",
        "",
        "Harbor knows no artifact of that form, or it is over 4 MiB: leave it out, or send it to"
        " another kind of target",
    ),
    (
        "DIGEST_INVALID",
        "",
        "something between here and Harbor changes bytes: whoever runs it has to look, then run the"
        " same command again",
    ),
    ("CONFLICT", "robot", "delete that robot first, or give this one another name: --name"),
    ("CONFLICT", "", "something else works on the same thing: run the same command again"),
)

_BARE = {401: "UNAUTHORIZED", 403: "FORBIDDEN"}
"""What a status means where no body says so: in an answer to HEAD."""


def request_id(response: Response) -> str:
    """Return how Harbor's own log names a request, or nothing."""
    return printable(response.headers.get("X-Request-Id", ""))[:64]


def said(response: Response) -> tuple[str, str]:
    """Return Harbor's code and message; what it says twice (msg: cause), once."""
    code, message = told(response)
    half = (len(message) - 2) // 2
    if half > 0 and message == f"{message[:half]}: {message[:half]}":
        message = message[:half]
    return code, message


def refusal(host: str, what: str, response: Response, who: str) -> TargetError:
    """Return the error for a final answer to a request about ``what`` on behalf of ``who``."""
    code, message = said(response)
    message = message.removeprefix(f"{response.status} ") if not code else message
    text = " ".join(part for part in (str(response.status), code) if part)
    text += f": {message}" if message else ""
    number = request_id(response)
    text += f"; request {number}" if number else ""
    case = "denied" if response.status in {401, 403} else ""
    return TargetError(
        f"{host} refuses {what} to {who} ({text})", hint=hint(response, code, message), case=case
    )


def hint(response: Response, code: str, message: str) -> str:
    """Return what to do about a refusal."""
    code = code or _BARE.get(response.status, "")
    for known, pattern, advice in _HINTS:
        if known == code and re.search(pattern, message, re.IGNORECASE):
            return advice
    if response.status == 413:
        return "a proxy before Harbor limits requests: nginx needs client_max_body_size 0"
    return ""
