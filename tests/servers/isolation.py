"""Keeps a test from the person's own settings, and from every address but loopback."""

from __future__ import annotations

import ipaddress
import os
import socket
import sys
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_FOREIGN = ("NGC_", "AWS_", "DRAY_", "DOCKER_", "REGISTRY_", "HF_", "HELM_", "COSIGN_", "CEPH_")
_FOREIGN_NAMES = {
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NETRC",
    "SOURCE_DATE_EPOCH",
    "COLUMNS",
}
_FOLDERS = {
    "HOME": "",
    "XDG_CONFIG_HOME": "config",
    "XDG_CACHE_HOME": "cache",
    "XDG_DATA_HOME": "share",
    "XDG_STATE_HOME": "state",
    "XDG_RUNTIME_DIR": "run",
    "DOCKER_CONFIG": "docker",
    "DRAY_STATE_DIR": "dray-state",
    "AWS_CONFIG_FILE": "aws-config",
    "AWS_SHARED_CREDENTIALS_FILE": "aws-credentials",
}


def foreign(environment: Iterator[str]) -> list[str]:
    """Return the names of variables that would change what a test sees."""
    return [
        name
        for name in environment
        if name.startswith(_FOREIGN)
        or name in _FOREIGN_NAMES
        or name.lower() in {"http_proxy", "https_proxy", "all_proxy", "no_proxy"}
    ]


def own(home: Path) -> dict[str, str]:
    """Return the variables of a test whose home folder is ``home``; nothing in it exists yet."""
    folders = {name: str(home / below) for name, below in _FOLDERS.items()}
    # Without it boto3 asks an address of the cloud for credentials.
    return {**folders, "AWS_EC2_METADATA_DISABLED": "true"}


class OutsideError(RuntimeError):
    """A test has tried to reach something that is not on loopback."""


attempts: list[str] = []
"""Addresses beyond loopback that were tried since the last look: retries may swallow the error."""

allowed: set[str] = set()
"""The name and addresses of the one host beyond loopback that a person has named for the tests."""

_guarding = False


def guard() -> None:
    """From now on, keep this process from connecting to, or looking up, what is not loopback.

    The host of ``HARBOR_URL`` is left out: whoever names a real Harbor wants the tests to reach it.
    """
    global _guarding  # noqa: PLW0603  (an audit hook cannot be taken away, nor must it stand twice)
    if not _guarding:
        _guarding = True
        if host := urlsplit(os.environ.get("HARBOR_URL", "")).hostname:
            allowed.update(named(host))
        sys.addaudithook(_audit)


def named(host: str) -> set[str]:
    """Return a host's name and its addresses; the name alone where it has none."""
    try:
        found = socket.getaddrinfo(host, None)
    except socket.gaierror:
        return {host}
    return {host, *(str(entry[4][0]) for entry in found)}


def _audit(event: str, arguments: tuple[object, ...]) -> None:
    if event in {"socket.connect", "socket.sendto"}:
        address = arguments[1]
        if isinstance(address, tuple) and not is_open(str(address[0])):
            attempts.append(str(address[:2]))
            msg = f"a test may not reach {address[:2]}"
            raise OutsideError(msg)
    elif event == "socket.getaddrinfo":
        name = arguments[0]
        if name and not is_open(name.decode() if isinstance(name, bytes) else str(name)):
            # As on a machine without a network: an unknown name is a case that programs handle.
            raise socket.gaierror(socket.EAI_NONAME, f"not looked up in tests: {name!r}")


def is_open(host: str) -> bool:
    """Whether a test may reach a host."""
    return host in allowed or is_loopback(host)


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this machine."""
    if host in {"localhost", ""} or host == os.uname().nodename:
        return True
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False
