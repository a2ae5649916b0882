"""Who has issued a host's certificate: told apart are public authorities and boxes on the way."""

from __future__ import annotations

import re
import socket
import ssl
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from bundle.http import Http

PUBLIC: Final = re.compile(
    r"amazon|digicert|let's encrypt|internet security research|google trust|globalsign|sectigo|"
    r"comodo|entrust|geotrust|godaddy|starfield|microsoft|baltimore|usertrust|certum|zerossl|"
    r"ssl corp|identrust|cloudflare|harica",
    re.IGNORECASE,
)
"""Words in the names of authorities that content networks and clouds have certificates from."""
_SECONDS = 5.0


def inspects(issuer: str) -> bool:
    """Whether an issuer is none of the public authorities: a company's own, or a proxy's."""
    return PUBLIC.search(issuer) is None


def issuer(http: Http, host: str) -> str:
    """Return the name in the certificate that a host shows, whoever vouches for it; or nothing.

    Nothing is sent and nothing is believed: the name is for a message. Hosts that are reached
    through a proxy have none.
    """
    from cryptography import x509  # noqa: PLC0415  (only for a message)
    from requests.utils import get_environ_proxies  # noqa: PLC0415

    base = http.base(host)
    parts = urlsplit(base)
    if parts.scheme != "https" or get_environ_proxies(base):
        return ""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    name = parts.hostname or ""
    try:
        with (
            socket.create_connection((name, parts.port or 443), _SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=name) as link,
        ):
            data = link.getpeercert(binary_form=True) or b""
        found = x509.load_der_x509_certificate(data).issuer
    except (OSError, ValueError):
        return ""
    names = [
        str(item.value)
        for oid in (x509.NameOID.ORGANIZATION_NAME, x509.NameOID.COMMON_NAME)
        for item in found.get_attributes_for_oid(oid)
    ]
    text = " ".join(dict.fromkeys(names))
    return "".join(letter for letter in text if letter.isprintable())[:100]
