"""A token service for docker-registry: RS256 tokens that live as long as a test wants.

Source: distribution's docs/spec/auth (token.md, jwt.md, scope.md).
"""

from __future__ import annotations

import base64
import json
import threading
import time
import uuid
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ISSUER = "dray-tests"
SERVICE = "registry.test"
LEEWAY = 60
"""Seconds for which the registry accepts a token after its end (distribution, token.go)."""


def basic(username: str, password: str) -> str:
    """Return the credentials as HTTP Basic and docker's config.json write them."""
    return base64.b64encode(f"{username}:{password}".encode()).decode()


@dataclass
class TokenServer:
    """Issues tokens to those who know the password; ``lifetime`` is in seconds, and meant.

    The registry's leeway is taken off the end written into a token, so that a token really is
    refused after ``lifetime``. Set :attr:`expired` to N and the next N tokens are past their end
    already, while the answer says that they are fresh: what a client sees when a long transfer
    outlives its token.
    """

    realm: str
    root: Path
    lifetime: float = 300
    expired: int = 0
    issued: list[tuple[str, ...]] = field(default_factory=list)
    """The scopes of every token issued."""
    refused: int = 0
    """How many requests came with wrong credentials or with none."""

    def registry_config(self) -> dict[str, Any]:
        """Return the ``auth: token`` part of a docker-registry configuration."""
        return {
            "realm": self.realm,
            "service": SERVICE,
            "issuer": ISSUER,
            "rootcertbundle": str(self.root),
        }


class _Signer:
    """Signs tokens with a key whose self-signed certificate the registry trusts."""

    def __init__(self, root: Path) -> None:
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, ISSUER)])
        now, day = datetime.now(UTC), timedelta(days=1)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self._key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - day)
            .not_valid_after(now + day)
            .sign(self._key, hashes.SHA256())
        )
        root.write_bytes(certificate.public_bytes(Encoding.PEM))
        self._x5c = base64.b64encode(certificate.public_bytes(Encoding.DER)).decode()

    def token(self, subject: str, scopes: list[str], end: float) -> str:
        head = {"typ": "JWT", "alg": "RS256", "x5c": [self._x5c]}
        claims = {
            "iss": ISSUER,
            "aud": SERVICE,
            "sub": subject,
            "exp": int(end),
            "nbf": int(end) - 2 * LEEWAY - 86_400,
            "iat": int(time.time()),
            "jti": uuid.uuid4().hex,
            "access": [_access(scope) for scope in scopes],
        }
        signed = f"{_url64(json.dumps(head).encode())}.{_url64(json.dumps(claims).encode())}"
        signature = self._key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{signed}.{_url64(signature)}"


def _url64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _access(scope: str) -> dict[str, Any]:
    kind, _, rest = scope.partition(":")
    name, _, actions = rest.rpartition(":")
    return {"type": kind, "name": name, "actions": actions.split(",")}


@contextmanager
def serve(folder: Path, username: str, password: str) -> Iterator[TokenServer]:
    """Run a token service on a free loopback port."""
    signer = _Signer(folder / "tokens.pem")
    wanted, lock = "Basic " + basic(username, password), threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            query = parse_qs(urlsplit(self.path).query)
            with lock:
                if self.headers.get("Authorization") != wanted or query["service"] != [SERVICE]:
                    state.refused += 1
                    self._answer(401, {"errors": [{"code": "UNAUTHORIZED"}]})
                    return
                scopes = [one for many in query.get("scope", []) for one in many.split()]
                state.issued.append(tuple(scopes))
                left = state.lifetime if not state.expired else -1
                state.expired = max(0, state.expired - 1)
            token = signer.token(username, scopes, time.time() + left - LEEWAY)
            self._answer(200, {"token": token, "expires_in": max(60, int(left))})

        def _answer(self, status: int, body: dict[str, Any]) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """Say nothing: what happened is in the TokenServer."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True  # an idle keep-alive connection must not hold the end up
        state = TokenServer(f"http://127.0.0.1:{server.server_port}/token", folder / "tokens.pem")
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield state
        finally:
            server.shutdown()
            thread.join()
