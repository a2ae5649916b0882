"""The OMS signature of a version: the publisher's statement of its files, one Sigstore bundle."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from bundle.decode import parse_json
from bundle.digest import BLOCK, Digest
from bundle.errors import NotFound, SourceError
from bundle.hosts import joined, origin
from bundle.whole import Unranged
from bundler.sources.address import contact
from bundler.sources.ngc_api import StatusError
from bundler.sources.ngc_urls import ExpiredError, Signed, refused_twice

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bundler.sources.base import OpenAt
    from bundler.sources.ngc_api import Item, NgcApi

LIMIT: Final = 32 << 20
"""Bytes of a signature: it lists every file of the version, in base64."""
_BUNDLE: Final = "application/vnd.dev.sigstore.bundle"


def fetch(api: NgcApi, item: Item) -> bytes:
    """Return the signature's bytes, which NGC hands out at a signed URL of its own.

    Nothing in it is verified. Raises :class:`NotFound` when NGC has none, :class:`StatusError` for
    another refusal, and :class:`SourceError` for what is no Sigstore bundle.
    """
    what = f"the signature of {item}"
    for _ in range(2):  # a URL may expire between the two requests; two in a row do not
        try:
            data = _download(api, _url(api, item), item)
        except ExpiredError:
            continue
        if fault := _fault(data):
            raise SourceError(
                f"{what} is no Sigstore bundle: {fault}",
                hint="run again; if it stays so, the signature is damaged upstream",
            )
        return data
    raise refused_twice(what)


def opener(api: NgcApi, item: Item, digest: Digest) -> OpenAt:
    """Return what opens the signature that ``digest`` pins, and no other."""

    @contextmanager
    def open_at(offset: int, end: int | None = None) -> Iterator[Iterator[bytes]]:
        if end is not None:
            raise Unranged
        data = fetch(api, item)
        if (now := Digest.of(data)) != digest:
            raise SourceError(
                f"{item} has another signature now than when it was locked: {now}, not {digest}",
                hint="ask why it was signed anew, then lock anew: dray lock --update",
            )
        yield (data[start : start + BLOCK] for start in range(offset, len(data), BLOCK))

    return open_at


def _url(api: NgcApi, item: Item) -> str:
    try:
        body = api.get(item, item.path(f"{item.version_tail}/signature", guest=api.guest))
    except StatusError as refused:
        if refused.status != 404:
            raise
        raise NotFound(
            f"NGC says that {item} is signed, and has no signature of it",
            hint="run again later; nothing that is signed is carried without its signature",
        ) from None
    url = body.get("url")
    if not isinstance(url, str) or not url:
        raise SourceError(f"NGC does not give the URL of the signature of {item}")
    return joined(api.url("/"), url)


def _download(api: NgcApi, url: str, item: Item) -> bytes:
    if origin(url) == origin(api.url("/")):
        headers, access = api.authorization.headers, api.access(item)
        return api.http.request("GET", url, headers=headers, access=access, limit=LIMIT).body
    signed = Signed(f"the signature of {item}")
    return api.http.request("GET", contact(api.http, url), access=signed, limit=LIMIT).body


def _fault(data: bytes) -> str:
    try:
        body = parse_json(data, limit=LIMIT)
    except ValueError as reason:
        return str(reason)
    if not isinstance(body, dict):
        return "no object"
    if not str(body.get("mediaType", "")).startswith(_BUNDLE):
        return "another media type"
    return "" if isinstance(body.get("dsseEnvelope"), dict) else "no DSSE envelope"
