"""Requests about one registry's repositories: names, rights, and refusals put into words."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from bundle import refusals
from bundle.auth import Authority, RegistryAccess
from bundle.decode import parse_json
from bundle.errors import NotFound, SourceError, TransferError
from bundle.hosts import joined, origin
from bundle.http import Interrupted

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from bundle.credentials import Credentials
    from bundle.digest import Digest
    from bundle.http import Http, Response
    from bundle.refusals import Explain

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_PATIENCE = 3
_LIST = 32 << 20
"""Bytes that all pages of a list may have: a million tags."""
PULL, PUSH = "pull", "pull,push"


class Api:
    """The API of the registry that is called ``host`` (OCI distribution-spec 1.1, "Endpoints").

    ``explain`` may put a refusal into better words than the protocol has.
    """

    def __init__(
        self,
        host: str,
        http: Http,
        credentials: Credentials | None,
        explain: Explain = lambda _refused: None,
        *,
        basic: bool = False,
    ) -> None:
        self.host = host
        self.http = http
        self.credentials = credentials
        self._explain = explain
        self._authority = Authority(http, host, credentials, explain, basic=basic)
        self._worked: dict[str, int] = {}

    def url(self, repository: str, rest: str) -> str:
        """Return the URL of ``rest`` in ``repository``; raise for a name that is none."""
        if not _REPOSITORY.fullmatch(repository) or len(repository) > 255:
            msg = f"{repository[:100]!r} is no name that a repository can have at {self.host}"
            raise self.http.error(msg)
        return f"{self.http.base(self.host)}/v2/{repository}/{rest}"

    def access(
        self, what: str, repository: str = "", actions: str = PULL, *more: str
    ) -> RegistryAccess:
        """Return the access of one request about ``what``; ``more`` are further token scopes."""
        scopes = (f"repository:{repository}:{actions}", *more) if repository else ()
        return self._authority.access(scopes, partial(self._fault, repository, what))

    def call(  # noqa: PLR0913  (the parts of a request)
        self,
        method: str,
        repository: str,
        rest: str,
        what: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        ok: Collection[int] = (200,),
        actions: str = PULL,
        more: tuple[str, ...] = (),
        limit: int = 8 << 20,
    ) -> Response:
        """Make a request about ``what`` in a repository, with retries; see :meth:`Http.request`."""
        return self.http.request(
            method,
            self.url(repository, rest),
            headers=headers,
            body=body,
            ok=ok,
            access=self.access(what, repository, actions, *more),
            limit=limit,
        )

    def has_blob(self, repository: str, digest: Digest) -> bool:
        """Whether the repository has the blob; a redirect to storage says so too."""
        ok = (200, 302, 307, 404)
        return (
            self.call("HEAD", repository, f"blobs/{digest}", f"blob {digest}", ok=ok).status != 404
        )

    def document(self, answer: Response, where: str) -> dict[str, object]:
        """Return the JSON object in an answer; raise the run's error for anything else."""
        try:
            document = parse_json(answer.body, limit=8 << 20)
        except (ValueError, RecursionError) as fault:
            msg = f"{where} is no valid JSON: {refusals.printable(str(fault))[:100]}"
            raise self.http.error(msg) from None
        if not isinstance(document, dict):
            msg = f"{where} is no JSON object"
            raise self.http.error(msg)
        return document

    def pages(self, repository: str, rest: str, query: str = "") -> Iterator[dict[str, object]]:
        """Yield the pages of a list; its next links stay on the host and on the list."""
        where, seen, size = f"{self.host}/{repository}/{rest}", set[str](), 0
        while query not in seen and len(seen) < 10_000:
            seen.add(query)
            answer = self.call("GET", repository, f"{rest}?{query}" if query else rest, rest)
            size += len(answer.body)
            if size > _LIST:
                msg = f"{where} is longer than {_LIST} bytes"
                raise self.http.error(msg, hint="a list as long as that is no list of one thing")
            yield self.document(answer, where)
            following = self._next(answer, self.url(repository, rest))
            if following is None:
                return
            query = following
        msg = f"{where} goes on in a circle"
        raise self.http.error(msg)

    def worked(self, repository: str) -> None:
        """Note that the repository may be read with what we send."""
        self._worked[repository] = 0

    def refusal(self, repository: str, what: str, response: Response) -> TransferError:
        """Return the error for a final answer: what was refused, in whose words, and why."""
        if better := self._explain(refusals.Refused(repository, what, response)):
            return better
        code, message = refusals.told(response)
        said = " ".join(part for part in (str(response.status), code) if part)
        said += f": {message}" if message else ""
        name = f"{self.host}/{repository}" if repository else self.host
        hint = refusals.hint_for(response, code, message) or self._hint(response.status, repository)
        if response.status == 404:
            low = issubclass(self.http.error, SourceError)
            return (NotFound if low else self.http.error)(
                f"{name} has no {what} ({said})", hint=hint
            )
        msg, case = f"{name} refuses {what} ({said})", ""
        if response.status in {401, 403}:
            msg, case = f"{msg}, {self._sent()}", "denied"
        return self.http.error(msg, hint=hint, case=case)

    def _fault(self, repository: str, what: str, response: Response) -> Exception:
        # nvcr.io throttles with 401 and 403 too: a repository that has worked gets another chance.
        low = issubclass(self.http.error, SourceError)
        if low and response.status in {401, 403} and repository in self._worked:
            self._worked[repository] += 1
            if self._worked[repository] <= _PATIENCE:
                msg = f"{self.host}/{repository} suddenly answers {response.status}"
                return Interrupted(msg, status=response.status)
        return self.refusal(repository, what, response)

    def _sent(self) -> str:
        if self.credentials is None:
            return "no credential was sent"
        return f"with the credential from {self.credentials.origin or self.credentials.username}"

    def _hint(self, status: int, repository: str) -> str:
        if status not in {401, 403}:
            return ""
        if self.credentials is None:
            key = "set NGC_API_KEY, or " if self.host == "nvcr.io" else ""
            return f"{key}log in: docker login {self.host}"
        if self.host == "nvcr.io":
            return "is the key's organization entitled to it? see org.ngc.nvidia.com/subscriptions"
        first = repository.partition("/")[0]
        return f"does {first!r} exist there, and has this account a right to it?"

    def _next(self, answer: Response, here: str) -> str | None:
        # RFC 8288; a list that continued on another host would be another list.
        link = answer.headers.get("Link", "")
        match = re.search(r'<([^<>]{1,4096})>\s*;[^,]*\brel="?next\b', link)
        if not match:
            return None
        target = joined(here, match[1])
        same = origin(target) == origin(here)
        if not same or urlsplit(target).path != urlsplit(here).path:
            msg = f"{self.host} continues a list elsewhere than under {urlsplit(here).path}"
            raise self.http.error(msg)
        return str(urlsplit(target).query)
