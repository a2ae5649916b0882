"""As whom NGC is asked: where a key is found, of which kind it is, and when there is none."""

from __future__ import annotations

import configparser
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bundle.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

VARIABLES: Final = ("NGC_CLI_API_KEY", "NGC_API_KEY")
_LIMIT = 1 << 20
_KEY = re.compile(r"[A-Za-z0-9._~+/=-]{8,8192}")
_JWT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_SLUG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


@dataclass(frozen=True, slots=True)
class Login:
    """As whom NGC is asked: a key and where it was found, or nobody (a guest, no ``key``).

    ``org`` and ``team`` are those that the configuration names as the key's own. ``named`` tells a
    key that was named for this run, by a file or a variable, from one that the machine has.
    """

    key: str = field(default="", repr=False)
    origin: str = ""
    org: str = ""
    team: str = ""
    named: bool = False

    @property
    def kind(self) -> str:
        """``guest``, ``scoped`` (nvapi-…), ``token`` (a JWT) or ``legacy``."""
        if not self.key:
            return "guest"
        if self.key.startswith("nvapi-"):
            return "scoped"
        return "token" if _JWT.fullmatch(self.key) else "legacy"

    @property
    def masked(self) -> str:
        """The key but for its last three letters, for people who have several."""
        return f"…{self.key[-3:]}" if self.key else ""

    def __str__(self) -> str:
        """The login as messages name it."""
        words = {"scoped": "the nvapi- key", "token": "the token", "legacy": "the legacy key"}
        return f"{words[self.kind]} of {self.origin}" if self.key else "no key"


MISLED: Final = (
    "NGC_CLI_CONFIG_DIR is not read by NGC's tools, nor by dray; "
    "set NGC_CLI_HOME to the folder that has .ngc in it"
)


def is_misled(environ: Mapping[str, str] | None = None) -> bool:
    """Whether somebody believes to have said where the configuration is, and has not."""
    env = os.environ if environ is None else environ
    return bool(env.get("NGC_CLI_CONFIG_DIR")) and not env.get("NGC_CLI_HOME")


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
        key = _checked(_read(file, required=True).strip(), str(file))
        return Login(key, str(file), *own, named=True)
    for variable in VARIABLES:
        if value := env.get(variable, ""):
            return Login(_checked(value, variable), variable, *own, named=True)
    if is_misled(env):
        warn(MISLED)
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
        raise UsageError(f"{where} does not hold an NGC key: {_fault_of(key)}", hint=_MEND)
    return key


_MEND = 'put the key there and nothing else; in a shell: export NGC_API_KEY="$(cat FILE)"'


def _fault_of(key: str) -> str:
    """Return what is wrong with the text of a key, and nothing of the text itself."""
    for pattern, why in (
        (r"\$", "it begins with a $, the name of a variable that no shell has replaced"),
        (r".*[\"'`\u2018-\u201d]", "there is a quote in it"),
        (r".*[\r\n]", "there is a line break in it"),
        (r".*\s", "there is a space in it"),
    ):
        if re.match(pattern, key, re.DOTALL):
            return why
    if len(key) < 8:
        return "it has too few characters"
    return "there is a character in it that no key has"


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
        what = "its permissions" if isinstance(fault, PermissionError) else "it"
        raise UsageError(
            f"{file} can't be read by uid {os.getuid()}: {why}",
            hint=f"dray does not go on as a guest when there is a key: mend {what}, or take the"
            " file away",
        ) from None
