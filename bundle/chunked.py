"""An upload in several requests: for registries behind a limit, and for blobs of many gigabytes.

Source: OCI distribution-spec, "Pushing a blob in chunks". What registries make of it differs: the
2.x releases of distribution, and so Harbor, lose a session whose request broke off midway, and go
on with one whose last request was answered; later ones say how far they came. So the last answer's
``Location`` is kept, a session is asked for its state before it is gone on with, and the digest at
the end has the last word.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bundle.digest import is_digest
from bundle.feed import Feed
from bundle.http import Body, Interrupted
from bundle.sessions import Session

if TYPE_CHECKING:
    from bundle.digest import Descriptor
    from bundle.feed import Blocks
    from bundle.http import Response
    from bundle.upload import Uploads

LOST = frozenset({400, 404, 405, 410, 416, 501})
"""What says that a session cannot be gone on with."""


class TooLarge(Exception):
    """A request's body of ``size`` bytes is larger than something on the way allows."""

    def __init__(self, answer: Response, size: int) -> None:
        super().__init__()
        self.answer, self.size = answer, size


class Refused(Exception):
    """The registry takes no chunks."""


class ChunkedUpload:
    """One blob on its way to one repository; :meth:`attempt` goes on where the last one ended."""

    def __init__(
        self, uploads: Uploads, repository: str, descriptor: Descriptor, blocks: Blocks
    ) -> None:
        self._uploads, self._repository, self._descriptor = uploads, repository, descriptor
        self._feed = Feed(blocks)
        self._name = f"{uploads.host}/{repository}@{descriptor.digest}"
        self._session = uploads.sessions.load(self._name)
        if self._session and not self._usable(self._session):
            self._session = None
        self._sure = False
        self._resumed = self._session is not None
        self.reached = 0
        """The most bytes that the registry has acknowledged."""

    @property
    def begun(self) -> bool:
        """Whether a session is known."""
        return self._session is not None

    def _usable(self, session: Session) -> bool:
        return self._uploads.ours(session.location) and session.offset <= self._descriptor.size

    def attempt(self, chunk: int) -> None:
        """Send what is missing in chunks of ``chunk`` bytes, and close the upload.

        Raises :class:`TooLarge` when a chunk is, with the session kept; :class:`Refused` when the
        registry has no chunks; :class:`Interrupted` for what may pass.
        """
        session = self._session_to_use()
        if minimum := self._uploads.minimum:
            chunk = max(chunk, minimum)
        while session.offset < self._descriptor.size:
            session = self._patch(session, chunk)
        self._close(session)

    def give_up(self) -> None:
        """Have the registry forget the upload."""
        if self._session:
            self._uploads.abort(self._repository, self._session.location, self._descriptor.digest)
        self._forget()

    # -- the session ------------------------------------------------------------------------------

    def _session_to_use(self) -> Session:
        if self._session and not self._sure:
            self._session = self._state(self._session)
            self._resumed = self._resumed or self._session is not None
        if self._session is None:
            self._uploads.sessions.drop(self._name)
            location = self._uploads.begin(self._repository, self._descriptor.digest)
            self._session, self._resumed = Session(location, 0), False
        self._sure = True
        return self._session

    def _state(self, session: Session) -> Session | None:
        """Ask how far a session came; nothing when it cannot be gone on with."""
        access = self._uploads.access(self._repository, session.location, self._descriptor.digest)
        ok = (200, 204, *LOST, 401, 403)
        http = self._uploads.http
        answer = http.request("GET", session.location, ok=ok, access=access)
        if answer.status not in {200, 204}:
            return None
        offset = _told(answer)
        if offset > self._descriptor.size:
            return None
        return Session(self._uploads.following(answer), offset)

    def _forget(self) -> None:
        self._session, self._sure = None, False
        self._uploads.sessions.drop(self._name)

    # -- requests ---------------------------------------------------------------------------------

    def _patch(self, session: Session, chunk: int) -> Session:
        start = session.offset
        count = min(chunk, self._descriptor.size - start)
        body = Body(count, lambda: self._feed.chunk(start, count))
        headers = {"Content-Range": f"{start}-{start + count - 1}"}
        self._sure = False  # until this is answered
        answer = self._uploads.send(
            "PATCH",
            self._repository,
            session,
            self._descriptor,
            body,
            headers=headers,
            ok=(200, 201, 202, 204, 413, *LOST),
        )
        if answer.status == 413:
            raise TooLarge(answer, count)
        if answer.status in LOST and not start and not self._resumed:
            self.give_up()
            raise Refused
        if answer.status in LOST or _told(answer) not in {0, start + count}:
            raise self._lost(answer)
        session = Session(self._uploads.following(answer), start + count)
        self._session, self._sure = session, True
        self.reached = max(self.reached, session.offset)
        if self._uploads.ours(session.location):  # others are signed, and secrets
            self._uploads.sessions.save(self._name, session)
        return session

    def _close(self, session: Session) -> None:
        self._sure = False
        digest = self._descriptor.digest
        ok = (200, 201, 204, *LOST)
        answer = self._uploads.send(
            "PUT", self._repository, session, self._descriptor, Body.of(b""), ok=ok, closing=True
        )
        if answer.status == 400 and not self._resumed:
            raise self._uploads.refusal(self._repository, digest, answer)
        if answer.status in LOST:
            raise self._lost(answer)
        told = answer.headers.get("Docker-Content-Digest", "")
        self._forget()
        if is_digest(told) and told != digest:
            msg = f"{self._uploads.host}/{self._repository} stored {digest} as {told}"
            raise self._uploads.http.error(msg)

    def _lost(self, answer: Response) -> Interrupted:
        """Forget the session: the blob is begun anew next time."""
        self._forget()
        what = self._descriptor.digest.short
        msg = f"{self._uploads.host}/{self._repository} lost the upload of {what}"
        return Interrupted(msg, status=answer.status)


def _told(answer: Response) -> int:
    """Return how many bytes a session has: ``Range: 0-99`` is a hundred, none is none."""
    match = re.fullmatch(r"(?:bytes=)?0-(\d{1,18})", answer.headers.get("Range", "").strip())
    return int(match[1]) + 1 if match and match[1] != "0" else 0
