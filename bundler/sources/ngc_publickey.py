"""The public keys that NGC publishes: fetched when a spec names one, and never believed unpinned.

Source: ``GET /v2/catalog/<kind>/public-key`` of NGC's API, PEM, no credentials.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from bundle.signature import MAX_PEM
from bundler.sources.ngc_caller import API

if TYPE_CHECKING:
    from bundle.http import Http
    from bundle.upstream.policy import KeyEntry


def fetch(http: Http, entry: KeyEntry) -> bytes:
    """Return the bytes that NGC gives for ``entry.ngc``; raise :class:`SourceError` for none.

    Whoever stands in between can answer as well: the caller compares the key's fingerprint.
    """
    url = f"{http.base(API)}/v2/catalog/{quote(entry.ngc, safe='')}/public-key"
    return http.request("GET", url, limit=MAX_PEM).body
