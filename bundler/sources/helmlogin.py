"""Reading from a Helm repository with the credential that works there, or with none."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from threading import Lock
from typing import TYPE_CHECKING, TypeVar

from bundle.errors import NotFound, SourceError
from bundle.hosts import origin, redact
from bundler.sources.address import contact
from bundler.sources.keyring import HELM_HOST, Keyring

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from bundle.credentials import Credentials
    from bundle.http import Http, Response

    Explain = Callable[[str, Sequence[tuple[int, str]]], SourceError | None]
    T = TypeVar("T")

ABSENT = frozenset({404, 410})
REFUSED = frozenset({401, 403})


class StatusError(Exception):
    """An attempt was answered with a final status; it leaves this module in words."""

    def __init__(self, status: int) -> None:
        super().__init__(f"answered {status}")
        self.status = status


class Logins:
    """What to send to each Helm host: the configured credential first, then none.

    helm.ngc.nvidia.com refuses a valid key that has no right to all charts of an org where it
    serves anybody without one, so that a refusal is followed by the other attempt. ``find`` gives
    the credential of a host; ``explain`` may put the refusals of helm.ngc.nvidia.com into words.
    ``passed_over`` has, by URL, the status and the origin of a credential that was refused where
    none was needed.
    """

    def __init__(
        self,
        http: Http,
        find: Callable[[str], Credentials | None] | None = None,
        explain: Explain = lambda _url, _refusals: None,
    ) -> None:
        self._http = http
        self._explain = explain
        self.passed_over: dict[str, tuple[int, str]] = {}
        self._find = find or Keyring().find
        self._found: dict[str, Credentials | None] = {}
        self._mutex = Lock()

    def get(self, url: str, *, near: str, limit: int) -> Response:
        """Return the answer for ``url``; the credential goes only to the origin of ``near``.

        Raises :class:`NotFound` for 404, :class:`SourceError` when every attempt is refused.
        """
        return self._tried(url, near, self._getting(url, limit))

    def optional(self, url: str, *, near: str, limit: int) -> Response | None:
        """Return the answer for ``url``, or nothing when there is no such file.

        Stores whose content may not be listed refuse what they do not have instead of denying it.
        """
        try:
            return self._tried(url, near, self._getting(url, limit), ABSENT | REFUSED)
        except _AbsentError:
            return None

    def _getting(self, url: str, limit: int) -> Callable[[_Access], Response]:
        where = contact(self._http, url)

        def attempt(access: _Access) -> Response:
            ok = {200, *ABSENT, *REFUSED}
            answer = self._http.request("GET", where, ok=ok, access=access, limit=limit)
            if answer.status != 200:
                raise StatusError(answer.status)
            return answer

        return attempt

    @contextmanager
    def stream(self, url: str, *, near: str, offset: int, end: int) -> Iterator[Iterator[bytes]]:
        """Open ``url`` from byte ``offset`` to ``end``: each credential once."""
        where = contact(self._http, url)
        with ExitStack() as stack:

            def attempt(access: _Access) -> Iterator[bytes]:
                opened = self._http.stream(where, offset=offset, end=end, access=access)
                return stack.enter_context(opened)

            yield self._tried(url, near, attempt)

    def _tried(
        self,
        url: str,
        near: str,
        attempt: Callable[[_Access], T],
        absent: frozenset[int] = frozenset(),
    ) -> T:
        refusals: list[tuple[int, str]] = []
        for credential in self._candidates(url, near):
            try:
                found = attempt(_Access(credential))
                if refusals:
                    self.passed_over[url] = refusals[0]
                return found
            except StatusError as answer:
                refusals.append((answer.status, credential.origin if credential else ""))
                if answer.status not in REFUSED:
                    break
        if refusals[-1][0] in absent:
            raise _AbsentError
        if origin_name(url) == HELM_HOST and (better := self._explain(url, refusals)):
            raise better
        raise _fault(url, refusals)

    def _candidates(self, url: str, near: str) -> list[Credentials | None]:
        if origin(url) != origin(near):
            return [None]
        host = origin_name(near)
        with self._mutex:  # a credential helper may ask a person: once is enough
            if host not in self._found:
                self._found[host] = self._find(host)
            found = self._found[host]
        return [found, None] if found and found.password else [None]


class _AbsentError(Exception):
    """The file is not there, and need not be."""


class _Access:
    def __init__(self, credential: Credentials | None) -> None:
        self._credential = credential

    def header(self) -> str:
        return self._credential.basic if self._credential else ""

    def renew(self, sent: str, challenge: str) -> bool:
        return False

    def fault(self, response: Response) -> Exception:
        return StatusError(response.status)


def origin_name(url: str) -> str:
    """Return ``host[:port]`` as credentials are filed under."""
    return url.partition("://")[2].partition("/")[0].lower()


def _fault(url: str, refusals: Sequence[tuple[int, str]]) -> SourceError:
    where, status = redact(url), refusals[-1][0]
    if status in ABSENT:
        return NotFound(f"{where} does not exist ({status})", hint="is the repository's URL right?")
    tried = ", ".join(
        f"{code} with the credential of {name}" if name else f"{code} without a credential"
        for code, name in refusals
    )
    if status not in REFUSED:
        return SourceError(f"{where} is not to be had: {tried}")
    hint = "log in with: docker login, or helm registry login"
    if origin_name(url) == HELM_HOST:
        hint = "set NGC_API_KEY to a key of the org that has these charts"
    return SourceError(f"{where} is refused: {tried}", hint=hint)
