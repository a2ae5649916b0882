"""Where the URLs that a spec or an upstream names are contacted, and how a refusal is told."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from bundle.errors import NotFound, SourceError
from bundle.hosts import is_url, redact

if TYPE_CHECKING:
    from bundle.http import Http, Response


def contact(http: Http, url: str) -> str:
    """Return ``url`` with the scheme and host under which its host is contacted in this run.

    Raises :class:`SourceError` for what is no URL, and for plain HTTP where the run speaks TLS.
    """
    if not is_url(url):
        raise SourceError(f"{redact(url)} is no HTTP URL without a user name in it")
    parts = urlsplit(url)
    base = urlsplit(http.base(parts.netloc.lower()))
    if parts.scheme == "http" and base.scheme == "https" and base.netloc == parts.netloc.lower():
        raise SourceError(
            f"{redact(url)} is plain HTTP, which anybody on the way can change",
            hint=f"write https://, or set plain-http: true for {parts.netloc} under registries:",
        )
    return urlunsplit((base.scheme, base.netloc, parts.path or "/", parts.query, ""))


class Anonymous:
    """Access without a credential (:class:`bundle.http.Access`)."""

    def header(self) -> str:
        """Return nothing: there is no credential."""
        return ""

    def renew(self, sent: str, challenge: str) -> bool:
        """Return that there is nothing else to try."""
        return False

    def fault(self, response: Response) -> Exception:
        """Return the error for a final status."""
        where = redact(response.url)
        if response.status in {404, 410}:
            return NotFound(f"{where} does not exist ({response.status})")
        if response.status in {401, 403}:
            return SourceError(
                f"{where} is not given to everybody ({response.status})",
                hint="files by URL are fetched without a credential: offer it where none is needed",
            )
        return SourceError(f"{where} answered {response.status}")
