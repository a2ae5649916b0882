"""Uploads to a registry: one streamed request per blob, or several where one is too large."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit, urlunsplit

from bundle.api import PUSH
from bundle.chunked import ChunkedUpload, Refused, TooLarge
from bundle.digest import is_digest
from bundle.errors import PartlyDone, TransferError
from bundle.hosts import joined, origin, redact
from bundle.http import Body, Interrupted, backoff
from bundle.sessions import NoSessions, Session

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from bundle.api import Api
    from bundle.auth import RegistryAccess
    from bundle.digest import Descriptor, Digest
    from bundle.feed import Blocks
    from bundle.http import Response
    from bundle.sessions import Sessions

LARGE = 4 << 30
"""Bytes from which on a blob is sent in chunks: a request of hours meets somebody's time limit."""
CHUNK = 256 << 20
"""Bytes of a chunk of a large blob."""
STEPS = (64 << 20, 16 << 20, 4 << 20, 1 << 20, 512 << 10)
"""Bytes of chunks that are tried, one after another, when a request is refused as too large."""
CUTS = 2
"""How often in a row a single request may be cut off until the blob is sent in chunks: a proxy that
thinks it too large may hang up before it says so."""
_LOOKS = 5
"""How often to look for a blob whose upload was sent whole and never answered: object storage may
still be moving it."""


class Uploads:
    """The uploads of one registry (OCI distribution-spec, "Pushing blobs"), for several threads.

    A blob is one request, which is sent again in a new session when it breaks off: distribution
    2.x, and so Harbor, lose the old one. Where a request is refused as too large (413) the blob
    goes in chunks, smaller ones until they are taken, as do all that follow. So do large blobs.
    """

    def __init__(self, api: Api, sessions: Sessions | None = None) -> None:
        self._api = api
        self.http = api.http
        self.host = api.host
        self.sessions = NoSessions() if sessions is None else sessions
        self.minimum = 0
        """Bytes that chunks must have at least, as the registry says."""
        self._most = 0
        self._whole = False

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
            self.abort(repository, self.location(answer), digest)
        return answer.status == 201

    def put(self, repository: str, descriptor: Descriptor, blocks: Blocks) -> None:
        """Upload a blob; see :meth:`bundle.registry.Registry.put_blob`."""
        chunked = ChunkedUpload(self, repository, descriptor, blocks)
        failures, most = 0, 0
        while True:
            reached = chunked.reached
            try:
                return self._attempt(repository, descriptor, blocks, chunked, most)
            except TooLarge as refused:
                most = self._smaller(repository, descriptor, refused)
                continue
            except Refused:
                self._whole, most = True, 0
                continue
            except Interrupted as pause:
                failures = 1 if chunked.reached > reached else failures + 1
                if failures > (self.http.retries if pause.reached else min(2, self.http.retries)):
                    raise self.http.gave_up(pause, failures) from None
                if failures >= CUTS and not pause.sent and pause.status is None:
                    most = most or STEPS[0]
                self.http.sleep(backoff(failures, pause.retry_after))

    def _attempt(
        self,
        repository: str,
        descriptor: Descriptor,
        blocks: Blocks,
        chunked: ChunkedUpload,
        most: int,
    ) -> None:
        size = descriptor.size
        chunk = self._most or most or (CHUNK if size >= LARGE else 0)
        if chunked.begun and not chunk:  # by an earlier run, which had a reason for it
            chunk = STEPS[0]
        try:
            if self._whole or not (chunked.begun or 0 < chunk < size):
                self._send_whole(repository, descriptor, blocks)
            else:
                self._send_chunks(repository, descriptor, chunked, chunk)
        except (TooLarge, Refused, Interrupted, PartlyDone):
            raise
        except Exception:
            chunked.give_up()
            raise

    def _send_chunks(
        self, repository: str, descriptor: Descriptor, chunked: ChunkedUpload, chunk: int
    ) -> None:
        try:
            chunked.attempt(chunk)
        except Interrupted as pause:
            if not self._arrived(repository, descriptor.digest, pause):
                raise

    def _smaller(self, repository: str, descriptor: Descriptor, refused: TooLarge) -> int:
        """Return the chunk size to try next, for this blob and those that follow."""
        fits = [step for step in STEPS if self.minimum <= step < refused.size]
        if not fits or self._whole:
            raise self.refusal(repository, descriptor.digest, refused.answer)
        self._most = min(self._most or fits[0], fits[0])  # another thread may know better
        return self._most

    def _send_whole(self, repository: str, descriptor: Descriptor, blocks: Blocks) -> None:
        location = self.begin(repository, descriptor.digest)
        body, session = Body(descriptor.size, blocks), Session(location, 0)
        ok = (200, 201, 204, 404, 413)
        try:
            answer = self.send("PUT", repository, session, descriptor, body, ok=ok, closing=True)
        except Interrupted as pause:
            if not self._arrived(repository, descriptor.digest, pause):
                raise
            return
        except Exception:
            self.abort(repository, location, descriptor.digest)
            raise
        self._settle(repository, location, descriptor, answer)

    def _settle(
        self, repository: str, location: str, descriptor: Descriptor, answer: Response
    ) -> None:
        digest, size = descriptor.digest, descriptor.size
        if answer.status == 413:
            self.abort(repository, location, digest)
            raise TooLarge(answer, size)
        if answer.status == 404:
            msg = f"{self.host}/{repository} lost the upload of {digest.short}"
            raise Interrupted(msg, status=404)
        told = answer.headers.get("Docker-Content-Digest", "")
        if is_digest(told) and told != digest:
            self.abort(repository, location, digest)
            msg = f"{self.host}/{repository} stored {digest} as {told}"
            raise self.http.error(msg)

    # -- what both ways of sending need -----------------------------------------------------------

    def begin(self, repository: str, digest: Digest) -> str:
        """Begin an upload and return where it goes."""
        what = f"blob {digest}"
        begun = self._api.call("POST", repository, "blobs/uploads/", what, ok=(202,), actions=PUSH)
        least = begun.headers.get("OCI-Chunk-Min-Length", "")
        if least.isascii() and least.isdigit():
            self.minimum = int(least[:12])
        return self.location(begun)

    def send(
        self,
        method: str,
        repository: str,
        session: Session,
        descriptor: Descriptor,
        body: Body,
        *,
        ok: Collection[int],
        headers: Mapping[str, str] | None = None,
        closing: bool = False,
    ) -> Response:
        """Make one request of an upload; where ``closing``, the one that names the digest."""
        url, digest = session.location, descriptor.digest
        if closing:
            # Appended as text: the session's state in the query must come back exactly as it was.
            sign = "&" if urlsplit(url).query else "?"
            url = f"{url}{sign}digest={quote(digest, safe='')}"
        access = self.access(repository, session.location, digest)
        return self.http.upload(method, url, body, ok=ok, access=access, headers=headers)

    def refusal(self, repository: str, digest: Digest, answer: Response) -> TransferError:
        """Return the error for a final answer."""
        return self._api.refusal(repository, f"blob {digest}", answer)

    def ours(self, url: str) -> bool:
        """Whether a URL is the registry's own, and no other host's, such as object storage."""
        return origin(url) == origin(self.http.base(self.host))

    def _arrived(self, repository: str, digest: Digest, pause: Interrupted) -> bool:
        if not pause.sent:
            return False
        # No answer, or a gateway's, says nothing of the registry behind; its own answer does.
        for look in range(_LOOKS if pause.status in {None, 504} else 1):
            if look:
                self.http.sleep(backoff(look + 1))
            if self._api.has_blob(repository, digest):
                return True
        return False

    def location(self, answer: Response) -> str:
        """Return where an answer says that the upload goes on."""
        target = joined(answer.url, answer.headers.get("Location", ""))
        ours, theirs = urlsplit(answer.url), urlsplit(target)
        if target in {"", answer.url}:
            msg = f"{redact(answer.url)} begins an upload and does not say where"
            raise self.http.error(msg)
        if ours.scheme == "https" and theirs.scheme == "http":
            if ours.hostname == theirs.hostname:
                # A registry behind a TLS proxy that does not tell it so.
                return urlunsplit((ours.scheme, ours.netloc, theirs.path, theirs.query, ""))
            msg = f"{redact(answer.url)} sends the upload over plain HTTP to {redact(target)}"
            raise self.http.error(msg)
        return target

    def following(self, answer: Response) -> str:
        """Return where an upload goes on after an answer, which need not say so again."""
        target = joined(answer.url, answer.headers.get("Location", ""))
        return answer.url if target == answer.url else self.location(answer)

    def access(self, repository: str, url: str, digest: Digest) -> RegistryAccess | None:
        """Return the access to an upload; another host's takes no credential along."""
        if not self.ours(url):
            return None
        return self._api.access(f"blob {digest}", repository, PUSH)

    def abort(self, repository: str, location: str, digest: Digest) -> None:
        """Have the registry forget an upload, if it will."""
        access, nothing = self.access(repository, location, digest), Body.of(b"")
        # Best effort: distribution 2.x answers 404 for a session whose request broke off, and
        # removes what is left of it by itself, after a week.
        with suppress(TransferError, Interrupted):
            self.http.upload("DELETE", location, nothing, ok=(200, 202, 204, 404), access=access)
