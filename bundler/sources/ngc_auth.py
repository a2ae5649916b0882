"""NGC's keys: where one is found, of which kind it is, and what it is sent as."""

from __future__ import annotations

import base64
import configparser
import os
import re
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from bundle.errors import SourceError, UsageError
from bundle.refusals import printable
from bundler.sources.ngc_answers import read_object

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bundle.http import Http, Response

AUTHN: Final = "authn.nvidia.com"
VARIABLES: Final = ("NGC_CLI_API_KEY", "NGC_API_KEY")
RENEW: Final = 300.0
"""Seconds of life left at which a token is replaced (as NVIDIA's own client does)."""
_LIMIT = 1 << 20
_KEY = re.compile(r"[A-Za-z0-9._~+/=-]{8,8192}")
_JWT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_SLUG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


@dataclass(frozen=True, slots=True)
class Login:
    """As whom NGC is asked: a key and where it was found, or nobody (a guest, no ``key``).

    ``org`` and ``team`` are those that the configuration names as the key's own.
    """

    key: str = field(default="", repr=False)
    origin: str = ""
    org: str = ""
    team: str = ""

    @property
    def kind(self) -> str:
        """``guest``, ``scoped`` (nvapi-…), ``token`` (a JWT) or ``legacy``."""
        if not self.key:
            return "guest"
        if self.key.startswith("nvapi-"):
            return "scoped"
        return "token" if _JWT.fullmatch(self.key) else "legacy"

    def __str__(self) -> str:
        """The login as messages name it."""
        words = {"scoped": "the nvapi- key", "token": "the token", "legacy": "the legacy key"}
        return f"{words[self.kind]} of {self.origin}" if self.key else "no key"


def find_login(
    file: Path | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    warn: Callable[[str], object] = lambda _text: None,
) -> Login:
    """Return the key of ``file``, of NGC_CLI_API_KEY, of NGC_API_KEY, of NGC's config, or a guest.

    Raises :class:`UsageError` for a key that can't be one, and for a file that is there and can't
    be read or understood: nobody becomes a guest by accident.
    """
    env = os.environ if environ is None else environ
    own = _own(env)
    if file is not None:
        return Login(_checked(_read(file, required=True).strip(), str(file)), str(file), *own)
    for variable in VARIABLES:
        if value := env.get(variable, ""):
            return Login(_checked(value, variable), variable, *own)
    if env.get("NGC_CLI_CONFIG_DIR") and not env.get("NGC_CLI_HOME"):
        warn(
            "NGC_CLI_CONFIG_DIR is not read by NGC's tools, nor by dray; "
            "set NGC_CLI_HOME to the folder that has .ngc in it"
        )
    return _configured(env, own)


def _own(env: Mapping[str, str]) -> tuple[str, str]:
    org, team = env.get("NGC_CLI_ORG", ""), env.get("NGC_CLI_TEAM", "")
    return _slug(org, "NGC_CLI_ORG", "no-org"), _slug(team, "NGC_CLI_TEAM", "no-team")


def _slug(value: str, where: str, none: str) -> str:
    if value in {"", none}:
        return ""
    if not _SLUG.fullmatch(value):
        raise UsageError(
            f"{where} is not the name of an org or a team",
            hint="it takes the short name in the URL, not the one that is shown",
        )
    return value


def _checked(key: str, where: str) -> str:
    if not _KEY.fullmatch(key):
        raise UsageError(
            f"{where} does not hold an NGC key",
            hint="is there a quote, a space, a line break or a $ in it?",
        )
    return key


def _configured(env: Mapping[str, str], own: tuple[str, str]) -> Login:
    try:
        home = Path(env.get("NGC_CLI_HOME") or env.get("HOME") or Path.home())
    except RuntimeError:
        return Login("", "", *own)
    file = home / ".ngc" / "config"
    text = _read(file, required=False)
    if not text:
        return Login("", "", *own)
    config = configparser.RawConfigParser(strict=True)
    try:
        config.read_string(text)
        current = dict(config["CURRENT"]) if config.has_section("CURRENT") else {}
    except configparser.Error:
        # The parser's own message quotes the line, and the line may be the key.
        raise UsageError(
            f"{file} can't be understood", hint="write it anew: ngc config set"
        ) from None
    key = current.get("apikey", "").strip()
    if key in {"", "no-apikey"}:
        return Login("", "", *own)
    org = own[0] or _slug(current.get("org", ""), f"org in {file}", "no-org")
    team = own[1] or _slug(current.get("team", ""), f"team in {file}", "no-team")
    if env.get("NGC_CLI_ORG") == "no-org":
        org = team = ""
    if env.get("NGC_CLI_TEAM") == "no-team":
        team = ""
    return Login(_checked(key, str(file)), str(file), org, team)


def _read(file: Path, *, required: bool) -> str:
    try:
        with file.open("rb") as stream:
            data = stream.read(_LIMIT + 1)
        if len(data) > _LIMIT:
            raise UsageError(f"{file} is too large for what it should hold")
        return data.decode("utf-8-sig")
    except FileNotFoundError:
        if not required:
            return ""
        raise UsageError(f"{file} is not there", hint="it should hold an NGC key") from None
    except (OSError, ValueError) as fault:
        why = (getattr(fault, "strerror", "") or "it is no text").lower()
        raise UsageError(
            f"{file} can't be read by uid {os.getuid()}: {why}",
            hint="dray does not go on as a guest when there is a key: mend its permissions",
        ) from None


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
            return SourceError(
                f"{AUTHN} does not take {self._login} ({response.status})",
                hint="was it revoked or replaced? Only the newest legacy key of a user lives",
            )
        return SourceError(f"{AUTHN} answered {response.status} to {self._login}")
