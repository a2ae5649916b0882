"""An S3 bucket as target: one object per file, and a marker object when all of them are there."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

from bundle.errors import TargetError
from importer.ledger.shelf import BucketShelf
from importer.targets import marker, objectcopy, triton
from importer.targets.base import Claim, Replaced, Unprepared, file_claims
from importer.targets.bucket import AbsentError, Bucket, Seen, Store
from importer.targets.held import Held
from importer.targets.lock import Keeper
from importer.targets.naming import Naming
from importer.targets.s3check import Preflight
from importer.targets.uploads import Journal, Uploads

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from bundle.artifact import Artifact, Content
    from bundle.digest import Digest
    from bundle.manifest import Manifest
    from importer.targets.base import Blob, Want
    from importer.targets.objectcopy import Proved

KINDS = frozenset({"model", "resource", "file"})
_WORKERS = 8


class S3(Unprepared):
    """Objects below a prefix of one bucket; satisfies :class:`importer.targets.base.Target`.

    ``put`` sends a file as a multipart upload, which the store shows to nobody; ``publish``
    completes the uploads and writes the marker last. ``state`` is a folder of this host for the
    journal of uploads, so that another run can go on. ``read_back`` has every object read and
    hashed before it counts as there; else what a finished import has left there is believed.
    """

    proves = False

    def __init__(
        self,
        store: Store,
        state: Path,
        *,
        naming: Naming | None = None,
        kinds: frozenset[str] = KINDS,
        read_back: bool = False,
    ) -> None:
        self._naming = naming or Naming()
        self.label = f"s3://{store.bucket}/{self._naming.top}".rstrip("/")
        self.kinds = kinds
        self.replaced: list[Replaced] = []
        self.proves = self._reads_back = read_back
        self._bucket = Bucket(store)
        self._uploads = Uploads(self._bucket, Journal(state))
        self._preflight = Preflight(self._bucket, self._naming.own)
        self._keeper = Keeper(self._bucket, self._preflight)
        self._found: dict[tuple[str, Digest], Proved] = {}
        self._there: dict[tuple[str, Digest], Seen] = {}
        self._proved: set[tuple[str, Digest]] = set()
        self._versions: dict[str, str] = {}

    def check(self) -> None:
        """Reach the bucket with the credentials."""
        self._bucket.check(self._naming.own)

    def preflight(self, wants: Sequence[Want]) -> tuple[str, ...]:
        """Ask for clock, object lock and the right to write; see :class:`Preflight`."""
        return self._preflight.run(writes=any(want.missing for want in wants))

    def prepare(self, _bundle: Manifest) -> None:
        """Abort uploads of this host that were given up long ago."""
        self._uploads.abort_stale()

    def pinned(self, artifact: Artifact) -> str:
        """Return which version of its marker completes a published artifact; nothing without."""
        return self._versions.get(artifact.name, "")

    def place(self, artifact: Artifact) -> str:
        """Return what the URLs of the artifact's files begin with: mostly ``s3://bucket/folder/``."""
        return f"s3://{self._bucket.store.bucket}/{self._naming.key(artifact, '')}"

    def claims(self, artifact: Artifact) -> tuple[Claim, ...]:
        """Return the folder, which has the marker, and where the files are if that is elsewhere."""
        bucket = f"s3://{self._bucket.store.bucket}/"
        folder = f"{bucket}{self._naming.folder(artifact)}/"
        for file in artifact.files:
            self._key(artifact, file)
        claims = file_claims(artifact, folder, bucket + self._naming.signature(artifact))
        owned = {f"{bucket}{place}/" for place in self._naming.owned(artifact)} - {folder}
        claims = (*claims, *(Claim(place, artifact.root) for place in sorted(owned)))
        place = self.place(artifact)
        return claims if place == folder else (*claims, Claim(place, artifact.root))

    def has(self, artifact: Artifact, content: Content) -> bool:
        """Whether the object is visible with this size and, in its metadata, this SHA-256.

        What is no file (an OCI manifest, its config) is not stored here, and so never missing.
        """
        key = self._key(artifact, content)
        return not key or self._holds(key, content)

    def held(self, artifact: Artifact, content: Content) -> Held:
        """Return an object, to be read back: the SHA-256 in its metadata is only a claim."""
        key = self._key(artifact, content)
        return Held(
            content.digest,
            content.size,
            self._where(key),
            lambda offset: self._bucket.stream(key, offset),
        )

    def put(
        self, artifact: Artifact, content: Content, blob: Blob, on_bytes: Callable[[int], object]
    ) -> str:
        """Upload one file without making it visible; an empty one is only verified."""
        key = self._key(artifact, content)
        if not key:
            return "uploaded"
        if not content.size:
            for _none in blob.blocks():
                pass
            return "uploaded"
        try:
            self._uploads.send(key, blob, on_bytes)
        except AbsentError:
            self._uploads.send(key, blob, on_bytes)  # somebody aborted the upload meanwhile
        return "uploaded"

    def take(self, artifact: Artifact, content: Content, source: Artifact, of: Content) -> bool:
        """Prove the object that another artifact has; the store copies it when this is published.

        Raises :class:`TargetError` when it is something else than that artifact brought.
        """
        key, origin = self._key(artifact, content), self._key(source, of)
        if not key or not origin or not content.size or not self._holds(origin, of):
            return False
        proved = objectcopy.prove(self._bucket, origin, content, lambda _count: None)
        self._found[key, content.digest] = proved
        return True

    def publish(self, artifact: Artifact, blob: Callable[[Digest], Blob]) -> bool:
        """Complete what was uploaded, then write the marker; both only where they differ."""
        mark, complete = self._naming.mark(artifact), marker.compose(artifact)
        before = self._bucket.fetch(mark, marker.LIMIT)
        files = [content for content in artifact.contents if self._key(artifact, content)]
        small = self._beside(artifact)
        with ThreadPoolExecutor(_WORKERS, "publish") as pool:
            there = pool.map(lambda file: self.has(artifact, file), files)
            missing = [file for file, has in zip(files, there, strict=True) if not has]
            lacking = {
                key: data
                for key, data in small.items()
                if self._bucket.read(key, marker.LIMIT) != data
            }
            same = before is not None and before[0] == complete and not missing and not lacking
            if not same:
                self._check_configs(artifact, blob)
                self._withdraw(artifact, mark, before[0] if before else None)
                list(pool.map(lambda file: self._finish(artifact, file, blob), missing))
                list(pool.map(lambda file: self._prove(artifact, file), files))
            list(pool.map(lambda file: self._keep_file(artifact, file), files))
            for key, data in lacking.items():
                self._bucket.write(key, data)
            list(pool.map(self._keep, small))
        self._versions[artifact.name] = before[1] if same and before else self._mark(mark, complete)
        self._keep(mark)
        return not same

    def _check_configs(self, artifact: Artifact, blob: Callable[[Digest], Blob]) -> None:
        """Refuse what Triton would not load, before any of it becomes visible."""
        for path, folder in self._naming.configs(artifact).items():
            content = next(file for file in artifact.files if file.path == path)
            there = self.has(artifact, content)
            source = self.held(artifact, content) if there else blob(content.digest)
            try:
                triton.check_size(content.size)
                triton.check_config(source.read(), folder)
            except triton.Unloadable as error:
                raise TargetError(
                    f"{artifact.name}: Triton would not load {path}: {error.message}",
                    hint=error.hint,
                ) from None

    def _beside(self, artifact: Artifact) -> dict[str, bytes]:
        """Return the small objects that dray adds to an artifact's files, by their keys."""
        found = {self._naming.sums(artifact): marker.sums(artifact, self._listed(artifact))}
        if pointer := self._naming.pointer(artifact):
            found[pointer] = artifact.version.encode()
        return found

    def _listed(self, artifact: Artifact) -> Callable[[str], str]:
        """Return how the sums call a file: from the folder that they lie in, or from the prefix."""
        folder = f"{self._naming.sums(artifact).rpartition('/')[0]}/".lstrip("/")
        prefix = f"{self._naming.top}/".lstrip("/")

        def name(path: str) -> str:
            key = self._naming.key(artifact, path)
            return key.removeprefix(folder if key.startswith(folder) else prefix)

        return name

    def _mark(self, mark: str, complete: bytes) -> str:
        """Write the marker where there is none; return the version that it is."""
        try:
            return self._bucket.write(mark, complete, alone=True)
        except TargetError as error:
            if error.case not in {"PreconditionFailed", "ConditionalRequestConflict"}:
                raise
        found = self._bucket.fetch(mark, marker.LIMIT)
        if found is None:  # a store that takes a delete marker for an object
            return self._bucket.write(mark, complete)
        if found[0] == complete:
            return found[1]
        raise TargetError(
            f"{self._where(mark)} was written by somebody else at the same time",
            hint="does another import go into that folder? let it end, and run this one again",
        )

    def shelf(self) -> BucketShelf:
        """Return where copies of ledgers lie."""
        return BucketShelf(self._bucket, self._naming.own)

    def close(self) -> None:
        """Let connections go."""
        self._bucket.close()

    def _key(self, artifact: Artifact, content: Content) -> str:
        """Return the key of a content, or nothing for what is not stored."""
        if artifact.is_signature(content):
            return self._naming.signature(artifact)
        return self._naming.key(artifact, content.path) if content.path else ""

    def _where(self, key: str) -> str:
        return f"s3://{self._bucket.store.bucket}/{key}"

    def _holds(self, key: str, content: Content) -> bool:
        if (key, content.digest) in self._there:
            return True
        seen = self._bucket.look(key)
        if seen is None or (seen.size, seen.sha256) != (content.size, content.digest.hex):
            return False
        if self._reads_back and not self._is(key, content, seen):
            return False
        self._there[key, content.digest] = seen
        return True

    def _is(self, key: str, content: Content, seen: Seen) -> bool:
        """Read an object, and tell whether it is the content; which version, the store has said."""
        if (key, content.digest) in self._proved:
            return True
        place = self._where(key)
        held = Held(
            content.digest,
            content.size,
            place,
            lambda offset: self._bucket.stream(key, offset, seen.version),
        )
        try:
            held.prove()
        except TargetError as error:
            if error.case != "changed":
                raise
            return False
        self._proved.add((key, content.digest))
        return True

    def _copy(self, artifact: Artifact, file: Content, proved: Proved) -> str | None:
        """Have the store copy what was proved, or do it through this host; return the version."""
        key = self._key(artifact, file)
        try:
            return objectcopy.copy(self._bucket, proved, key, file)
        except TargetError as error:
            if error.case not in objectcopy.NOT_HERE:
                raise
        place, version = self._where(proved.key), proved.version
        held = Held(
            file.digest,
            file.size,
            place,
            lambda offset: self._bucket.stream(proved.key, offset, version),
        )
        S3.put(self, artifact, file, held, lambda _count: None)
        return self._uploads.complete(key, file.digest)

    def _finish(self, artifact: Artifact, file: Content, blob: Callable[[Digest], Blob]) -> None:
        key = self._key(artifact, file)
        version: str | None = None
        if not file.size:
            version = self._bucket.write(key, b"")
        elif proved := self._found.get((key, file.digest)):
            version = self._copy(artifact, file, proved)
        elif (version := self._uploads.complete(key, file.digest)) is None:
            if self._holds(key, file):
                return
            self.put(artifact, file, blob(file.digest), lambda _count: None)
            version = self._uploads.complete(key, file.digest)
        seen = self._bucket.look(key, version or "")
        if seen is None or (seen.size, seen.sha256) != (file.size, file.digest.hex):
            raise TargetError(
                f"{self._where(key)} was uploaded, but the store shows another"
                " size or no SHA-256 in its metadata",
                hint="does something rewrite objects in this bucket?",
            )
        self._there[key, file.digest] = seen

    def _prove(self, artifact: Artifact, file: Content) -> None:
        """Prove that an object is what was sent, before a marker vouches for it.

        By what was signed, where the store compares that; else by reading it back, whoever has
        written it: an earlier run may have ended before it could.
        """
        key = self._key(artifact, file)
        if not self._reads_back and self._preflight.compares:
            return
        if self._is(key, file, self._there[key, file.digest]):
            return
        with suppress(TargetError):
            self._bucket.call("delete_object", key)
        raise TargetError(
            f"{self._where(key)}: what the store gives back is not what it was sent",
            hint="its disks or something on the way are bad; it was removed, nothing was published",
            case="changed",
        )

    def _keep_file(self, artifact: Artifact, file: Content) -> None:
        key = self._key(artifact, file)
        self._keep(key, self._there[key, file.digest])

    def _keep(self, key: str, seen: Seen | None = None) -> None:
        """Have an object locked as the target file says, and prove it."""
        if self._bucket.store.lock.asked and (seen := seen or self._bucket.look(key)):
            self._keeper.keep(key, seen)

    def _withdraw(self, artifact: Artifact, mark: str, before: bytes | None) -> None:
        """Remove the marker before what it vouches for, and the objects that only it has named."""
        if before is None:
            return
        old = marker.read(before, self._where(mark))
        self._bucket.call("delete_object", mark)
        if old.signature and not artifact.signature:
            self._remove(self._naming.signature(artifact), old.signature)
        if old.root == artifact.root:
            return
        self.replaced.append(Replaced(self.place(artifact), old.root, artifact.root))
        for key, digest in self._naming.stale(old, artifact).items():
            self._remove(key, digest)

    def _remove(self, key: str, digest: Digest) -> None:
        """Remove an object that holds what an earlier artifact brought, and nothing else."""
        found = self._bucket.head(key)
        if found and found[1] == digest.hex:
            self._bucket.call("delete_object", key)
