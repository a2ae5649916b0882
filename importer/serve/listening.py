"""Where a server listens, and what of TLS that takes."""

from __future__ import annotations

import ipaddress
import re
import ssl
from typing import TYPE_CHECKING

from bundle.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

DEFAULT = "127.0.0.1:5000"
_LISTEN = re.compile(r"(?:\[([0-9a-fA-F:.]+)\]|([0-9A-Za-z.-]+)):([0-9]{1,5})")


def address_of(text: str) -> tuple[str, int]:
    """Return the host and the port of ``--listen``; raise :class:`UsageError`."""
    match = _LISTEN.fullmatch(text)
    if not match or int(match[3]) > 65535:
        hint = f"write ADDRESS:PORT, as {DEFAULT} or [::1]:5000"
        raise UsageError(f"--listen: not an address and a port: {text!r}", hint=hint)
    return match[1] or match[2], int(match[3])


def is_loopback(host: str) -> bool:
    """Whether only this host reaches that address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def check_open(host: str, *, tls: bool, plain_http: bool) -> None:
    """Raise :class:`UsageError` for a server that others reach without TLS, and nobody said so."""
    if tls and plain_http:
        raise UsageError("--plain-http and --tls-cert exclude each other")
    if not tls and not plain_http and not is_loopback(host):
        hint = "name a certificate with --tls-cert and --tls-key, or say --plain-http"
        raise UsageError(f"{host} can be reached from other hosts, and there is no TLS", hint=hint)


def tls_of(cert: Path | None, key: Path | None, client_ca: Path | None) -> ssl.SSLContext | None:
    """Return what speaks TLS; with ``client_ca``, only to clients with a certificate of that CA.

    Raises :class:`UsageError` for files that are none.
    """
    if cert is None or key is None:
        if cert or key or client_ca:
            raise UsageError("--tls-cert and --tls-key are needed both")
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        # Without this, OpenSSL would ask for a passphrase on the terminal.
        context.load_cert_chain(cert, key, password=lambda: "")
    except (OSError, ValueError) as error:
        # SSLError is an OSError with a reason of its own.
        reason = str(getattr(error, "reason", None) or getattr(error, "strerror", None) or "no PEM")
        hint = "both are PEM files, and the key has no passphrase"
        raise UsageError(f"{cert} and {key} cannot be used: {reason.lower()}", hint=hint) from None
    if client_ca:
        _ask(context, client_ca)
    return context


def _ask(context: ssl.SSLContext, client_ca: Path) -> None:
    """Let clients prove who they are, or go."""
    context.verify_mode = ssl.CERT_REQUIRED
    try:
        context.load_verify_locations(client_ca)
    except (OSError, ValueError) as error:
        reason = str(getattr(error, "reason", None) or getattr(error, "strerror", None) or "no PEM")
        hint = "it is the certificate of the CA that signed the clients', in PEM"
        raise UsageError(f"{client_ca} cannot be used: {reason.lower()}", hint=hint) from None
