"""Uploads to a registry: one streamed request per blob, begun anew when it breaks off."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import quote, urljoin, urlsplit, urlunsplit

from bundle.api import PUSH
from bundle.digest import is_digest
from bundle.errors import TransferError
from bundle.hosts import is_url, origin, redact
from bundle.http import Body, Interrupted, backoff

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bundle.api import Api
    from bundle.auth import RegistryAccess
    from bundle.digest import Descriptor, Digest
    from bundle.http import Response

    Blocks = Callable[[], Iterator[bytes]]

_LOOKS = 5
"""How often to look for a blob whose upload was sent whole and never answered: object storage may
still be moving it."""


class Uploads:
    """The uploads of one registry (OCI distribution-spec, "Pushing blobs").

    A session that broke off is not continued: distribution 2.x, and so Harbor, lose it. The blob is
    sent again in a new session.
    """

    def __init__(self, api: Api) -> None:
        self._api = api
        self._http = api.http

    def mount(self, repository: str, digest: Digest, from_repository: str) -> bool:
        """Take over a blob of another repository; return whether the registry did."""
        query = f"mount={quote(digest, safe='')}&from={quote(from_repository, safe='')}"
        try:
            answer = self._api.call(
                "POST",
                repository,
                f"blobs/uploads/?{query}",
                f"blob {digest}",
                # Whatever else it says: the upload that follows will hear it too, for itself.
                ok=(201, 202, 400, 401, 403, 404, 405),
                actions=PUSH,
                more=(f"repository:{from_repository}:pull",),
            )
        except TransferError:
            return False
        if answer.status == 202:
            self._abort(repository, self._location(answer), digest)
        return answer.status == 201

    def put(self, repository: str, descriptor: Descriptor, blocks: Blocks) -> None:
        """Upload a blob; see :meth:`bundle.registry.Registry.put_blob`."""
        self._http.persist(lambda: self._attempt(repository, descriptor, blocks))

    def _attempt(self, repository: str, descriptor: Descriptor, blocks: Blocks) -> None:
        rest, what = "blobs/uploads/", f"blob {descriptor.digest}"
        begun = self._api.call("POST", repository, rest, what, ok=(202,), actions=PUSH)
        location = self._location(begun)
        try:
            self._send(repository, location, descriptor, blocks)
        except Interrupted as pause:
            if not self._arrived(repository, descriptor.digest, pause):
                raise
        except Exception:
            self._abort(repository, location, descriptor.digest)
            raise

    def _send(self, repository: str, location: str, descriptor: Descriptor, blocks: Blocks) -> None:
        digest = descriptor.digest
        # Appended as text: the session's state in the query must come back exactly as it was.
        url = f"{location}{'&' if urlsplit(location).query else '?'}digest={quote(digest, safe='')}"
        body, access = Body(descriptor.size, blocks), self._access(repository, location, digest)
        answer = self._http.upload("PUT", url, body, ok=(200, 201, 204, 404), access=access)
        if answer.status == 404:
            msg = f"{self._api.host}/{repository} lost the upload of {digest.short}"
            raise Interrupted(msg, status=404)
        told = answer.headers.get("Docker-Content-Digest", "")
        if is_digest(told) and told != digest:
            msg = f"{self._api.host}/{repository} stored {digest} as {told}"
            raise self._http.error(msg)

    def _arrived(self, repository: str, digest: Digest, pause: Interrupted) -> bool:
        if not pause.sent:
            return False
        # No answer, or a gateway's, says nothing of the registry behind; its own answer does.
        for look in range(_LOOKS if pause.status in {None, 504} else 1):
            if look:
                self._http.sleep(backoff(look + 1))
            if self._api.has_blob(repository, digest):
                return True
        return False

    def _location(self, answer: Response) -> str:
        target = urljoin(answer.url, answer.headers.get("Location", ""))
        ours, theirs = urlsplit(answer.url), urlsplit(target)
        if not is_url(target) or target == answer.url:
            msg = f"{redact(answer.url)} begins an upload and does not say where"
            raise self._http.error(msg)
        if ours.scheme == "https" and theirs.scheme == "http":
            if ours.hostname == theirs.hostname:
                # A registry behind a TLS proxy that does not tell it so.
                return urlunsplit((ours.scheme, ours.netloc, theirs.path, theirs.query, ""))
            msg = f"{redact(answer.url)} sends the upload over plain HTTP to {redact(target)}"
            raise self._http.error(msg)
        return target

    def _access(self, repository: str, url: str, digest: Digest) -> RegistryAccess | None:
        # An upload that is sent to another host, such as object storage, takes no credential along.
        if origin(url) != origin(self._http.base(self._api.host)):
            return None
        return self._api.access(f"blob {digest}", repository, PUSH)

    def _abort(self, repository: str, location: str, digest: Digest) -> None:
        access, nothing = self._access(repository, location, digest), Body.of(b"")
        # Best effort: distribution 2.x answers 404 for a session whose request broke off, and
        # removes what is left of it by itself, after a week.
        with suppress(TransferError, Interrupted):
            self._http.upload("DELETE", location, nothing, ok=(200, 202, 204, 404), access=access)
