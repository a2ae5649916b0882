"""One HTTP exchange over requests: connections, certificates, proxies, and what a failure means."""

from __future__ import annotations

import logging
import os
import ssl
from http.cookiejar import DefaultCookiePolicy
from typing import TYPE_CHECKING, Self

import requests
import urllib3
from requests.utils import get_environ_proxies

from bundle import hosts
from bundle.digest import BLOCK
from bundle.hosts import redact
from bundle.http import Interrupted, Response
from bundle.patience import TOO_SLOW, Adapter, Drawn

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bundle.errors import TransferError
    from bundle.http import Body

# At DEBUG it prints whole URLs, and those of signed downloads are secrets.
logging.getLogger("urllib3.connectionpool").setLevel(logging.WARNING)


class _BodyFailed(Exception):
    """Carries what the body's source raised past urllib3, which would take it for its own."""

    def __init__(self, cause: Exception) -> None:
        super().__init__()
        self.cause = cause


class Wire:
    """Connections to all hosts, kept open between exchanges, shared by threads."""

    def __init__(self, user_agent: str, error: type[TransferError], own: Mapping[str, str]) -> None:
        self._error = error
        self._own = own
        self._system = hosts.system_authorities()
        self._answered: set[str] = set()
        self.session = requests.Session()
        # No netrc: it would replace the credential that belongs to the host.
        self.session.trust_env = False
        # No cookies: registries take them as a sign of a browser, and ask for CSRF tokens.
        self.session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self.session.headers.clear()
        self.session.headers.update({"User-Agent": user_agent, "Accept-Encoding": "identity"})
        for scheme in ("http://", "https://"):
            adapter = Adapter(pool_connections=32, pool_maxsize=32, pool_block=True)
            self.session.mount(scheme, adapter)

    def exchange(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: Body | None,
        timeouts: tuple[float, float],
    ) -> Answer:
        """Send one request and return the answer's head; follow and retry nothing."""
        if not hosts.is_url(url):
            raise self._unusable(url)
        outgoing = _Outgoing(body, self._error, redact(url)) if body else None
        host, name = hosts.authority(url), hosts.origin(url)[1]
        try:
            answer = self.session.get_adapter(url).send(
                self._prepare(method, url, headers, outgoing),
                stream=True,
                timeout=timeouts,
                verify=self._own.get(host) or self._own.get(name) or self._system,
                proxies={} if hosts.is_loopback(host) else get_environ_proxies(url),
            )
        except _BodyFailed as failed:
            raise failed.cause from None
        except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError) as fault:
            sent = outgoing is not None and outgoing.complete
            raise self._failure(fault, url, sent=sent) from None
        self._answered.add(host)
        return Answer(answer, url, headers.get("Authorization", ""), self._error)

    def close(self) -> None:
        """Close all connections."""
        self.session.close()

    def _prepare(
        self, method: str, url: str, headers: Mapping[str, str], outgoing: _Outgoing | None
    ) -> requests.PreparedRequest:
        request = requests.Request(method, url, {**self.session.headers, **headers}).prepare()
        if outgoing is not None and outgoing.size:
            request.headers["Content-Length"] = str(outgoing.size)
            request.body = outgoing  # type: ignore[assignment]  # an iterable: sent block by block
        elif outgoing is not None:
            for _none in outgoing:  # nothing to send, but whoever vouches for it is still asked
                pass
        return request

    def _failure(self, fault: Exception, url: str, *, sent: bool) -> Exception:
        host = hosts.authority(url)
        if isinstance(fault, requests.exceptions.SSLError | urllib3.exceptions.SSLError):
            if final := self._tls_failure(fault, host):
                return final
        elif isinstance(fault, requests.exceptions.InvalidHeader):
            return self._error(f"{host} answers with a header that no answer can have")
        elif isinstance(fault, ValueError):  # requests' InvalidURL and its kin are ValueErrors
            return self._unusable(url)
        reached = host in self._answered
        return Interrupted(f"{host}: {_reason(fault)}", sent=sent, reached=reached)

    def _unusable(self, url: str) -> TransferError:
        return self._error(f"{redact(url)!r} is no URL that can be asked")

    def _tls_failure(self, fault: Exception, host: str) -> TransferError | None:
        for cause in _causes(fault):
            if isinstance(cause, ssl.SSLCertVerificationError):
                msg = f"{host} shows a certificate that is not trusted: {cause.verify_message}"
                hint = "name its CA file for this host (ca:), or in REQUESTS_CA_BUNDLE"
                return self._error(msg, hint=hint)
            if isinstance(cause, ssl.SSLError) and cause.reason in {"WRONG_VERSION_NUMBER"}:
                hint = "if that is meant, set plain-http: true for this host"
                return self._error(f"{host} does not speak TLS", hint=hint)
        if "doesn't match" in str(fault):
            return self._error(f"{host} shows the certificate of another host")
        return None


class Answer:
    """The head of an answer, and its body while it arrives; close it, or use ``with``."""

    def __init__(
        self, raw: requests.Response, url: str, authorization: str, error: type[TransferError]
    ) -> None:
        self.status: int = raw.status_code
        self.headers: Mapping[str, str] = raw.headers
        self.url = url
        self.authorization = authorization
        self.sent = True
        self._raw = raw
        self._drawn = Drawn(raw.raw)
        self._error = error
        self._response: Response | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._raw.close()

    def blocks(self, *, decode: bool = False) -> Iterator[bytes]:
        """Yield the body in blocks of 1 MiB, as it is on the wire unless ``decode`` is set."""
        while True:
            try:
                block = self._drawn.read(BLOCK, decode=decode)
            except urllib3.exceptions.HTTPError as fault:
                reason = TOO_SLOW if self._drawn.late else _reason(fault)
                raise Interrupted(f"{redact(self.url)}: {reason}") from None
            if self._drawn.late:  # without a length, the end looks like any other
                raise Interrupted(f"{redact(self.url)}: {TOO_SLOW}")
            if not block:
                return
            yield block

    def complete(self, limit: int, *, strict: bool = True) -> Response:
        """Read the rest, up to ``limit`` bytes, and let the connection go.

        Where ``strict``, what is longer raises the run's error; else it is cut off, and a body that
        breaks off is taken as it is.
        """
        if self._response is None:
            body = self._read(limit, strict=strict)
            self._response = Response(self.status, self.headers, body, self.url)
            self._raw.close()
        return self._response

    def _read(self, limit: int, *, strict: bool) -> bytes:
        body = bytearray()
        try:
            for block in self.blocks(decode=True):
                body += block
                if len(body) > limit:
                    break
        except Interrupted:
            if strict:
                raise
        if strict and len(body) > limit:
            msg = f"{redact(self.url)} answered with more than {limit} bytes"
            raise self._error(msg)
        return bytes(body[:limit])


class _Outgoing:
    """A body on its way: an iterable with a length, and no file, which http.client would read in
    pieces of 16 KiB."""

    def __init__(self, body: Body, error: type[TransferError], where: str) -> None:
        self.size = body.size
        self.complete = False
        self._body = body
        self._error = error
        self._where = where

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Iterator[bytes]:
        count = 0
        try:
            for block in self._body.blocks():
                count += len(block)
                if count > self.size:
                    break
                if block:
                    yield block
            if count != self.size:
                msg = f"the body for {self._where} is not the {self.size} bytes announced"
                raise self._error(msg)
        except Exception as fault:
            raise _BodyFailed(fault) from None
        self.complete = True


def _causes(fault: BaseException) -> Iterator[BaseException]:
    seen: list[BaseException] = []
    waiting: list[object] = [fault]
    while waiting and len(seen) < 30:
        cause = waiting.pop(0)
        if isinstance(cause, BaseException) and cause not in seen:
            seen.append(cause)
            yield cause
            waiting += [getattr(cause, "reason", None), *cause.args, cause.__cause__]
            waiting.append(cause.__context__)


def _reason(fault: Exception) -> str:
    # The exceptions' own texts hold whole URLs, signatures included.
    causes = list(_causes(fault))
    for kind, text in (
        (urllib3.exceptions.NameResolutionError, "the name can't be resolved"),
        (urllib3.exceptions.ProxyError, "the proxy does not let the connection through"),
    ):
        if any(isinstance(cause, kind) for cause in causes):
            return text
    for cause in causes:
        if isinstance(cause, OSError) and isinstance(cause.errno, int) and cause.errno > 0:
            return os.strerror(cause.errno).lower()
    timeouts = (TimeoutError, urllib3.exceptions.TimeoutError)
    late = any(isinstance(cause, timeouts) for cause in causes)
    return "no answer in time" if late else "the connection was cut"
