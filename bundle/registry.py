"""The registry client: manifests to the byte, blobs from any offset. The one user of oras."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

import oras.defaults
import oras.provider

from bundle import refusals
from bundle.api import PUSH, Api
from bundle.artifact import MEDIA_TYPE, TAG
from bundle.digest import Descriptor, Digest, is_digest
from bundle.errors import VerificationError
from bundle.http import backoff
from bundle.upload import Uploads
from bundle.whole import Whole

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from bundle.credentials import Credentials
    from bundle.feed import Blocks
    from bundle.http import Http, Response
    from bundle.refusals import Explain
    from bundle.sessions import Sessions
    from bundle.transfer import OpenRange

MANIFEST_LIMIT = 4 << 20
"""Bytes; the most that a registry has to take (OCI distribution-spec, "Pushing Manifests")."""
MANIFEST_TYPES: tuple[str, ...] = tuple(oras.defaults.default_manifest_accepted_media_types)
INDEX_TYPES = frozenset(
    {oras.defaults.default_index_media_type, oras.defaults.docker_manifest_list_media_type}
)
_ACCEPT = {"Accept": ", ".join(MANIFEST_TYPES)}
# What registries without a referrers API answer; a refusal that is meant comes again for the tag.
_NO_REFERRERS = frozenset({400, 401, 403, 404, 405, 406, 501})
_REFUSALS = 3
"""How often the referrers API must refuse before it counts as one that is not there."""


class Registry(oras.provider.Registry):  # type: ignore[misc]  # oras has no types
    """One OCI registry (OCI distribution-spec 1.1), for several threads.

    ``host`` is the name that content carries; ``http`` knows how to reach it. Failures are raised
    as ``http.error``, and as :class:`bundle.errors.NotFound` for a 404 on the low side; ``explain``
    may put a refusal into better words (:class:`bundle.refusals.Refused`); ``basic`` sends Basic
    unasked (:class:`bundle.auth.Authority`); ``sessions`` remembers uploads across runs. Of the
    base class only names and defaults are used; its transfers verify nothing and can't be called.
    """

    def __init__(
        self,
        host: str,
        http: Http,
        credentials: Credentials | None = None,
        explain: Explain = lambda _refused: None,
        *,
        basic: bool = False,
        sessions: Sessions | None = None,
    ) -> None:
        super().__init__(hostname=host)
        self.session = http.wire.session
        self.host = host
        self.http = http
        self.api = Api(host, http, credentials, explain, basic=basic)
        self.uploads = Uploads(self.api, sessions)
        self._without_referrers: set[str] = set()

    def do_request(self, *_args: object, **_kwargs: object) -> NoReturn:
        """Refuse: what the base class would transfer carries no check of its bytes."""
        raise NotImplementedError

    def ping(self) -> None:
        """Reach the registry and, with a credential, have it accepted."""
        access = self.api.access("the login") if self.api.credentials else None
        ok = (200, 404) if access else (200, 401, 404)
        url = f"{self.http.base(self.host)}/v2/"
        if self.http.request("GET", url, ok=ok, access=access).status == 404:
            msg = f"{self.host} is reached, and is no registry: it has no /v2/"
            raise self.http.error(msg)

    def resolve(self, repository: str, reference: str) -> Descriptor:
        """Return the descriptor of a tag or a digest, by HEAD where the registry tells enough."""
        answer = self._ask("HEAD", repository, reference, ok=(200, 302, 307, 400, 405, 501))
        kind, size = _media_type(answer), answer.headers.get("Content-Length", "")
        digest = answer.headers.get("Docker-Content-Digest", "")
        plain = re.fullmatch(r"[0-9]{1,12}", size) and 0 < int(size) <= MANIFEST_LIMIT
        if answer.status != 200 or kind not in MANIFEST_TYPES or not plain or not is_digest(digest):
            return self.manifest(repository, reference)[0]
        self.api.worked(repository)
        self._expect(repository, reference, Digest(digest))
        return Descriptor(kind, Digest(digest), int(size))

    def manifest(self, repository: str, reference: str) -> tuple[Descriptor, bytes]:
        """Return a manifest or index as its exact bytes, checked against the digests known.

        Raises :class:`bundle.errors.VerificationError` where they differ from the reference's
        digest, or from the one that the registry names.
        """
        answer = self._ask("GET", repository, reference)
        digest = Digest.of(answer.body)
        self._expect(repository, reference, digest)
        told, where = answer.headers.get("Docker-Content-Digest", ""), f"{repository}:{reference}"
        if is_digest(told) and told != digest:
            msg = f"{self.host}/{where} has other bytes than the registry says"
            raise VerificationError(msg, hint=f"it says {told}, and sends {digest}")
        self.api.worked(repository)
        kind = self._manifest_type(answer, f"{self.host}/{where}")
        return Descriptor(kind, digest, len(answer.body)), answer.body

    def tags(self, repository: str) -> list[str]:
        """Return all tags, in the registry's order."""
        found: dict[str, None] = {}
        for page in self.api.pages(repository, "tags/list", "n=1000"):
            for tag in _list(page, "tags"):
                if not isinstance(tag, str) or not re.fullmatch(TAG, tag):
                    msg = f"{self.host}/{repository} lists a tag that is none: {str(tag)[:60]!r}"
                    raise self.http.error(msg)
                found[tag] = None
        return list(found)

    def has_tags(self, repository: str) -> bool:
        """Whether the repository is there, and may have tags; one that never was has none."""
        answer = self.api.call("GET", repository, "tags/list?n=1", "tags/list", ok=(200, 404))
        return answer.status == 200

    def referrers(self, repository: str, digest: Digest) -> list[Descriptor]:
        """Return what refers to a manifest: signatures, SBOMs.

        Asks the referrers API, and where there is none, the fallback tag (OCI distribution-spec,
        "Unavailable Referrers API").
        """
        rest = f"referrers/{digest}"
        answer = self._ask_referrers(repository, rest)
        if answer.status == 200 and _media_type(answer) in INDEX_TYPES:
            pages = list(self.api.pages(repository, rest))
        else:
            pages = self._fallback(repository, f"sha256-{digest.hex}")
        where = f"{self.host}/{repository}/{rest}"
        entries = [entry for page in pages for entry in _list(page, "manifests")]
        return list(dict.fromkeys(self._descriptor(entry, where) for entry in entries))

    def _ask_referrers(self, repository: str, rest: str) -> Response:
        """Ask the referrers API, thrice when it refuses; a repository that means it is remembered.

        nvcr.io throttles with 401 and 403: taken for "there is no such API", a signature or an SBOM
        would be left behind without a word.
        """
        failures = 0
        while True:
            answer = self.api.call("GET", repository, rest, rest, ok=(200, *_NO_REFERRERS))
            if answer.status not in {401, 403} or repository in self._without_referrers:
                return answer
            failures += 1
            if failures >= _REFUSALS:
                self._without_referrers.add(repository)
                return answer
            self.http.sleep(backoff(failures))

    def opener(self, repository: str, descriptor: Descriptor) -> OpenRange:
        """Return a function that opens a blob at an offset, in bytes, for one attempt.

        With an end too, it opens that range or raises :class:`bundle.whole.Unranged`.
        """
        whole = Whole(descriptor.size, tagged=False)

        @contextmanager
        def open_at(offset: int, end: int | None = None) -> Iterator[Iterator[bytes]]:
            with self.http.stream(
                self.api.url(repository, f"blobs/{descriptor.digest}"),
                offset=offset,
                end=end or (descriptor.size if offset else None),
                access=self.api.access(f"blob {descriptor.digest}", repository),
                whole=whole,
                exact=end is not None,
            ) as blocks:
                self.api.worked(repository)
                yield blocks

        return open_at

    def has_blob(self, repository: str, digest: Digest) -> bool:
        """Whether the repository has the blob."""
        return self.api.has_blob(repository, digest)

    def has_manifest(self, repository: str, reference: str) -> Digest | None:
        """Return the digest that a tag or digest has there, or nothing."""
        answer = self._ask("HEAD", repository, reference, ok=(200, 404, 412))
        if answer.status == 404:
            return None
        if answer.status == 412:  # Harbor: it is there, and a policy blocks pulls
            return Digest(reference) if is_digest(reference) else None
        told = answer.headers.get("Docker-Content-Digest", "")
        return Digest(told) if is_digest(told) else self.manifest(repository, reference)[0].digest

    def mount(self, repository: str, digest: Digest, from_repository: str) -> bool:
        """Take a blob over from another repository of the registry; return whether it did."""
        return self.uploads.mount(repository, digest, from_repository)

    def put_blob(self, repository: str, descriptor: Descriptor, blocks: Blocks) -> None:
        """Upload a blob in one streamed request, or in chunks where that is too large.

        ``blocks()`` is called anew for each attempt, and for one that goes on behind the first
        bytes, ``blocks(offset=, sha=)`` (:class:`bundle.feed.Feed`). What ``blocks`` raises comes
        out as it is, and the upload is aborted: a :class:`bundle.errors.VerificationError` leaves
        nothing at the registry.
        """
        self.uploads.put(repository, descriptor, blocks)

    def put_manifest(self, repository: str, reference: str, data: bytes, media_type: str) -> None:
        """Upload a manifest or index as its exact bytes, under a tag or its digest.

        The same bytes under a tag that may not be changed are no error: they are there.
        """
        digest = Digest.of(data)
        self._expect(repository, reference, digest)
        what, rest = f"manifest {reference}", f"manifests/{self._reference(reference)}"
        answer = self.api.call(
            "PUT",
            repository,
            rest,
            what,
            headers={"Content-Type": media_type},
            body=data,
            ok=(200, 201, 204, 412),
            actions=PUSH,
        )
        if answer.status == 412:
            if self.has_manifest(repository, reference) != digest:
                raise self.api.refusal(repository, what, answer)
            return
        told = answer.headers.get("Docker-Content-Digest", "")
        if is_digest(told) and told != digest:
            msg = f"{self.host}/{repository}:{reference} was stored as {told}, not as {digest}"
            raise self.http.error(msg)

    def _ask(
        self, method: str, repository: str, reference: str, *, ok: Collection[int] = (200,)
    ) -> Response:
        what, rest = f"manifest {reference}", f"manifests/{self._reference(reference)}"
        return self.api.call(
            method, repository, rest, what, headers=_ACCEPT, ok=ok, limit=MANIFEST_LIMIT
        )

    def _reference(self, text: str) -> str:
        if is_digest(text) or re.fullmatch(TAG, text):
            return text
        msg = f"{text[:100]!r} is neither a tag nor a sha256 digest"
        raise self.http.error(msg)

    def _expect(self, repository: str, reference: str, digest: Digest) -> None:
        if is_digest(reference) and reference != digest:
            msg = f"{self.host}/{repository}@{reference} has other bytes: {digest}"
            raise VerificationError(msg)

    def _manifest_type(self, answer: Response, where: str) -> str:
        header, document = _media_type(answer), self.api.document(answer, where)
        inside = document.get("mediaType")
        if header in MANIFEST_TYPES and inside in MANIFEST_TYPES and header != inside:
            # Two readers could take the same bytes for two things (CVE-2021-41190).
            msg = f"{where} is {header} by its header and {inside} by its content"
            raise self.http.error(msg)
        for kind in (inside, header):
            if isinstance(kind, str) and kind in MANIFEST_TYPES:
                return kind
        if document.get("schemaVersion") == 1:
            msg = f"{where} is a Docker schema 1 image, which has no digest to pin"
            raise self.http.error(msg, hint="its publisher has to push it again with a newer tool")
        if isinstance(document.get("manifests"), list):
            return str(oras.defaults.default_index_media_type)
        if isinstance(document.get("layers"), list):
            return str(oras.defaults.default_manifest_media_type)
        msg = f"{where} is no manifest and no index ({refusals.printable(header)[:100]})"
        raise self.http.error(msg)

    def _fallback(self, repository: str, tag: str) -> list[dict[str, object]]:
        answer = self._ask("GET", repository, tag, ok=(200, 404))
        where = f"{self.host}/{repository}:{tag}"
        if answer.status == 404 or self._manifest_type(answer, where) not in INDEX_TYPES:
            return []
        return [self.api.document(answer, where)]

    def _descriptor(self, entry: object, where: str) -> Descriptor:
        fields = entry if isinstance(entry, dict) else {}
        kind, digest, size = (fields.get(key) for key in ("mediaType", "digest", "size"))
        typed = isinstance(kind, str) and re.fullmatch(MEDIA_TYPE, kind)
        pinned = isinstance(digest, str) and is_digest(digest)
        if typed and pinned and isinstance(size, int) and size >= 0 and not isinstance(size, bool):
            return Descriptor(str(kind), Digest(str(digest)), size)
        msg = f"{where} lists something that is no descriptor"
        raise self.http.error(msg)


def _media_type(answer: Response) -> str:
    return answer.headers.get("Content-Type", "").partition(";")[0].strip()


def _list(page: Mapping[str, object], key: str) -> list[object]:
    value = page.get(key)
    return value if isinstance(value, list) else []
