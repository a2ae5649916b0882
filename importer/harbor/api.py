"""Calls of Harbor's API: Basic on each of them, no cookie ever, and its form of errors.

Preemptive Basic neither expires in the middle of a blob nor needs a token; a cookie would make
Harbor ask for a CSRF token (src/server/middleware/csrf; :class:`bundle.wire.Wire` keeps none).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from bundle import weight
from bundle.decode import Fields, spell
from bundle.errors import DrayError, TargetError
from bundle.http import PASSING, Interrupted
from bundle.refusals import printable
from importer.harbor import words

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from bundle.credentials import Credentials
    from bundle.decode import Path
    from bundle.http import Http, Response

PAGE = 100
"""Rows of a page: the most that Harbor gives (swagger.yaml, ``page_size``)."""
_LIMIT = 64 << 20
_ANY = range(200, 600)


class Api:
    """The API of the Harbor that is called ``host``, on behalf of ``credentials``.

    ``http`` raises :class:`TargetError`. Failures that may pass are tried again.
    """

    def __init__(self, host: str, http: Http, credentials: Credentials | None) -> None:
        self.host = host
        self.http = http
        self.credentials = credentials

    @property
    def who(self) -> str:
        """On whose behalf calls are made, for messages."""
        return self.credentials.username if self.credentials else "nobody (no login is configured)"

    def call(
        self,
        method: str,
        path: str,
        what: str,
        *,
        query: Mapping[str, object] | None = None,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        ok: Collection[int] = (200,),
    ) -> Response:
        """Make a call about ``what``; raise :class:`TargetError` for a status outside ``ok``."""
        url = f"{self.http.base(self.host)}/api/v2.0{path}"
        if query:
            url += "?" + urlencode({key: str(value) for key, value in query.items()})
        sent = {"Accept": "application/json", **(headers or {})}
        if self.credentials:
            sent["Authorization"] = self.credentials.basic
        data = None
        if body is not None:
            sent["Content-Type"] = "application/json"
            data = json.dumps(body).encode()

        def attempt() -> Response:
            answer = self.http.request(method, url, headers=sent, body=data, ok=_ANY, limit=_LIMIT)
            if answer.status in ok:
                return answer
            if answer.status in PASSING:
                number = words.request_id(answer)
                shown = f"{method} {path} at {self.host} answered {answer.status}"
                shown += f" (request {number} in Harbor's log)" if number else ""
                raise Interrupted(shown, status=answer.status)
            raise words.refusal(self.host, what, answer, self.who)

        return self.http.persist(attempt)

    def fields(self, answer: Response, what: str) -> Fields:
        """Return the JSON object of an answer."""
        return Fields(self._json(answer, what), (), self._fault(what))

    def rows(
        self, path: str, what: str, query: Mapping[str, object] | None = None
    ) -> Iterator[Fields]:
        """Yield the rows of a list, from all of its pages."""
        for page in range(1, 1000):
            wanted = {**(query or {}), "page": page, "page_size": PAGE}
            found = self.listed(self.call("GET", path, what, query=wanted), what)
            yield from found
            if len(found) < PAGE:
                return

    def listed(self, answer: Response, what: str) -> list[Fields]:
        """Return the objects in the list of an answer; Harbor writes ``null`` for none."""
        found = self._json(answer, what) or []
        if not isinstance(found, list):
            raise TargetError(f"{self.host} answers no list for {what}")
        fault = self._fault(what)
        return [Fields(item, (number,), fault) for number, item in enumerate(found)]

    def _json(self, answer: Response, what: str) -> object:
        try:
            text = answer.body.decode()
            words = weight.check(text)
            return json.loads(text, object_pairs_hook=lambda pairs: _shared(pairs, words))
        except (ValueError, RecursionError):
            hint = (
                "a proxy before it may answer with a page of its own: whoever runs it has to look"
            )
            raise TargetError(f"{self.host} answers no JSON for {what}", hint=hint) from None

    def _fault(self, what: str) -> Any:
        def fault(path: Path, message: str, _hint: str) -> DrayError:
            where = f" at {spell(path)}" if path else ""
            text = printable(f"{self.host} answers oddly about {what}{where}: {message}")
            return TargetError(text, hint="is this version of Harbor supported?")

        return fault


def segment(text: str) -> str:
    """Return a segment of a path."""
    return quote(text, safe="")


def repository_path(repository: str) -> str:
    """Return the path of ``project/name``; the name is encoded twice, as Harbor's router wants.

    Source: swagger.yaml, parameter ``repositoryName``.
    """
    project, _, name = repository.partition("/")
    return f"/projects/{segment(project)}/repositories/{segment(segment(name))}"


def optional(fields: Fields, key: str) -> Fields | None:
    """Take an object that may be missing or ``null``."""
    value = fields.raw(key, None)
    return None if value is None else Fields(value, (*fields.path, key), fields.fault)


def objects(fields: Fields, key: str) -> list[Fields]:
    """Take a list of objects that may be missing or ``null``."""
    value = fields.raw(key, None)
    if not isinstance(value, list | None):
        raise fields.wrong(key, "is no list")
    where = (*fields.path, key)
    return [Fields(one, (*where, number), fields.fault) for number, one in enumerate(value or [])]


def _shared(pairs: list[tuple[str, object]], words: dict[str, str]) -> dict[str, object]:
    found = dict(pairs)
    weight.share(found, words)
    return found
