"""How a host is reached: endpoint, TLS or plain HTTP, authorities; and what a URL may show."""

from __future__ import annotations

import ipaddress
import os
import re
import socket
import ssl
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urljoin, urlsplit

from bundle.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

_ALIASES = {"docker.io": "registry-1.docker.io", "index.docker.io": "registry-1.docker.io"}
_PORTS = {"http": 80, "https": 443}
_PROBE = 2.0


@dataclass(frozen=True, slots=True)
class Host:
    """How one host is reached, as the spec's ``registries:`` or the target file says.

    ``endpoint`` is ``scheme://host[:port]`` to contact instead of the name: a mirror, an emulator.
    ``plain_http`` unset means plain HTTP for a loopback host that does not speak TLS, and TLS for
    all others. ``ca_file`` is a PEM file that replaces the system's authorities for this host.
    """

    endpoint: str = ""
    plain_http: bool | None = None
    ca_file: str = ""


def locate(host: str, known: Host) -> tuple[str, bool]:
    """Return the base URL of ``host``, and whether that is certain or worth asking again."""
    if known.endpoint:
        return known.endpoint.rstrip("/"), True
    name = _ALIASES.get(host, host)
    if known.plain_http is not None:
        return f"{'http' if known.plain_http else 'https'}://{name}", True
    if not is_loopback(name):
        return f"https://{name}", True
    speaks = _speaks_tls(name)
    return f"{'http' if speaks is False else 'https'}://{name}", speaks is not None


def _speaks_tls(host: str) -> bool | None:
    # A ClientHello, and the first byte of the answer: a TLS record or anything else. The half-close
    # keeps a plain HTTP server from waiting for the rest of a line.
    parts = urlsplit(f"//{host}")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    hello = ssl.MemoryBIO()
    shake = context.wrap_bio(ssl.MemoryBIO(), hello, server_hostname=parts.hostname)
    with suppress(ssl.SSLWantReadError):
        shake.do_handshake()
    address = (parts.hostname or "", parts.port or 443)
    try:
        connection = socket.create_connection(address, timeout=_PROBE)
    except OSError:
        return None
    with connection:
        try:
            connection.sendall(hello.read())
            connection.shutdown(socket.SHUT_WR)
            return connection.recv(1) in {b"\x15", b"\x16"}
        except OSError:
            return False


def is_loopback(host: str) -> bool:
    """Whether ``host[:port]`` is this machine by its name alone."""
    name = urlsplit(f"//{host}").hostname or ""
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def authorities(known: Mapping[str, Host]) -> dict[str, str]:
    """Return CA files by ``host:port``, and by host name for its other ports.

    Raises :class:`bundle.errors.UsageError` for a file that can't be read or holds no certificate.
    """
    found: dict[str, str] = {}
    for name, host in known.items():
        if not host.ca_file:
            continue
        try:
            ssl.create_default_context(cafile=host.ca_file)
        except (OSError, ValueError) as fault:
            why = "no certificate in it"
            if isinstance(fault, OSError) and not isinstance(fault, ssl.SSLError):
                why = (fault.strerror or "unreadable").lower()
            msg = f"the CA file {host.ca_file} of {name} is not usable: {why}"
            raise UsageError(msg, hint="give a PEM file with the CA's certificate") from None
        base, _certain = locate(name, Host(endpoint=host.endpoint, plain_http=False))
        found[authority(base)] = host.ca_file
        found.setdefault(origin(base)[1], host.ca_file)
    return found


def system_authorities() -> str | bool:
    """Return the CA bundle for hosts without their own: by environment, else the system's."""
    for variable in ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "CURL_CA_BUNDLE"):
        if value := os.environ.get(variable):
            if not Path(value).exists():
                msg = f"{variable} names {value}, which is not there"
                raise UsageError(msg)
            return value
    paths = ssl.get_default_verify_paths()
    return paths.cafile or paths.capath or True


def authority(url: str) -> str:
    """Return ``host:port`` of a URL."""
    _scheme, name, port = origin(url)
    return f"[{name}]:{port}" if ":" in name else f"{name}:{port}"


def origin(url: str) -> tuple[str, str, int]:
    """Return scheme, host and port (RFC 6454): what a credential is bound to."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0)


def is_url(text: str) -> bool:
    """Whether ``text`` is an absolute HTTP URL with a host, a possible port and no user in it."""
    try:
        parts = urlsplit(text)
        origin(text)
    except ValueError:
        return False
    plain = not re.search(r"[\x00-\x20\x7f]", text)
    return parts.scheme in _PORTS and bool(parts.hostname) and "@" not in parts.netloc and plain


def joined(base: str, reference: str) -> str:
    """Return the URL that a server's ``reference`` leads to from ``base``; nothing if it is none.

    Source: RFC 3986, section 5.
    """
    try:
        target = urljoin(base, reference)
    except ValueError:  # a bracket that nobody closes
        return ""
    return target if is_url(target) else ""


def leaves_tls(url: str, target: str) -> bool:
    """Whether the way from ``url`` to ``target`` goes from TLS to plain HTTP.

    By what they mean and not by how they start: ``HTTP:`` is a scheme as well.
    """
    return origin(url)[0] == "https" and origin(target)[0] == "http"


def redact(url: str) -> str:
    """Return ``url`` as messages show it: without user, query, fragment, which may be secrets.

    Servers redirect to what they like: what moves a terminal's cursor is no part of it either.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return "a URL that is none"
    shown = SplitResult(parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", "")
    return "".join(letter if letter.isprintable() else "?" for letter in shown.geturl()[:300])


def content_range(header: str) -> tuple[int, int, int]:
    """Return first byte, last byte and size of the whole in a ``Content-Range``; -1 is unknown.

    Source: RFC 9110, section 14.4.
    """
    match = re.fullmatch(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)", header.strip())
    if not match:
        return -1, -1, -1
    return int(match[1]), int(match[2]), -1 if match[3] == "*" else int(match[3])
