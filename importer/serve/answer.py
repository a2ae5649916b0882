"""What the registry answers to a request: the pull half of the OCI distribution-spec.

Source: OCI distribution-spec 1.1, "Pull", "Content Discovery", "Error Codes".
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from bundle.artifact import TAG
from bundle.chunks import INDEX_TYPE
from bundle.decode import parse_json
from bundle.digest import Digest, is_digest
from bundle.reader import MANIFEST_LIMIT
from importer.serve.request import one_range
from importer.targets.naming import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from bundle.artifact import Content
    from importer.serve.catalogue import Catalogue, Repository
    from importer.serve.request import Request
    from importer.serve.store import Store

_PATHS = (
    ("manifest", re.compile(r"/v2/(.+)/manifests/([^/]+)")),
    ("blob", re.compile(r"/v2/(.+)/blobs/([^/]+)")),
    ("tags", re.compile(r"/v2/(.+)/tags/list()")),
    ("referrers", re.compile(r"/v2/(.+)/referrers/([^/]+)")),
)
_JSON = "application/json"
_PAGE = 1000
"""Names in one answer, when the client asks for more or does not say."""


@dataclass(frozen=True)
class Answer:
    """Status, headers and body. ``body`` yields ``size`` bytes, or raises on the way."""

    status: int
    headers: Mapping[str, str]
    body: Iterable[bytes] = ()
    size: int = 0


class Refused(Exception):
    """A request that is answered with an error of the specification."""

    def __init__(self, status: int, code: str, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}

    def answer(self) -> Answer:
        """Return the error as the specification spells it."""
        error = {"code": self.code, "message": self.message}
        return _document(self.status, {"errors": [error]}, _JSON, self.headers)


@dataclass(frozen=True)
class Registry:
    """One bundle, or one folder, as a registry; for several threads."""

    catalogue: Catalogue
    store: Store
    own: frozenset[str] = field(default_factory=frozenset)
    """Names of this server itself, which are no namespace of a source."""

    def answer(self, request: Request) -> Answer:
        """Answer a request.

        Raises :class:`Refused`, and :class:`bundle.errors.DrayError` for what the media hold.
        """
        if request.method not in {"GET", "HEAD"}:
            raise Refused(405, "UNSUPPORTED", "this registry is read-only", Allow="GET, HEAD")
        if request.path in {"/v2", "/v2/"}:
            return _document(200, {}, _JSON, {})
        if request.path == "/v2/_catalog":
            names = sorted(self.catalogue.short)
            return _page(names, "repositories", {}, request)
        for kind, pattern in _PATHS:
            if match := pattern.fullmatch(request.path):
                repository = self._repository(match[1], request)
                found: Answer = getattr(self, f"_{kind}")(repository, match[2], request)
                return found
        raise Refused(404, "NOT_FOUND", "no such path: this is an OCI registry, below /v2/")

    def _repository(self, name: str, request: Request) -> Repository:
        if not re.fullmatch(REPOSITORY, name):
            raise Refused(400, "NAME_INVALID", "no name of a repository")
        namespace = request.query.get("ns", "")
        if namespace in self.own or namespace == request.headers.get("host"):
            namespace = ""
        found = self.catalogue.find(name, namespace)
        if found is None:
            of = f" of {namespace[:100]}" if namespace else ""
            raise Refused(404, "NAME_UNKNOWN", f"there is no {name[:255]}{of} here")
        return found

    def _manifest(self, repository: Repository, reference: str, request: Request) -> Answer:
        content = self._find(repository, reference)
        self.store.check(content.digest)
        headers = {"Content-Type": content.media_type, **_identity(content.digest)}
        if _known(request, content.digest):
            return Answer(304, headers)
        if request.method == "HEAD":
            return Answer(200, headers, (), content.size)
        return Answer(200, headers, (self.store.small(content.digest),), content.size)

    @staticmethod
    def _find(repository: Repository, reference: str) -> Content:
        if ":" in reference:
            found = repository.manifests.get(_digest(reference))
        elif not re.fullmatch(TAG, reference):
            raise Refused(400, "TAG_INVALID", "no tag")
        else:
            found = repository.tags.get(reference)
        if found is None:
            hint = ""
            if reference in repository.contested:
                hint = ": two sources have it, ask with the source's host in front of the name"
            raise Refused(
                404, "MANIFEST_UNKNOWN", f"no {reference} of {repository.name} here{hint}"
            )
        return found

    def _blob(self, repository: Repository, reference: str, request: Request) -> Answer:
        digest = _digest(reference)
        # A manifest may be asked for as a blob too: some clients do.
        content = repository.blobs.get(digest) or repository.manifests.get(digest)
        if content is None:
            raise Refused(404, "BLOB_UNKNOWN", f"no blob {digest} of {repository.name} here")
        self.store.check(digest)
        headers = {
            "Content-Type": "application/octet-stream",
            "Accept-Ranges": "bytes",
            **_identity(digest),
        }
        if _known(request, digest):
            return Answer(304, headers)
        wanted = _wanted(request, content)
        if wanted is None:
            body = () if request.method == "HEAD" else self.store.whole(digest)
            return Answer(200, headers, body, content.size)
        start, end = wanted
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{content.size}"
        return Answer(206, headers, self.store.ranged(digest, start, end), end - start)

    def _tags(self, repository: Repository, _nothing: str, request: Request) -> Answer:
        return _page(sorted(repository.tags), "tags", {"name": repository.name}, request)

    def _referrers(self, repository: Repository, reference: str, request: Request) -> Answer:
        subject = _digest(reference)
        wanted = request.query.get("artifactType", "")
        found = map(self._described, repository.referrers.get(subject, {}).values())
        rows = [row for row in found if not wanted or row["artifactType"] == wanted]
        headers = {"OCI-Filters-Applied": "artifactType"} if wanted else {}
        body = {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": rows}
        return _document(200, body, INDEX_TYPE, headers)

    def _described(self, content: Content) -> dict[str, Any]:
        """Return a referrer's descriptor, with what its manifest says of itself."""
        row: dict[str, Any] = {"mediaType": content.media_type, "digest": str(content.digest)}
        row["size"] = content.size
        try:
            found = parse_json(self.store.small(content.digest), limit=MANIFEST_LIMIT)
        except ValueError:
            found = {}  # a document that the low side took, and that this side cannot read
        document = found if isinstance(found, dict) else {}
        config = document.get("config")
        fallback = config.get("mediaType") if isinstance(config, dict) else ""
        row["artifactType"] = document.get("artifactType") or fallback or ""
        if isinstance(notes := document.get("annotations"), dict):
            row["annotations"] = notes
        return row


def _digest(text: str) -> Digest:
    if not is_digest(text):
        raise Refused(400, "DIGEST_INVALID", "no sha256 digest")
    return Digest(text)


def _identity(digest: Digest) -> dict[str, str]:
    return {"Docker-Content-Digest": str(digest), "ETag": f'"{digest}"'}


def _known(request: Request, digest: Digest) -> bool:
    """Whether the client says that it has these bytes (RFC 9110, section 13.1.2)."""
    tags = request.headers.get("if-none-match", "")
    return tags == "*" or f'"{digest}"' in tags


def _wanted(request: Request, content: Content) -> tuple[int, int] | None:
    """Return the range to be sent, or ``None`` for all of it (RFC 9110, section 14)."""
    text = request.headers.get("range", "")
    if not text or request.method != "GET":
        return None
    if request.headers.get("if-range", f'"{content.digest}"') != f'"{content.digest}"':
        return None
    try:
        return one_range(text, content.size)
    except ValueError:
        everything = f"bytes */{content.size}"
        raise Refused(
            416, "RANGE_INVALID", f"the blob has {content.size} bytes", Content_Range=everything
        ) from None


def _page(names: list[str], key: str, body: dict[str, Any], request: Request) -> Answer:
    """Return a page of names in the order of their bytes, and where the next one is."""
    text = request.query.get("n", str(_PAGE))
    if not re.fullmatch("[0-9]{1,9}", text):
        raise Refused(400, "PAGINATION_NUMBER_INVALID", "n is no number")
    count, last = min(int(text), _PAGE), request.query.get("last", "")
    rest = [name for name in names if name > last]
    shown = rest[:count]
    headers: dict[str, str] = {}
    if shown and len(rest) > len(shown):
        more = urlencode({"n": count, "last": shown[-1]})
        headers["Link"] = f'<{request.target.partition("?")[0]}?{more}>; rel="next"'
    return _document(200, {**body, key: shown}, _JSON, headers)


def _document(status: int, document: object, media_type: str, headers: Mapping[str, str]) -> Answer:
    data = json.dumps(document, separators=(",", ":")).encode() + b"\n"
    return Answer(status, {"Content-Type": media_type, **headers}, _once(data), len(data))


def _once(data: bytes) -> Iterator[bytes]:
    yield data
