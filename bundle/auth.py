"""Who a registry is told we are: challenges, tokens, and where a credential may go."""

from __future__ import annotations

import json
import re
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from bundle.hosts import is_url, leaves_tls, origin, redact
from bundle.refusals import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bundle.credentials import Credentials
    from bundle.http import Http, Response
    from bundle.refusals import Explain

REALMS: Mapping[str, frozenset[str]] = {
    "docker.io": frozenset({"auth.docker.io"}),
    "nvcr.io": frozenset({"authn.nvidia.com"}),
    "registry.gitlab.com": frozenset({"gitlab.com"}),
}
"""Token services on another host than their registry, that may be given its credential."""
_PART = re.compile(r'([A-Za-z][\w-]*)(?:\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+)))?[\s,]*')
_TOKEN = re.compile(r"[\x21-\x7e]{1,65536}")
_LIFE_USED = 0.9


@dataclass(frozen=True, slots=True)
class _Token:
    value: str
    expires: float  # time.monotonic(); infinite where the registry does not say


@dataclass(frozen=True, slots=True)
class _Bearer:
    realm: str
    service: str


def challenges(header: str) -> dict[str, dict[str, str]]:
    """Return the challenges of ``WWW-Authenticate`` by scheme, in lower case (RFC 9110, 11.6.1)."""
    found: dict[str, dict[str, str]] = {}
    current: dict[str, str] = {}
    header = header[:8192]
    for name, quoted, plain in _PART.findall(header):
        if quoted or plain or f"{name}=" in header:
            current.setdefault(name.lower(), re.sub(r"\\(.)", r"\1", quoted) or plain)
        else:
            current = found.setdefault(name.lower(), {})
    return found


class Authority:
    """What one registry wants to see before it answers: learnt once, shared by all threads.

    The first challenge decides. A realm that a later challenge names is not followed: nvcr.io names
    one that serves no anonymous client once a token has expired. ``basic`` is for a registry that
    is known to take Basic on every request: no challenge, and no token that ends within a blob.
    """

    def __init__(
        self,
        http: Http,
        host: str,
        credentials: Credentials | None,
        explain: Explain = lambda _refused: None,
        *,
        basic: bool = False,
    ) -> None:
        self.http = http
        self.explain = explain
        self.host = host
        self.credentials = credentials
        self._lock = threading.Lock()
        self._basic = basic and credentials is not None
        self._bearer: _Bearer | None = None
        self._tokens: dict[tuple[str, ...], _Token] = {}

    def access(
        self, scopes: tuple[str, ...], fault: Callable[[Response], Exception]
    ) -> RegistryAccess:
        """Return the access of one request that needs ``scopes``."""
        return RegistryAccess(self, scopes, fault)

    def header(self, scopes: tuple[str, ...]) -> str:
        """Return the ``Authorization`` to send now; nothing before the first challenge."""
        if self._basic and self.credentials:
            return self.credentials.basic
        token = self._tokens.get(scopes)
        return f"Bearer {token.value}" if token and time.monotonic() < token.expires else ""

    def learn(self, scopes: tuple[str, ...], sent: str, challenge: str, *, fetch: bool) -> bool:
        """Act on a 401 to ``sent``; return whether there is something else to send now.

        One thread fetches a token while the others wait for it. ``fetch`` false only takes up what
        another thread has fetched.
        """
        with self._lock:
            if self.header(scopes) not in {"", sent}:
                return True
            if not fetch or self._basic:
                return False
            if self._bearer is None:
                self._choose(challenges(challenge))
            if self._bearer:
                self._tokens[scopes] = self._fetch(self._bearer, scopes)
            return self.header(scopes) not in {"", sent}

    def _choose(self, offered: Mapping[str, Mapping[str, str]]) -> None:
        bearer = offered.get("bearer", {})
        if realm := bearer.get("realm", ""):
            self._bearer = _Bearer(self._checked(realm), bearer.get("service", ""))
        elif "basic" in offered and self.credentials and not self.credentials.identity_token:
            self._basic = True

    def _checked(self, realm: str) -> str:
        base = self.http.base(self.host)
        if not is_url(realm) or leaves_tls(base, realm):
            msg = f"{self.host} asks for a token from {redact(realm)!r}, which is no https URL"
            raise self.http.error(msg)
        # A scope inside the realm is the registry's wish for rights that a pull does not need.
        parts = urlsplit(realm)
        query = parse_qsl(parts.query, keep_blank_values=True)
        kept = [(key, value) for key, value in query if key != "scope"]
        return urlunsplit((parts.scheme, parts.netloc, parts.path, urlencode(kept), ""))

    def _may_have_credential(self, realm: str) -> bool:
        name = origin(realm)[1]
        ours = {origin(self.http.base(self.host))[1], origin(f"https://{self.host}")[1]}
        return name in ours | REALMS.get(self.host, frozenset())

    def _fetch(self, bearer: _Bearer, scopes: tuple[str, ...]) -> _Token:
        if self.credentials and not self._may_have_credential(bearer.realm):
            msg = f"{self.host} asks for its token at {redact(bearer.realm)}, another host"
            hint = "the credential is not sent there; for public content, take it out of the config"
            raise self.http.error(msg, hint=hint)
        query = [("service", bearer.service)] if bearer.service else []
        query += [("scope", scope) for scope in scopes]
        if self.credentials and self.credentials.identity_token:
            return self._token(self._exchange(bearer.realm, query, self.credentials), bearer.realm)
        headers = {"Authorization": self.credentials.basic} if self.credentials else {}
        join = "&" if urlsplit(bearer.realm).query else "?"
        url = bearer.realm + (join + urlencode(query) if query else "")
        access = _TokenAccess(self, scopes)
        answer = self.http.request("GET", url, headers=headers, access=access, limit=1 << 20)
        return self._token(answer, bearer.realm)

    def _exchange(
        self, realm: str, query: list[tuple[str, str]], credentials: Credentials
    ) -> Response:
        # docker/docs registry/spec/auth/oauth: scopes go in one field here.
        scope = " ".join(value for key, value in query if key == "scope")
        form = {key: value for key, value in query if key != "scope"}
        form |= {"grant_type": "refresh_token", "client_id": "dray", "scope": scope}
        form["refresh_token"] = credentials.identity_token
        return self.http.request(
            "POST",
            realm,
            headers={"Content-Type": "application/x-www-form-urlencoded"},
            body=urlencode(form).encode(),
            access=_TokenAccess(self, tuple(scope.split())),
            limit=1 << 20,
        )

    def _token(self, answer: Response, realm: str) -> _Token:
        try:
            document = json.loads(answer.body)
            value = document.get("token") or document.get("access_token")
            life = document.get("expires_in")
        except (ValueError, AttributeError, RecursionError):
            value = life = None
        if not isinstance(value, str) or not _TOKEN.fullmatch(value):
            msg = f"{redact(realm)} answered with no token"
            raise self.http.error(msg)
        if isinstance(life, int | float) and 0 < life < 1e9:
            return _Token(value, time.monotonic() + life * _LIFE_USED)
        return _Token(value, float("inf"))


class RegistryAccess:
    """The :class:`bundle.http.Access` of one request to a registry."""

    def __init__(
        self,
        authority: Authority,
        scopes: tuple[str, ...],
        fault: Callable[[Response], Exception],
    ) -> None:
        self._authority = authority
        self._scopes = scopes
        self._fault = fault
        self._fetched = False

    def header(self) -> str:
        """Return what the registry is known to want for these scopes."""
        return self._authority.header(self._scopes)

    def renew(self, sent: str, challenge: str) -> bool:
        """Take up another thread's token, or fetch one; the latter once per request."""
        if self.header() not in {"", sent}:
            return True
        fetch, self._fetched = not self._fetched, True
        return self._authority.learn(self._scopes, sent, challenge, fetch=fetch)

    def fault(self, response: Response) -> Exception:
        """Return what the registry client makes of the refusal."""
        return self._fault(response)


class _TokenAccess:
    """The token service itself: its refusals are told, and nothing is renewed."""

    def __init__(self, authority: Authority, scopes: tuple[str, ...]) -> None:
        self._authority = authority
        self._scopes = scopes

    def header(self) -> str:
        return ""

    def renew(self, sent: str, challenge: str) -> bool:
        return False

    def fault(self, response: Response) -> Exception:
        authority, status = self._authority, response.status
        repository = self._scopes[0].split(":")[1] if self._scopes else ""
        if better := authority.explain(Refused(repository, "token", response, at_token=True)):
            return better
        about = f" for {repository}" if repository else ""
        msg = f"{authority.host} gives no token{about}: {redact(response.url)} answered {status}"
        if not authority.credentials:
            msg += ", no credential was sent"
            return authority.http.error(msg, hint=f"log in: docker login {authority.host}")
        msg += f", with the credential from {authority.credentials.origin}"
        if status == 412 and authority.host == "nvcr.io":
            hint = "accept the terms of this content in a browser, at catalog.ngc.nvidia.com"
        elif status == 401:
            hint = "the credential is wrong, revoked or expired"
        else:
            hint = "the credential is known, and has no right to this repository"
        return authority.http.error(msg, hint=hint)
