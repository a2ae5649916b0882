"""NGC's JSON API: the paths for keys and for guests, and one checked request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlencode

from bundle.errors import SourceError
from bundle.http import PASSING, Interrupted, retry_after
from bundler.lock import Origin
from bundler.sources.ngc_answers import read_object, status_of, suffix, told
from bundler.sources.ngc_caller import API
from bundler.sources.ngc_reasons import Refusal, explain

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bundle.http import Http, Response
    from bundler.entries import NgcEntry
    from bundler.sources.ngc_auth import Authorization

WARNING: Final = "nv-ngc-response-warning-message"
ANSWER_LIMIT: Final = 16 << 20


@dataclass(frozen=True, slots=True)
class Item:
    """A version of a model or of a resource; ``kind`` is ``models`` or ``resources``.

    An image is an item too, of kind ``repos``.
    """

    kind: str
    org: str
    team: str
    name: str
    version: str

    def __str__(self) -> str:
        if self.kind == "repos":
            return f"nvcr.io/{self.address}"
        return f"{self.kind[:-1]} {self.address}:{self.version}"

    @classmethod
    def named(cls, entry: NgcEntry) -> Item:
        """Return what an entry of the spec names."""
        return cls(f"{entry.kind}s", entry.org, entry.team, entry.name, entry.version)

    @classmethod
    def of(cls, origin: Origin) -> Item:
        """Return what a lock's origin names; raise :class:`SourceError` when it names nothing."""
        where = origin.where
        try:
            item = cls(
                where["type"], where["org"], where.get("team", ""), where["name"], where["version"]
            )
        except KeyError as missing:
            raise SourceError(f"the lock has an ngc origin without {missing}") from None
        if item.kind not in {"models", "resources"}:
            raise SourceError(f"the lock has an ngc origin of type {item.kind[:40]!r}")
        return item

    @property
    def origin(self) -> Origin:
        """The origin as it stands in the lock."""
        where = {"org": self.org, "name": self.name, "version": self.version}
        where |= {"team": self.team} if self.team else {}
        return Origin("ngc", {**where, "type": self.kind})

    @property
    def address(self) -> str:
        """``org[/team]/name``, as people and specs write it."""
        return "/".join(part for part in (self.org, self.team, self.name) if part)

    @property
    def word(self) -> str:
        """What the API's JSON calls this kind."""
        return "model" if self.kind == "models" else "recipe"

    @property
    def page(self) -> str:
        """The page for people, where terms are accepted."""
        team = f"/teams/{quote(self.team, safe='')}" if self.team else ""
        org, name, version = (quote(text, safe="") for text in (self.org, self.name, self.version))
        kind = "containers" if self.kind == "repos" else self.kind
        query = f"?version={version}" if version else ""
        return f"https://catalog.ngc.nvidia.com/orgs/{org}{team}/{kind}/{name}{query}"

    def path(self, tail: str = "", *, guest: bool) -> str:
        """Return the path of the item, for a key or for a guest, with ``tail`` after it."""
        org, team, name = (quote(text, safe="") for text in (self.org, self.team, self.name))
        if guest:
            return f"/v2/{self.kind}/{org}{f'/{team}' if team else ''}/{name}{tail}"
        return f"/v2/org/{org}{f'/team/{team}' if team else ''}/{self.kind}/{name}{tail}"

    def url_path(self, *, guest: bool) -> str:
        """Return the path that lists signed URLs: no ``versions/``, and words only for guests."""
        tail = f"/{quote(self.version, safe='')}/files"
        if not guest:
            return self.path(tail, guest=False)
        org, team, name = (quote(text, safe="") for text in (self.org, self.team, self.name))
        return f"/v2/{self.kind}/org/{org}{f'/team/{team}' if team else ''}/{name}{tail}"

    def refused(self, response: Response, authorization: Authorization) -> Refusal:
        """Return the refusal of a request about this item."""
        return Refusal(
            what=str(self),
            org=self.org,
            team=self.team,
            page=self.page,
            status=response.status,
            login=authorization.login,
            caller=authorization.caller,
            end=suffix(response, authorization),
            request=authorization.scrub(told(response)[1])[:80],
        )

    @property
    def version_tail(self) -> str:
        """``/versions/<version>``."""
        return f"/versions/{quote(self.version, safe='')}"


class StatusError(Exception):
    """NGC refused; ``error`` is what to raise when nothing else can be tried."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(f"answered {refusal.status}")
        self.status = refusal.status
        self.refusal = refusal

    @property
    def error(self) -> SourceError:
        """The refusal in words; NGC is asked whose key it is before it is explained."""
        return explain(self.refusal).error()


class ItemAccess:
    """Access of one request about an item (:class:`bundle.http.Access`)."""

    def __init__(self, authorization: Authorization, item: Item, *, scoped: bool) -> None:
        self._authorization = authorization
        self._item = item
        self._scoped = scoped
        self._renewed = False

    def header(self) -> str:
        """Return the value of ``Authorization``, or nothing for a guest."""
        return self._authorization.value(scoped=self._scoped)

    def renew(self, sent: str, challenge: str) -> bool:
        """After a 401: fetch another token, once."""
        again = not self._renewed and self._authorization.renew(sent)
        self._renewed = True
        return again

    def fault(self, response: Response) -> Exception:
        """Return the error for a final status, with its number for whoever can try more."""
        return StatusError(self._item.refused(response, self._authorization))


class NgcApi:
    """Requests to the API on behalf of one login. For several threads."""

    def __init__(
        self, http: Http, authorization: Authorization, *, warn: Callable[[str], object]
    ) -> None:
        self.http = http
        self.authorization = authorization
        self._warn = warn

    @property
    def guest(self) -> bool:
        """Whether there is no key."""
        return self.authorization.guest

    def url(self, path: str, query: Mapping[str, str] | None = None) -> str:
        """Return the URL of a path of the API."""
        text = urlencode(query or {}, quote_via=quote)
        return self.http.base(API) + path + (f"?{text}" if text else "")

    def access(self, item: Item, *, scoped: bool = True) -> ItemAccess:
        """Return the access for one request about an item."""
        return ItemAccess(self.authorization, item, scoped=scoped)

    def get(
        self, item: Item, path: str, query: Mapping[str, str] | None = None, *, scoped: bool = True
    ) -> dict[str, object]:
        """Return the object that a path answers with.

        Raises :class:`StatusError` for a final status, and :class:`SourceError` for an answer that
        is no JSON object, or a failure in disguise, and for what does not pass.
        """
        url = self.url(path, query)
        response = self.http.persist(lambda: self._attempt(item, url, scoped=scoped))
        if warning := response.headers.get(WARNING, ""):
            self._warn(f"NGC about {item}: {self.authorization.scrub(warning)}")
        try:
            body = read_object(response.body)
        except ValueError as reason:
            raise SourceError(f"NGC's answer about {item} is no JSON object: {reason}") from None
        code = status_of(body)[0]
        if code not in {"SUCCESS", ""}:
            end = suffix(response, self.authorization)
            raise SourceError(f"NGC says {self.authorization.scrub(code)[:40]} to {item}{end}")
        return body

    def _attempt(self, item: Item, url: str, *, scoped: bool) -> Response:
        # What may pass is looked at here and not in the client, for its request id.
        response = self.http.request(
            "GET",
            url,
            headers={"Accept": "application/json", **self.authorization.headers},
            ok={200, *PASSING},
            access=self.access(item, scoped=scoped),
            limit=ANSWER_LIMIT,
        )
        if response.status in PASSING:
            raise Interrupted(
                f"NGC answers {response.status} about {item}{suffix(response, self.authorization)}",
                retry_after=retry_after(response.headers),
                status=response.status,
            )
        return response
