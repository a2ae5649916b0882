"""Credentials for a registry: from docker's configuration and its helpers."""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from bundle import child
from bundle.child import environment
from bundle.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

HELPER_TIMEOUT = 60.0
"""Seconds; a helper may ask the desktop to unlock a keychain."""
_HUB = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io"})
_LIMIT = 1 << 20
_TOKEN_USER = "<token>"  # noqa: S105  (how a helper says that the secret is an identity token)
_ABSENT = "credentials not found"


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user name and password, or an identity token (OAuth2 refresh token) and no password.

    ``origin`` is the file or the variable it was found in, for messages.
    """

    username: str
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)
    origin: str = ""

    @property
    def basic(self) -> str:
        """The value of an ``Authorization`` header (RFC 7617)."""
        pair = f"{self.username}:{self.password}".encode()
        return "Basic " + base64.b64encode(pair).decode("ascii")


def find(host: str) -> Credentials | None:
    """Return the credentials for ``host[:port]``, or nothing where none are configured.

    REGISTRY_AUTH_FILE if it is set, else config.json in DOCKER_CONFIG or ~/.docker; credHelpers
    before credsStore before auths, as docker has it. Raises :class:`bundle.errors.UsageError` where
    what is configured can't be read: going on without a credential would only fail later, and for
    another reason.
    """
    for file, required in _files():
        config = _load(file, required=required)
        if config is not None:
            return _from_config(host, config, file)
    return None


def _files() -> Iterator[tuple[Path, bool]]:
    if named := os.environ.get("REGISTRY_AUTH_FILE"):
        yield Path(named), True
        return
    folder = os.environ.get("DOCKER_CONFIG")
    try:
        yield (Path(folder) if folder else Path.home() / ".docker") / "config.json", False
    except RuntimeError:
        return  # no home directory: nothing is configured there


def _load(file: Path, *, required: bool) -> Mapping[str, object] | None:
    try:
        with file.open("rb") as stream:
            data = stream.read(_LIMIT + 1)
    except FileNotFoundError:
        if required:
            msg = f"REGISTRY_AUTH_FILE names {file}, which is not there"
            raise UsageError(msg) from None
        return None
    except (OSError, ValueError) as fault:
        why = (getattr(fault, "strerror", "") or "unreadable").lower()
        msg = f"{file} can't be read: {why}"
        raise UsageError(msg, hint="dray does not go on without the credentials in it") from None
    try:
        config = json.loads(data) if len(data) <= _LIMIT else None
    except (ValueError, RecursionError):
        config = None
    if not isinstance(config, dict):
        raise _broken(file, "no JSON object of at most 1 MiB")
    return config


def _from_config(host: str, config: Mapping[str, object], file: Path) -> Credentials | None:
    auths = _mapping(config, "auths", file)
    keys = [key for key in auths if _names(key, host)]
    helpers = _mapping(config, "credHelpers", file)
    for key, helper in helpers.items():
        if _names(key, host):
            return _ask_helper(helper, key, file)
    if store := config.get("credsStore"):
        for address in keys or [_address(host)]:
            if found := _ask_helper(store, address, file):
                return found
    for key in keys:
        if found := _entry(auths[key], key, file):
            return found
    return None


def _mapping(config: Mapping[str, object], key: str, file: Path) -> Mapping[str, object]:
    value = config.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _broken(file, f"{key!r} is no mapping")
    return value


def _address(host: str) -> str:
    return "https://index.docker.io/v1/" if host in _HUB else host


def _names(key: str, host: str) -> bool:
    # `host/namespace` is podman's way to give one namespace a credential: not the host's.
    try:
        parts = urlsplit(key if "://" in key else f"//{key}")
    except ValueError:
        return False
    if parts.path.strip("/") not in {"", "v1", "v2"}:
        return False
    name = parts.netloc.lower()
    return name == host.lower() or (host in _HUB and name in _HUB)


def _entry(entry: object, key: str, file: Path) -> Credentials | None:
    if not isinstance(entry, dict):
        raise _broken(file, f"the entry of {key!r} is no mapping")
    values = {name: entry.get(name) or "" for name in _ENTRY}
    if not all(isinstance(value, str) for value in values.values()):
        raise _broken(file, f"the entry of {key!r} holds something else than text")
    username, password = values["username"], values["password"]
    if values["auth"]:
        try:
            pair = base64.b64decode(values["auth"], validate=True).decode("utf-8")
        except (binascii.Error, UnicodeDecodeError):
            pair = ""
        username, colon, password = pair.rstrip("\0").partition(":")
        if not colon:
            raise _broken(file, f"'auth' of {key!r} is not user:password in base64")
    if token := values["identitytoken"]:
        return _checked(username, "", str(file), token)
    return _checked(username, password, str(file)) if username else None


_ENTRY = ("auth", "username", "password", "identitytoken")


def _ask_helper(helper: object, address: str, file: Path) -> Credentials | None:
    if not isinstance(helper, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", helper):
        raise _broken(file, "the name of a credential helper is not one")
    program = f"docker-credential-{helper}"
    hint = f"{file} names it; install it, or take it out of that file"
    try:
        code, answer = _run(program, address)
    except (TimeoutError, subprocess.TimeoutExpired):
        msg = f"{program} does not answer within {HELPER_TIMEOUT:.0f} s"
        raise UsageError(msg, hint=hint) from None
    except OSError as fault:
        msg = f"{program} can't be started: {(fault.strerror or 'unknown reason').lower()}"
        raise UsageError(msg, hint=hint) from None
    if code:
        if _ABSENT in answer.decode("utf-8", "replace"):
            return None
        msg = f"{program} fails with exit code {code} for {address}"
        raise UsageError(msg, hint=f"run: echo {address} | {program} get")
    return _credential(answer, program, file)


def _run(program: str, address: str) -> tuple[int, bytes]:
    """Return the code that a helper ends with, and what it prints.

    That goes for its refusals too (docker-credential-helpers, ``client.Get``), and is bounded.
    """
    end = time.monotonic() + HELPER_TIMEOUT
    with tempfile.TemporaryFile() as asked:
        asked.write(address.encode())
        asked.seek(0)
        process = subprocess.Popen(  # noqa: S603  (a program that the user's configuration names)
            [program, "get"],
            stdin=asked,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment(),
        )
    assert process.stdout is not None  # noqa: S101  (it is a pipe)
    try:
        answer = _whole(child.blocks(process.stdout, end), program)
        return process.wait(max(0.0, end - time.monotonic())), answer
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def _whole(blocks: Iterable[bytes], program: str) -> bytes:
    hint = f"run: {program} get; a credential is all that it may print"
    return child.joined(
        blocks, UsageError(f"{program} prints more than any credential has", hint=hint)
    )


def _credential(output: bytes, program: str, file: Path) -> Credentials | None:
    try:
        answer = json.loads(output)
        username, secret = answer["Username"], answer["Secret"]
    except (ValueError, KeyError, TypeError, RecursionError):
        username = secret = None
    if not isinstance(username, str) or not isinstance(secret, str):
        msg = f"{program} answers with something else than a credential"
        raise UsageError(msg, hint=f"{file} names it as a credential helper")
    origin = f"{program} ({file})"
    if username == _TOKEN_USER:
        return _checked("", "", origin, secret)
    return _checked(username, secret, origin) if username or secret else None


def _checked(username: str, password: str, origin: str, token: str = "") -> Credentials:
    if ":" in username or re.search(r"[\x00-\x1f\x7f\ud800-\udfff]", username + password + token):
        msg = f"the credential from {origin} has a character that none can have"
        raise UsageError(msg, hint="is there a line break at its end?")
    return Credentials(username, password, identity_token=token, origin=origin)


def _broken(file: Path, why: str) -> UsageError:
    return UsageError(f"{file} is broken: {why}", hint="repair it, or log in again")
