"""What is sent to NGC for a key: the key, or the short-lived token that it is exchanged for."""

from __future__ import annotations

import base64
import re
import time
import uuid
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from bundle.errors import SourceError
from bundle.refusals import printable
from bundler.sources.ngc_answers import read_object
from bundler.sources.ngc_caller import Caller, KeyRejectedError, ask

if TYPE_CHECKING:
    from collections.abc import Callable

    from bundle.http import Http, Response
    from bundler.sources.ngc_login import Login

AUTHN: Final = "authn.nvidia.com"
RENEW: Final = 300.0
"""Seconds of life left at which a token is replaced (as NVIDIA's own client does)."""


@dataclass(frozen=True, slots=True)
class _Token:
    value: str = field(repr=False)
    until: float  # time.monotonic()


class Authorization:
    """What is sent for a login; tokens of a legacy key are fetched and renewed. For all threads."""

    def __init__(
        self, login: Login, http: Http, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.login = login
        self._http = http
        self._clock = clock
        self._guest = str(uuid.uuid4())
        self._tokens: dict[bool, _Token] = {}
        self._lock = Lock()
        self._caller: Caller | None = None
        self._asking = Lock()

    @property
    def guest(self) -> bool:
        """Whether there is no key, so that other paths of the API are asked."""
        return not self.login.key

    @property
    def headers(self) -> dict[str, str]:
        """The headers beside ``Authorization``: the key's own org, or that a guest is asking."""
        if self.guest:
            return {"X-NGC-Guest-Token": self._guest}
        named = {"nv-ngc-org": self.login.org, "nv-ngc-team": self.login.team}
        return {name: value for name, value in named.items() if value}

    def value(self, *, scoped: bool) -> str:
        """Return the value of ``Authorization``, or nothing for a guest.

        ``scoped`` asks for a legacy key's token for the key's own org, where one is configured: the
        file URLs are asked for with a token for no org. Raises :class:`SourceError` when the key is
        not taken.
        """
        if self.guest:
            return ""
        if self.login.kind != "legacy":
            return f"Bearer {self.login.key}"
        scoped = scoped and bool(self.login.org)
        with self._lock:
            token = self._tokens.get(scoped)
            if token is None or token.until - self._clock() <= RENEW:
                token = self._tokens[scoped] = self._fetch(scoped=scoped)
            return f"Bearer {token.value}"

    def renew(self, sent: str) -> bool:
        """Forget a refused token; return whether another one can be had."""
        if self.login.kind != "legacy":
            return False
        with self._lock:
            kept = {key: token for key, token in self._tokens.items() if token.value not in sent}
            self._tokens = kept
        return True

    def caller(self) -> Caller:
        """Return who NGC says is calling, asked once; nobody known when it can't be asked."""
        with self._asking:
            if self._caller is None:
                try:
                    self._caller = ask(self._http, self)
                except SourceError:
                    self._caller = Caller()
            return self._caller

    def scrub(self, text: str) -> str:
        """Return foreign ``text`` fit for a message: no key, no token, no URL's query."""
        secrets = [self.login.key, *(token.value for token in self._tokens.copy().values())]
        for secret in filter(None, secrets):
            text = text.replace(secret, "…")
        return printable(text)[:300]

    def _fetch(self, *, scoped: bool) -> _Token:
        # The order and the repetition of `scope` are those of NVIDIA's client.
        query = [("service", "ngc")]
        if scoped:
            query.append(("scope", f"group/ngc:{self.login.org}"))
            if self.login.team:
                query.append(("scope", f"group/ngc:{self.login.org}/{self.login.team}"))
        url = f"{self._http.base(AUTHN)}/token?{urlencode(query)}"
        answer = self._http.request("GET", url, access=_Exchange(self.login), limit=1 << 20)
        return self._token(answer)

    def _token(self, answer: Response) -> _Token:
        try:
            body = read_object(answer.body)
        except ValueError:
            body = {}
        token, life = body.get("token"), body.get("expires_in", 0)
        if not isinstance(token, str) or not re.fullmatch(r"[\x21-\x7e]{1,65536}", token):
            raise SourceError(f"{AUTHN} answers with something else than a token")
        seconds = float(life) if isinstance(life, int | float) and 0 < life < 1e7 else 0.0
        return _Token(token, self._clock() + seconds)


class _Exchange:
    """Access to the exchange of a legacy key for a token."""

    def __init__(self, login: Login) -> None:
        self._login = login

    def header(self) -> str:
        pair = f"$oauthtoken:{self._login.key}".encode()
        return "Basic " + base64.b64encode(pair).decode("ascii")

    def renew(self, sent: str, challenge: str) -> bool:
        return False

    def fault(self, response: Response) -> Exception:
        if response.status in {401, 403}:
            return KeyRejectedError(
                f"{AUTHN} does not take {self._login} ({response.status})",
                hint="was it revoked or replaced? Making a legacy key revokes the one before at "
                f"once: put the newest into {self._login.origin}",
                status=response.status,
            )
        return SourceError(f"{AUTHN} answered {response.status} to {self._login}")
