"""Plain files by URL, each with the digest that the spec gives."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote, urlsplit

from bundle.errors import SourceError, UsageError
from bundle.hosts import is_url, redact
from bundle.whole import Whole
from bundler.lock import Origin
from bundler.sources import fileset
from bundler.sources.address import Anonymous, contact
from bundler.sources.fileset import File, Identity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bundle.http import Http
    from bundler.entries import FileEntry
    from bundler.lock import LockedArtifact, LockedContent
    from bundler.sources.base import OpenAt

_SECRET = re.compile(r"signature|sig|token|key|credential|password|secret|auth", re.IGNORECASE)


class HttpsSource:
    """Files of any web server, without credentials (:class:`bundler.sources.base.Source`)."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def resolve(self, entry: FileEntry) -> LockedArtifact:
        """Return the file as an artifact of one file; its size is asked for if the spec has none.

        Raises :class:`UsageError` for a URL that must not stand in a lock, and
        :class:`SourceError` when the server does not say the size.
        """
        _check(entry)
        parts = urlsplit(entry.url)
        folder = unquote(parts.path).rpartition("/")[0]
        identity = Identity(
            kind="file",
            name=entry.url,
            repository=fileset.repository(parts.netloc, folder),
            version=f"sha256-{entry.digest.hex[:12]}",
        )
        size = self.size(entry.url) if entry.size is None else entry.size
        file = File(entry.path, size, entry.digest, url=entry.url)
        return fileset.build(identity, [file], origin=Origin("https", {}), notes={})

    def opener(self, artifact: LockedArtifact, content: LockedContent) -> OpenAt:
        """Return what opens the file at an offset."""
        whole = Whole(content.content.size)

        @contextmanager
        def open_at(offset: int, end: int | None = None) -> Iterator[Iterator[bytes]]:
            with self._http.stream(
                contact(self._http, content.url),
                offset=offset,
                end=whole.size if end is None else end,
                access=Anonymous(),
                whole=whole,
                exact=end is not None,
            ) as blocks:
                yield blocks

        return open_at

    def close(self) -> None:
        """Do nothing: the connections belong to the run."""

    def size(self, url: str) -> int:
        """Return the size of a file, in bytes, as the server says it; raise when it doesn't."""
        where = contact(self._http, url)
        # Servers of signed or generated files refuse HEAD: what they say to a GET counts.
        refused = (400, 401, 403, 404, 405, 410, 501)
        head = self._http.request("HEAD", where, ok=(200, *refused))
        length = head.headers.get("Content-Length", "")
        if head.status == 200 and re.fullmatch(r"[0-9]{1,16}", length):
            return _believed(int(length), url)
        return _believed(self._size_by_range(where), url)

    def _size_by_range(self, where: str) -> int:
        headers = {"Range": "bytes=0-0"}
        answer = self._http.request(
            "GET", where, headers=headers, ok=(200, 206, 416), access=Anonymous(), limit=1 << 20
        )
        total = re.fullmatch(
            r"bytes (?:0-0|\*)/([0-9]{1,16})", answer.headers.get("Content-Range", "")
        )
        if answer.status == 200:
            return len(answer.body)
        if not total:
            raise SourceError(
                f"{redact(where)} does not say its size", hint="give the size in the spec: size:"
            )
        return int(total[1])


def _believed(size: int, url: str) -> int:
    if size > fileset.LARGEST:
        raise SourceError(f"{redact(url)} claims to have {size} bytes")
    return size


def _check(entry: FileEntry) -> None:
    shown = redact(entry.url)
    if not is_url(entry.url) or not entry.url.isascii() or len(entry.url) > 4000:
        raise UsageError(
            f"{entry.where}: {shown} is no URL of a file",
            hint="https://host/path, percent-encoded, with no user name in it",
        )
    for name, _value in parse_qsl(urlsplit(entry.url).query, keep_blank_values=True):
        if _SECRET.search(name):
            raise UsageError(
                f"{entry.where}: {shown} has {name[:40]!r} in its query, which looks like a secret",
                hint="the URL is written into the lock: use one that anybody may see",
            )
