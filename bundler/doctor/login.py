"""The NGC key itself: found or not, of which kind, whose, and good for what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bundle.errors import DrayError, SourceError
from bundler.doctor.findings import Finding, failure
from bundler.sources import ngc_caller
from bundler.sources.keyring import GUEST
from bundler.sources.ngc_login import MISLED, is_misled
from bundler.sources.ngc_reasons import key_fault

if TYPE_CHECKING:
    from bundler.resolve import Upstreams
    from bundler.sources.ngc_caller import Caller
    from bundler.sources.ngc_login import Login

GROUP, KEY = "login", "NGC key"


def examine(upstreams: Upstreams) -> tuple[list[Finding], dict[str, Any]]:
    """Return what is to be said of the key, and the key for ``--json``, masked."""
    found, document = _key(upstreams)
    if is_misled():
        what, _, hint = MISLED.partition("; ")
        found.append(Finding(GROUP, "NGC_CLI_CONFIG_DIR", "key", "warn", what, hint, "config-dir"))
    return found, document


def _key(upstreams: Upstreams) -> tuple[list[Finding], dict[str, Any]]:
    try:
        login = upstreams.keys.login()
    except DrayError as error:
        error.case = error.case or _case(error)
        return [failure(GROUP, KEY, "key", error)], {}
    if not login.key:
        hint = "for what needs more, set NGC_API_KEY; --require-auth makes this an error"
        return [Finding(GROUP, KEY, "key", "warn", GUEST, hint, "no-key")], {"kind": "guest"}
    try:
        caller = ngc_caller.ask(upstreams.http, upstreams.authorization)
    except SourceError as error:
        message = f"whose key it is can't be asked: {error.message}"
        finding = Finding(GROUP, KEY, "key", "not checked", message, error.hint)
        return [finding], _document(login, ngc_caller.Caller())
    return [_verdict(login, caller)], _document(login, caller)


def _case(error: DrayError) -> str:
    if "does not hold" in error.message:
        return "malformed"
    return "no-key" if "--require-auth" in error.message else "unreadable"


def _verdict(login: Login, caller: Caller) -> Finding:
    if fault := key_fault(login, caller):
        message = f"{fault.message} (key {login.masked})"
        return Finding(GROUP, KEY, "key", "fail", message, fault.hint, fault.case, caller.request)
    return Finding(GROUP, KEY, "key", "ok", _described(login, caller), "", _row(caller))


def _row(caller: Caller) -> str:
    return {"service": "service-key", "legacy": "legacy-key", "personal": "personal-key"}.get(
        caller.kind, "key"
    )


def _described(login: Login, caller: Caller) -> str:
    kind = caller.kind or login.kind
    text = f"{kind} key {login.masked} from {login.origin}"
    if caller.kind == "legacy":
        orgs = ", ".join(list(caller.orgs)[:8]) or "none that NGC tells"
        return f"{text}; its user is in org {orgs}"
    if caller.org:
        text += f", of org {caller.org}"
    if caller.kind == "service":
        text += "; it belongs to no user, which is right for nightly runs"
    if caller.products:
        text += f"; services: {', '.join(caller.products[:6])}"
    return text


def _document(login: Login, caller: Caller) -> dict[str, Any]:
    body: dict[str, Any] = {"kind": caller.kind or login.kind, "key": login.masked}
    body |= {"from": login.origin, "org": caller.org or login.org, "orgs": list(caller.orgs)}
    body |= {"products": list(caller.products or ()), "request": caller.request}
    return {key: value for key, value in body.items() if value}
