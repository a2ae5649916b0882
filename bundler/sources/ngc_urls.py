"""Opening a file of NGC: a signed URL is asked for, used while it is taken, and never shown."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import quote

from bundle.errors import SourceError
from bundle.hosts import joined, origin
from bundle.http import REDIRECTS
from bundle.whole import Whole
from bundler.sources.address import contact
from bundler.sources.ngc_api import ItemAccess, StatusError
from bundler.sources.ngc_listing import digest_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bundle.digest import Digest
    from bundle.http import Access, Response
    from bundle.transfer import OpenRange
    from bundler.sources.ngc_api import Item, NgcApi

_UNLISTED = frozenset({400, 401})
"""How NGC refuses to list the URLs of some orgs, whose files it hands out one by one."""


class ExpiredError(Exception):
    """A signed URL is refused."""


class Signed:
    """Access to a content network: what is signed needs no credential, and must not have one."""

    def __init__(self, what: str) -> None:
        self._what = what

    def header(self) -> str:
        """Return nothing."""
        return ""

    def renew(self, sent: str, challenge: str) -> bool:
        """Return that there is nothing else to try."""
        return False

    def fault(self, response: Response) -> Exception:
        """Return the error for a final status, or that the URL has expired."""
        if response.status in {401, 403}:
            return ExpiredError()
        hint = "its size there is another than the listing says" if response.status == 416 else ""
        return SourceError(f"NGC's download of {self._what} answered {response.status}", hint=hint)


def opener(api: NgcApi, item: Item, path: str, size: int, digest: Digest | None) -> OpenRange:
    """Return what opens a file at an offset, in bytes; ``digest`` is what NGC must still say.

    Opening raises :class:`StatusError` where NGC gives no URL.
    """
    signed = _Urls(api, item, path, digest)
    whole = Whole(size)

    @contextmanager
    def open_at(offset: int, end: int | None = None) -> Iterator[Iterator[bytes]]:
        if offset >= size:  # an empty file has no range that could be asked for
            yield iter(())
            return
        with ExitStack() as stack:
            # Of a file that is fetched in many ranges, not every range is a request to the API.
            found = signed.known() if end is not None else None
            yield _opened(stack, found, offset, end)

    def _opened(
        stack: ExitStack, found: _Download | None, offset: int, end: int | None
    ) -> Iterator[bytes]:
        # A fresh URL may expire between the two requests; two in a row do not.
        for _ in range(2 if found is None else 3):
            found = found or signed.fresh()
            try:
                return stack.enter_context(
                    api.http.stream(
                        found.url,
                        offset=offset,
                        end=size if end is None else end,
                        headers=found.headers,
                        access=found.access,
                        whole=whole,
                        exact=end is not None,
                    )
                )
            except ExpiredError:
                signed.forget(found)
                found = None
        raise refused_twice(f"{path} of {item}")

    return open_at


def refused_twice(what: str) -> SourceError:
    """Return the error for two signed URLs in a row that are refused."""
    return SourceError(
        f"NGC's download of {what} refuses a URL that was just signed (403)",
        hint="is a proxy in between changing URLs, or the clock of this host far off?",
    )


class _Urls:
    """The URL that NGC signed last for a file; several threads may ask for one."""

    def __init__(self, api: NgcApi, item: Item, path: str, digest: Digest | None) -> None:
        self._ask = partial(_download, api, item, path, digest)
        self._last: _Download | None = None

    def known(self) -> _Download | None:
        return self._last

    def fresh(self) -> _Download:
        self._last = found = self._ask()
        return found

    def forget(self, refused: _Download) -> None:
        if self._last is refused:  # another thread may have a newer one by now
            self._last = None


@dataclass(frozen=True, slots=True)
class _Download:
    url: str = field(repr=False)
    access: Access
    headers: Mapping[str, str] = field(default_factory=dict)


def _download(api: NgcApi, item: Item, path: str, digest: Digest | None) -> _Download:
    try:
        query = {"path": path}
        body = api.get(item, item.url_path(guest=api.guest), query, scoped=False)
    except StatusError as refused:
        if refused.status not in _UNLISTED:
            raise
        return _by_redirect(api, item, path, refused)
    what = f"{path} of {item}"
    url = _only(body.get("urls"), what)
    if _only(body.get("filepath", [path]), what) != path:
        raise SourceError(f"NGC gives the URL of another file than {what}")
    hashes = body.get("sha256_base64")
    now = digest_of(hashes[0] if isinstance(hashes, list) and hashes else None, what)
    if digest and now and now != digest:
        raise SourceError(
            f"{what} is another file now than when it was locked: {now}, not {digest}",
            hint="look at what changed, then lock anew: dray lock --update",
        )
    absolute = joined(api.url("/"), url)
    if origin(absolute) == origin(api.url("/")):
        return _Download(absolute, api.access(item, scoped=False), api.authorization.headers)
    return _Download(contact(api.http, absolute), Signed(what))


def _only(value: object, what: str) -> str:
    if not isinstance(value, list) or len(value) != 1 or not isinstance(value[0], str):
        raise SourceError(f"NGC does not give the one URL of {what}")
    return value[0]


class _First(ItemAccess):
    """Access by the other path, whose refusal is told in the words of the first."""

    def __init__(self, api: NgcApi, item: Item, refused: StatusError) -> None:
        super().__init__(api.authorization, item, scoped=True)
        self._refused = refused

    def fault(self, response: Response) -> Exception:
        """Return the first refusal."""
        return self._refused if response.status in {400, 401} else super().fault(response)


def _by_redirect(api: NgcApi, item: Item, path: str, refused: StatusError) -> _Download:
    """Return where the other path leads, asked once: the file is fetched in many ranges."""
    tail = f"{item.version_tail}/files/{quote(path)}"
    url = api.url(item.path(tail, guest=api.guest))
    first, headers = _First(api, item, refused), api.authorization.headers
    ok = {206, *REDIRECTS}
    sent = {"Range": "bytes=0-0", **headers}
    answer = api.http.request("GET", url, headers=sent, ok=ok, access=first)
    target = joined(url, answer.headers.get("Location", ""))
    if answer.status == 206 or origin(target) == origin(url):  # it hands the file out itself
        return _Download(url, first, headers)
    return _Download(contact(api.http, target), Signed(f"{path} of {item}"))
