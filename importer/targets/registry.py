"""Any OCI registry as target: blobs mounted or streamed, names published last."""

from __future__ import annotations

import threading
from collections import defaultdict
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bundle.artifact import MANIFEST_ROLES
from bundle.errors import TargetError, VerificationError
from bundle.registry import Registry
from importer.ledger.shelf import RegistryShelf
from importer.targets import referrers
from importer.targets.base import Claim, Replaced, Unprepared
from importer.targets.held import Held
from importer.targets.naming import Naming

if TYPE_CHECKING:
    import hashlib
    from collections.abc import Callable, Iterator

    from bundle.artifact import Artifact, Content
    from bundle.credentials import Credentials
    from bundle.digest import Digest
    from bundle.http import Http
    from bundle.sessions import Sessions
    from importer.targets.base import Blob

KINDS = frozenset({"image", "chart"})


class RegistryTarget(Unprepared):
    """Repositories below a prefix of one registry; satisfies :class:`importer.targets.base.Target`.

    ``http`` raises :class:`TargetError`, and is closed with the target.
    """

    def __init__(
        self,
        host: str,
        http: Http,
        credentials: Credentials | None = None,
        *,
        naming: Naming | None = None,
        sessions: Sessions | None = None,
        kinds: frozenset[str] = KINDS,
        registry: Registry | None = None,
    ) -> None:
        self._naming = naming or Naming()
        self.label = f"{host}/{self._naming.top}".rstrip("/")
        self.kinds = kinds
        self.replaced: list[Replaced] = []
        self._host = host
        self._http = http
        self._registry = registry or Registry(host, http, credentials, sessions=sessions)
        self._holders: dict[Digest, set[str]] = defaultdict(set)
        self._sending: dict[Digest, threading.Lock] = defaultdict(threading.Lock)
        self._lock = threading.Lock()
        self._referring = threading.Lock()

    def check(self) -> None:
        """Reach the registry, and have the credentials accepted."""
        self._registry.ping()

    def place(self, artifact: Artifact) -> str:
        """Return ``host/repository:tag``, or ``host/repository@digest`` for what has no tag."""
        root = next(content for content in artifact.manifests if content.digest == artifact.root)
        ending = f":{root.tags[0]}" if root.tags else f"@{artifact.root}"
        return f"{self._host}/{self._repository(artifact)}{ending}"

    def claims(self, artifact: Artifact) -> tuple[Claim, ...]:
        """Return the tags."""
        where = f"{self._host}/{self._repository(artifact)}"
        return tuple(
            Claim(f"{where}:{tag}", content.digest)
            for content in artifact.manifests
            for tag in content.tags
        )

    def has(self, artifact: Artifact, content: Content) -> bool:
        """Whether the artifact's repository has the content, tagged or not."""
        repository = self._repository(artifact)
        if content.role in {"manifest", "index"}:
            return self._registry.has_manifest(repository, content.digest) is not None
        if self._registry.has_blob(repository, content.digest):
            self._remember(content.digest, repository)
            return True
        return False

    def held(self, artifact: Artifact, content: Content) -> Held:
        """Return a blob or a manifest of the artifact's repository, to be read back."""
        repository = self._repository(artifact)
        place = f"{self._host}/{repository}@{content.digest}"
        if content.role in MANIFEST_ROLES:
            return Held(
                content.digest,
                content.size,
                place,
                lambda offset: self._manifest(repository, content.digest, offset),
            )
        opener = self._registry.opener(repository, content.descriptor)
        return Held(content.digest, content.size, place, opener)

    def expect(self, content: Content, origin: RegistryTarget, artifact: Artifact) -> None:
        """Know that another's repository at this registry has a content: it is mounted from there.

        A registry that does not mount it is sent the bytes.
        """
        self._remember(content.digest, origin._repository(artifact))

    @contextmanager
    def _manifest(self, repository: str, digest: Digest, offset: int) -> Iterator[Iterator[bytes]]:
        try:
            data = self._registry.manifest(repository, digest)[1]
        except VerificationError as error:  # it is the registry that lies, not the medium
            raise TargetError(error.message, hint=error.hint, case="changed") from None
        yield iter((data[offset:],))

    def put(
        self, artifact: Artifact, content: Content, blob: Blob, on_bytes: Callable[[int], object]
    ) -> str:
        """Mount the blob from a repository that is known to have it, or upload it."""
        repository = self._repository(artifact)
        with self._lock:
            sending = self._sending[content.digest]
        with sending:  # a second repository waits, and then mounts
            if self._mounted(repository, content.digest):
                on_bytes(content.size)
                return "mounted"
            counted = _Counted(blob, on_bytes)
            self._registry.put_blob(repository, content.descriptor, counted.blocks)
            self._remember(content.digest, repository)
        return "uploaded"

    def publish(self, artifact: Artifact, blob: Callable[[Digest], Blob]) -> bool:
        """Push what is missing by digest, in push order; then the tags that differ."""
        repository = self._repository(artifact)
        changed = False
        for content in artifact.manifests:
            if not self.has(artifact, content):
                data = blob(content.digest).read()
                self._registry.put_manifest(repository, content.digest, data, content.media_type)
                changed = True
            if content.subject:
                data = blob(content.digest).read()
                changed |= self._refer(repository, content, data)
        for content in artifact.manifests:
            for tag in content.tags:
                changed |= self._tag(repository, tag, content, blob)
        return changed

    def shelf(self) -> RegistryShelf:
        """Return where copies of ledgers lie."""
        return RegistryShelf(self._registry, self._naming.top)

    def close(self) -> None:
        """Let connections go."""
        self._http.close()

    # -- blobs ------------------------------------------------------------------------------------

    def _repository(self, artifact: Artifact) -> str:
        return self._naming.repository(artifact, self._host)

    def _remember(self, digest: Digest, repository: str) -> None:
        with self._lock:
            self._holders[digest].add(repository)

    def _mounted(self, repository: str, digest: Digest) -> bool:
        with self._lock:
            holders = sorted(self._holders[digest])
        if repository in holders:
            return True
        if not holders or not self._registry.mount(repository, digest, holders[0]):
            return False
        self._remember(digest, repository)
        return True

    # -- names ------------------------------------------------------------------------------------

    def _tag(
        self, repository: str, tag: str, content: Content, blob: Callable[[Digest], Blob]
    ) -> bool:
        # An immutable tag refuses even the same digest (Harbor: 412), so look first.
        before = self._tagged(repository, tag)
        if before == content.digest:
            return False
        data = blob(content.digest).read()
        self._registry.put_manifest(repository, tag, data, content.media_type)
        where = f"{self._host}/{repository}:{tag}"
        if before:
            self.replaced.append(Replaced(where, before, content.digest))
        after = self._tagged(repository, tag)
        if after is None:
            raise TargetError(
                f"{where} was pushed, and the registry does not show it",
                hint="a policy may block pulls there: write harbor:// for a Harbor: its API tells",
            )
        if after != content.digest:
            raise TargetError(
                f"{where} was pushed as {content.digest}, and the registry answers {after}",
                hint="does something else push to that tag?",
            )
        return True

    def _tagged(self, repository: str, tag: str) -> Digest | None:
        """Return what a tag points at."""
        return self._registry.has_manifest(repository, tag)

    def _refer(self, repository: str, content: Content, data: bytes) -> bool:
        """Have a manifest found by its subject; registries with a referrers API do it themselves.

        Source: OCI distribution-spec 1.1, "Pushing Manifests with Subject".
        """
        subject = content.subject
        if subject is None:
            return False
        with self._referring:  # two signatures of one image: each must see the other's entry
            listed = self._registry.referrers(repository, subject)
            if any(entry.digest == content.digest for entry in listed):
                return False
            tag = f"sha256-{subject.hex}"
            index = referrers.merge(self._index(repository, tag), content, data)
            self._registry.put_manifest(repository, tag, index, referrers.INDEX)
        return True

    def _index(self, repository: str, tag: str) -> bytes | None:
        digest = self._registry.has_manifest(repository, tag)
        if digest is None:
            return None
        try:
            return self._registry.manifest(repository, digest)[1]
        except VerificationError as error:  # it is the registry that lies, not the medium
            raise TargetError(error.message, hint=error.hint) from None


class _Counted:
    """A blob's bytes for each attempt of an upload; what an attempt has counted is taken back."""

    def __init__(self, blob: Blob, on_bytes: Callable[[int], object]) -> None:
        self._blob = blob
        self._on_bytes = on_bytes
        self._sent = 0

    def blocks(self, *, offset: int = 0, sha: hashlib._Hash | None = None) -> Iterator[bytes]:
        if offset != self._sent:
            self._on_bytes(offset - self._sent)
            self._sent = offset
        for block in self._blob.blocks(offset=offset, sha=sha):
            yield block
            self._sent += len(block)
            self._on_bytes(len(block))
