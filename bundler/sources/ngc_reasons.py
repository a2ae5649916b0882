"""What a refusal of NGC means: which case it is, and who has to do what, where."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bundle.errors import NotFound, SourceError
from bundler.sources.ngc_caller import Caller

if TYPE_CHECKING:
    from collections.abc import Callable

    from bundler.sources.ngc_login import Login

SUBSCRIPTIONS: Final = "https://org.ngc.nvidia.com/subscriptions"
KEYS: Final = "https://org.ngc.nvidia.com/setup/api-keys"
VENDORS: Final = frozenset({"nvidia", "nim"})
"""Orgs whose items are for everybody, or for subscribers: nobody's key is made in them."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """What was refused to whom.

    ``what`` names the thing in messages; ``org`` and ``team`` are where it lies; ``page`` is its
    page for people. ``status`` is NGC's answer, ``end`` its words and request id as the end of a
    message. ``caller`` is asked only when the reason depends on it. ``alone`` is the answer to the
    same question without the key, where that was tried.
    """

    what: str
    org: str
    page: str
    status: int
    login: Login
    caller: Callable[[], Caller] = Caller
    team: str = ""
    end: str = ""
    request: str = ""
    alone: int = 0


@dataclass(frozen=True, slots=True)
class Reason:
    """A refusal put into words; ``case`` is the row of the table in docs/doctor.md."""

    case: str
    message: str
    hint: str
    missing: bool = False

    def error(self) -> SourceError:
        """Return it as the error to raise."""
        kind = NotFound if self.missing else SourceError
        return kind(self.message, hint=self.hint, case=self.case)


def explain(refused: Refusal) -> Reason:
    """Return what a final status of NGC means. Nothing is asked but who the caller is."""
    what, status, end = refused.what, refused.status, refused.end
    match status:
        case 401 | 403 if not refused.login.key:
            hint = f"set NGC_API_KEY to a key of an org that has it: {KEYS}"
            return Reason("no-key", f"{what} is not given to guests ({status}){end}", hint)
        case 401 | 403:
            return _no_right(refused, refused.caller())
        case 402:
            message = f"NGC wants a subscription for {what} (402) with {refused.login}{end}"
            return Reason("payment", message, f"the org's subscriptions: {SUBSCRIPTIONS}")
        case 404:
            return _missing(refused)
        case 412:
            account = "" if refused.login.key else ", with a key of that account"
            message = f"the terms of {what} are not accepted (412){end}"
            hint = f"accept them in a browser, then run again{account}: {refused.page}"
            return Reason("terms", message, hint)
        case 451:
            message = f"NGC refuses {what} at this location, for legal reasons (451){end}"
            return Reason("legal", message, "another location or NVIDIA has to help; dray can't")
        case _:
            return Reason("other", f"NGC answers {status} about {what}{end}", "")


def rejected(login: Login, caller: Caller) -> Reason:
    """Return the reason for a key that is refused itself, whatever it is used for."""
    number = f" [request {caller.request}]" if caller.request else ""
    if login.kind == "scoped":
        return Reason(
            "key-rejected",
            f"NGC does not take {login} ({caller.rejected}){number}: "
            "it is expired, revoked or mistyped",
            f"make another at {KEYS} and put it into {login.origin}",
        )
    if login.kind == "token":
        message = f"NGC does not take {login} ({caller.rejected}){number}"
        return Reason("key-rejected", message, "a token lives for minutes: use a key")
    return Reason(
        "legacy-rejected",
        f"authn.nvidia.com does not take {login} ({caller.rejected}){number}",
        "was it revoked or replaced? Making a legacy key revokes the one before at once: "
        f"put the newest into {login.origin}",
    )


def keyword(login: Login, caller: Caller) -> str:
    """Return the key as messages name it: its kind, its org, and where it came from."""
    if not caller.kind or not login.key:
        return str(login)
    org = f" of org {caller.org!r}" if caller.org else ""
    return f"the {caller.kind} key{org} from {login.origin}"


def key_fault(login: Login, caller: Caller) -> Reason | None:
    """Return what is wrong with the key by itself, or nothing."""
    if caller.rejected:
        return rejected(login, caller)
    key = keyword(login, caller)
    if not caller.roles:
        return Reason(
            "no-roles",
            f"{key} is valid, but its user has no role in the org",
            f"ask an owner of org {caller.org!r} to give the user a role, or use a service key",
        )
    if not caller.has_catalog:
        has = ", ".join(caller.products or ())
        return Reason(
            "no-service",
            f"{key} lacks the service NGC Catalog (or Private Registry); it has {has}",
            f"make another with that service at {KEYS}",
        )
    return None


def _no_right(refused: Refusal, caller: Caller) -> Reason:
    if fault := key_fault(refused.login, caller):
        about = f", so that {refused.what} is refused ({refused.status}){refused.end}"
        return Reason(fault.case, fault.message + about, fault.hint)
    key, org, what = keyword(refused.login, caller), refused.org, refused.what
    both = f" with the key, {refused.alone} without" if refused.alone else ""
    message = f"{key} has no right to {what} ({refused.status}{both})"
    end = refused.end
    if org in VENDORS:
        mine = f"org {caller.org!r}" if caller.org else "the key's org"
        hint = (
            f"{mine} needs the NVIDIA Developer Program or NVIDIA AI Enterprise (NVAIE) for it: an"
            f" owner of the org adds it at {SUBSCRIPTIONS}. That the catalogue lists it does not"
            f" mean that it may be had. Its page: {refused.page}"
        )
        return Reason("entitlement", message + end, hint)
    if caller.orgs and org not in caller.orgs:
        return _other_org(refused, caller, message)
    if caller.orgs and refused.team:
        hint = f"ask an owner of org {org!r} for a role in team {refused.team!r}"
        return Reason("team", f"{message}, though it is of the right org{end}", hint)
    hint = f"a private item needs a key made in org {org!r}; others need NVAIE: {SUBSCRIPTIONS}"
    return Reason("forbidden", message + end, hint)


def _other_org(refused: Refusal, caller: Caller, message: str) -> Reason:
    org = refused.org
    near = near_org(org, caller)
    guess = (
        f"did you mean org {near!r}? In names stands an org's short name. Else: " if near else ""
    )
    if caller.kind == "legacy":
        return Reason(
            "not-a-member",
            f"{message}: its user is not a member of org {org!r}{refused.end}",
            f"{guess}ask an owner of org {org!r} to invite the user",
        )
    mine = caller.org or ", ".join(list(caller.orgs)[:3])
    return Reason(
        "other-org",
        f"{message}: the key belongs to org {mine!r}; this is in org {org!r} and not public"
        f"{refused.end}",
        f"{guess}use a key made in org {org!r} ({KEYS}, signed in to that org), or ask an owner of"
        f" it to share the item with {mine!r}",
    )


def near_org(org: str, caller: Caller) -> str:
    """Return the org of the caller that was probably meant, by its short or its shown name."""
    shown = {title.casefold(): name for name, title in caller.orgs.items() if title}
    if name := shown.get(org.casefold()) or shown.get(org.replace("-", " ").casefold()):
        return name
    close = difflib.get_close_matches(org, list(caller.orgs), n=1, cutoff=0.75)
    close_shown = difflib.get_close_matches(org.casefold(), list(shown), n=1, cutoff=0.75)
    return close[0] if close else shown[close_shown[0]] if close_shown else ""


def _missing(refused: Refusal) -> Reason:
    login = refused.login
    who = f"to {login}" if login.key else "without a key"
    message = f"{refused.what} is not found, or not visible {who} (404){refused.end}"
    hint = f"does this page show it? {refused.page}"
    if login.key and refused.org not in VENDORS:
        caller = refused.caller()
        if caller.rejected:
            return rejected(login, caller)
        if caller.orgs and refused.org not in caller.orgs:
            near = near_org(refused.org, caller)
            guess = f"did you mean org {near!r}? " if near else ""
            hint = f"{guess}The key is of {', '.join(list(caller.orgs)[:5])}; {hint}"
    return Reason("not-found", message, hint, missing=True)
