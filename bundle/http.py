"""HTTP as both sides use it: retries, redirects and ranges, with credentials kept at home."""

from __future__ import annotations

import random
import re
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Protocol, TypeVar

from bundle import __version__, hosts
from bundle.errors import SourceError, TransferError
from bundle.hosts import Host, redact
from bundle.whole import Unranged

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from bundle.whole import Whole
    from bundle.wire import Answer

    T = TypeVar("T")

__all__ = ["Access", "Body", "Host", "Http", "Interrupted", "Response", "backoff", "redact"]

TIMEOUTS = (10.0, 60.0)
"""Seconds to connect, and of silence while reading."""
UPLOAD_TIMEOUTS = (60.0, 300.0)
"""The same for uploads: the first bounds each block that is sent; a registry that moves a finished
blob to object storage stays silent for minutes."""
LONGEST_PAUSE = 300.0
"""Seconds; a server that asks for more is asked again after this."""
PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
REDIRECTS = frozenset({301, 302, 303, 307, 308})
ERROR_BODY = 64 << 10
"""Bytes of a refusal that are read; the rest is left."""
_HARMLESS = frozenset({"accept", "accept-encoding", "range", "user-agent"})


class Interrupted(Exception):
    """An attempt failed in a way that may pass: a cut, a timeout, 408, 425, 429 or 5xx.

    ``retry_after`` is what the server asked for, in seconds; ``status`` its answer, if there was
    one; ``sent`` tells that the whole body was sent before the attempt failed; ``reached`` that the
    host has answered before in this run.
    """

    def __init__(
        self,
        message: str,
        *,
        retry_after: float | None = None,
        status: int | None = None,
        sent: bool = False,
        reached: bool = True,
    ) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.status = status
        self.sent = sent
        self.reached = reached


@dataclass(frozen=True, slots=True)
class Response:
    """A complete answer; header names compare without regard to case."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str


@dataclass(frozen=True, slots=True)
class Body:
    """A request body of ``size`` bytes; ``blocks`` is called anew for each attempt."""

    size: int
    blocks: Callable[[], Iterator[bytes]]

    @classmethod
    def of(cls, data: bytes) -> Body:
        """Return ``data`` as a body."""
        return cls(len(data), lambda: iter((data,)))


class Access(Protocol):
    """On whose behalf a request is made, and how its refusal is told. One object per request."""

    def header(self) -> str:
        """Return the value of ``Authorization``, or nothing."""
        ...

    def renew(self, sent: str, challenge: str) -> bool:
        """After a 401 to ``sent``: whether :meth:`header` now has something else to try."""
        ...

    def fault(self, response: Response) -> Exception:
        """Return what to raise for a final status: an error, or an :class:`Interrupted`."""
        ...


@dataclass(frozen=True, slots=True)
class _Call:
    method: str
    url: str
    headers: Mapping[str, str]
    body: Body | None
    ok: Collection[int]
    access: Access | None
    timeouts: tuple[float, float]


class Http:
    """The HTTP client of one run and side, for several threads.

    ``error`` is what failures are raised as. ``retries`` counts the attempts after the first one.
    """

    def __init__(
        self,
        known: Mapping[str, Host] | None = None,
        *,
        error: type[TransferError] = SourceError,
        retries: int = 6,
        user_agent: str = f"dray/{__version__}",
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        from bundle.wire import Wire  # noqa: PLC0415  (requests: `dray --help` must not pay for it)

        self.error = error
        self.retries = retries
        self.sleep = sleep
        self.hosts = dict(known or {})
        self.wire = Wire(user_agent, error, hosts.authorities(self.hosts))
        self._bases: dict[str, str] = {}
        self._lock = threading.Lock()

    def base(self, host: str) -> str:
        """Return ``scheme://host[:port]`` under which ``host`` is contacted.

        A loopback host of which nothing is said speaks plain HTTP when it does not speak TLS.
        """
        with self._lock:
            if host not in self._bases:
                found, certain = hosts.locate(host, self.hosts.get(host, Host()))
                if not certain:
                    return found
                self._bases[host] = found
            return self._bases[host]

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: Body | bytes | None = None,
        ok: Collection[int] = (200,),
        access: Access | None = None,
        limit: int = 32 << 20,
    ) -> Response:
        """Make a request, again while what fails may pass, and return the complete answer.

        A status outside ``ok`` raises what ``access`` makes of it, or the run's error; so does an
        answer of more than ``limit`` bytes. GET and HEAD follow redirects unless ``ok`` has them.
        """
        outgoing = Body.of(body) if isinstance(body, bytes) else body
        call = _Call(method, url, headers or {}, outgoing, ok, access, TIMEOUTS)
        return self.persist(lambda: self._attempt(call, limit))

    def upload(
        self,
        method: str,
        url: str,
        body: Body,
        *,
        ok: Collection[int],
        access: Access | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """Make one attempt to send a large ``body``; what fails and may pass is an Interrupted.

        Whatever ``body.blocks()`` raises comes out as it is, and the request was never completed.
        """
        sent = {"Content-Type": "application/octet-stream", **(headers or {})}
        return self._attempt(_Call(method, url, sent, body, ok, access, UPLOAD_TIMEOUTS), 1 << 20)

    @contextmanager
    def stream(
        self,
        url: str,
        *,
        offset: int = 0,
        end: int | None = None,
        headers: Mapping[str, str] | None = None,
        access: Access | None = None,
        whole: Whole | None = None,
        exact: bool = False,
    ) -> Iterator[Iterator[bytes]]:
        """Open ``url`` from byte ``offset`` up to (not including) byte ``end``: one attempt.

        Yields blocks of 1 MiB as they are on the wire. A server that answers a range with the whole
        is read from the start and its first bytes are thrown away; where ``exact``, that raises
        :class:`bundle.whole.Unranged`, and so does another ETag than that of ``whole``. One that
        answers with another range, or of a file of another size, raises the run's error. What may
        pass raises :class:`Interrupted`.
        """
        wanted = dict(headers or {})
        ranged = offset > 0 or end is not None
        if ranged:
            wanted["Range"] = f"bytes={offset}-{'' if end is None else end - 1}"
        ok = (200, 206) if ranged else (200,)
        call = _Call("GET", url, wanted, None, ok, access, TIMEOUTS)
        with self._ask(call) as answer:
            self._settle(call, answer)
            same = whole is None or whole.same(answer.headers)
            if exact and not (same and answer.status == 206):
                raise Unranged
            if answer.status == 206:
                self._check_range(answer, offset, end, whole)
                yield answer.blocks()
            else:
                yield _cut(answer.blocks(), offset, end)

    def persist(self, action: Callable[[], T]) -> T:
        """Call ``action`` until it no longer raises :class:`Interrupted`, with pauses in between.

        A host that has never answered is given up early: its name is probably wrong.
        """
        failures = 0
        while True:
            try:
                return action()
            except Interrupted as pause:
                failures += 1
                if failures > (self.retries if pause.reached else min(2, self.retries)):
                    raise self.gave_up(pause, failures) from None
                self.sleep(backoff(failures, pause.retry_after))

    def gave_up(self, pause: Interrupted, attempts: int) -> TransferError:
        """Return the error for a failure that did not pass."""
        times = "once" if attempts == 1 else f"{attempts} times"
        hint = "is the host name right, and does a proxy or firewall let it through?"
        return self.error(
            f"{pause} (tried {times})",
            hint="run the same command again: it goes on from here" if pause.reached else hint,
        )

    def close(self) -> None:
        """Let all connections go."""
        self.wire.close()

    def _attempt(self, call: _Call, limit: int) -> Response:
        with self._ask(call) as answer:
            self._settle(call, answer)
            return answer.complete(limit)

    def _ask(self, call: _Call) -> Answer:
        answer = self._follow(call)
        for _ in range(2):
            if answer.status != 401 or call.access is None or not _same(answer.url, call.url):
                break
            answer.complete(ERROR_BODY, strict=False)
            challenge = answer.headers.get("WWW-Authenticate", "")
            if not call.access.renew(answer.authorization, challenge):
                break
            answer = self._follow(call)
        return answer

    def _follow(self, call: _Call) -> Answer:
        url, headers = call.url, dict(call.headers)
        if call.access and (value := call.access.header()):
            headers["Authorization"] = value
        for _ in range(10):
            answer = self.wire.exchange(call.method, url, headers, call.body, call.timeouts)
            if (
                answer.status not in REDIRECTS
                or answer.status in call.ok
                or call.method not in {"GET", "HEAD"}
            ):
                return answer
            answer.complete(ERROR_BODY, strict=False)
            target = self._redirected(answer)
            if not _same(url, target):
                # Dropped for good: a foreign host that points back chose the path itself.
                headers = {k: v for k, v in headers.items() if k.lower() in _HARMLESS}
            url = target
        msg = f"{redact(call.url)} redirects in a circle"
        raise self.error(msg)

    def _redirected(self, answer: Answer) -> str:
        target = hosts.joined(answer.url, answer.headers.get("Location", ""))
        if target in {"", answer.url}:
            msg = f"{redact(answer.url)} redirects to nowhere"
            raise self.error(msg)
        if hosts.leaves_tls(answer.url, target):
            msg = f"{redact(answer.url)} redirects from TLS to plain HTTP at {redact(target)}"
            raise self.error(msg, hint="dray does not leave TLS: does a proxy in between do that?")
        return target

    def _settle(self, call: _Call, answer: Answer) -> None:
        if answer.status in call.ok:
            return
        response = answer.complete(ERROR_BODY, strict=False)
        if response.status in PASSING:
            raise Interrupted(
                f"{call.method} {redact(response.url)} answered {response.status}"
                + _request_id(response.headers),
                retry_after=retry_after(response.headers),
                status=response.status,
                sent=answer.sent,
            )
        if call.access and _same(response.url, call.url):
            raise call.access.fault(response)
        msg = f"{call.method} {redact(response.url)} answered {response.status}"
        raise self.error(msg)

    def _check_range(
        self, answer: Answer, offset: int, end: int | None, whole: Whole | None
    ) -> None:
        first, last, size = hosts.content_range(answer.headers.get("Content-Range", ""))
        if whole is not None and size not in {-1, whole.size}:
            msg = (
                f"{redact(answer.url)} is {size} bytes there, not the {whole.size} that are pinned"
            )
            raise self.error(msg, hint="look at what changed, then lock anew: dray lock --update")
        if first != offset or last < first or (end is not None and last >= end):
            msg = f"{redact(answer.url)} answered with another range than bytes {offset} and on"
            raise self.error(msg, hint="a proxy between may be caching partial answers")


def backoff(failures: int, retry_after: float | None = None) -> float:
    """Return how many seconds to wait after the given number of failures in a row.

    Doubles from half a second to half a minute, with jitter, so that workers do not come back all
    at once; a server's own wish comes first.
    """
    jitter = random.random()  # noqa: S311  (no secret depends on it)
    if retry_after is not None:
        return min(retry_after, LONGEST_PAUSE) + jitter / 2
    return min(0.5 * 2.0 ** (failures - 1), 30.0) * (0.5 + jitter / 2)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that ``Retry-After`` asks for (RFC 9110, section 10.2.3), if it does.

    A date is measured from the server's own ``Date``, where it gives one: clocks differ.
    """
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return float(min(int(text[:9]), LONGEST_PAUSE))
    try:
        then = parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError):
        return None
    try:
        now = parsedate_to_datetime(headers.get("Date", "")).timestamp()
    except (ValueError, OverflowError):
        now = time.time()
    return min(max(then - now, 0.0), LONGEST_PAUSE)


def _request_id(headers: Mapping[str, str]) -> str:
    """Return how the server's own log names a request, where it says so (Harbor does)."""
    number = headers.get("X-Request-Id", "")
    return f" (request {number})" if re.fullmatch(r"[A-Za-z0-9._-]{1,64}", number) else ""


def _same(url: str, other: str) -> bool:
    return hosts.origin(url) == hosts.origin(other)


def _cut(blocks: Iterator[bytes], offset: int, end: int | None) -> Iterator[bytes]:
    position = 0
    for block in blocks:
        start, stop = position, position + len(block)
        position = stop
        if end is not None and stop >= end:
            yield block[max(offset - start, 0) : end - start]
            return
        if stop > offset:
            yield block[max(offset - start, 0) :] if start < offset else block
