"""An S3 bucket as target: one object per file, and a marker object when all of them are there."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from bundle.errors import TargetError
from importer.ledger.shelf import BucketShelf
from importer.targets import marker
from importer.targets.base import Claim, Replaced, Unprepared, file_claims
from importer.targets.bucket import AbsentError, Bucket, Store
from importer.targets.held import Held
from importer.targets.naming import Naming
from importer.targets.uploads import Journal, Uploads

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bundle.artifact import Artifact, Content
    from bundle.digest import Digest
    from importer.targets.base import Blob

KINDS = frozenset({"model", "resource", "file"})
_WORKERS = 8


class S3(Unprepared):
    """Objects below a prefix of one bucket; satisfies :class:`importer.targets.base.Target`.

    ``put`` sends a file as a multipart upload, which the store shows to nobody; ``publish``
    completes the uploads and writes the marker last. ``state`` is a folder of this host for the
    journal of uploads, so that another run can go on.
    """

    proves = False

    def __init__(
        self,
        store: Store,
        state: Path,
        *,
        naming: Naming | None = None,
        kinds: frozenset[str] = KINDS,
    ) -> None:
        self._naming = naming or Naming()
        self.label = f"s3://{store.bucket}/{self._naming.prefix}".rstrip("/")
        self.kinds = kinds
        self.replaced: list[Replaced] = []
        self._bucket = Bucket(store)
        self._uploads = Uploads(self._bucket, Journal(state))
        self._there: set[tuple[str, str]] = set()

    def check(self) -> None:
        """Reach the bucket with the credentials."""
        self._bucket.check()

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
        place = f"s3://{self._bucket.store.bucket}/{key}"
        return Held(
            content.digest, content.size, place, lambda offset: self._bucket.stream(key, offset)
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

    def publish(self, artifact: Artifact, blob: Callable[[Digest], Blob]) -> bool:
        """Complete what was uploaded, then write the marker; both only where they differ."""
        mark = f"{self._naming.folder(artifact)}/{marker.NAME}"
        complete = marker.compose(artifact)
        before = self._bucket.read(mark, marker.LIMIT)
        with ThreadPoolExecutor(_WORKERS, "publish") as pool:
            files = [content for content in artifact.contents if self._key(artifact, content)]
            there = pool.map(lambda file: self.has(artifact, file), files)
            missing = [file for file, has in zip(files, there, strict=True) if not has]
            pointer = self._naming.pointer(artifact)
            version = artifact.version.encode()
            pointed = not pointer or self._bucket.read(pointer, marker.LIMIT) == version
            if before == complete and not missing and pointed:
                return False
            self._withdraw(artifact, mark, before)
            if not pointed:
                self._bucket.write(pointer, version)
            list(pool.map(lambda file: self._finish(artifact, file, blob), missing))
        self._bucket.write(mark, complete)
        return True

    def shelf(self) -> BucketShelf:
        """Return where copies of ledgers lie."""
        return BucketShelf(self._bucket, self._naming.prefix)

    def close(self) -> None:
        """Let connections go."""
        self._bucket.close()

    def _key(self, artifact: Artifact, content: Content) -> str:
        """Return the key of a content, or nothing for what is not stored."""
        if artifact.is_signature(content):
            return self._naming.signature(artifact)
        return self._naming.key(artifact, content.path) if content.path else ""

    def _holds(self, key: str, content: Content) -> bool:
        if (key, content.digest) in self._there:
            return True
        if self._bucket.head(key) != (content.size, content.digest.hex):
            return False
        self._there.add((key, content.digest))
        return True

    def _finish(self, artifact: Artifact, file: Content, blob: Callable[[Digest], Blob]) -> None:
        key = self._key(artifact, file)
        if not file.size:
            self._bucket.write(key, b"")
        elif not self._uploads.complete(key, file.digest) and not self._holds(key, file):
            self.put(artifact, file, blob(file.digest), lambda _count: None)
            self._uploads.complete(key, file.digest)
        if not self._holds(key, file):
            raise TargetError(
                f"s3://{self._bucket.store.bucket}/{key} was uploaded, but the store shows another"
                " size or no SHA-256 in its metadata",
                hint="does something rewrite objects in this bucket?",
            )

    def _withdraw(self, artifact: Artifact, mark: str, before: bytes | None) -> None:
        """Remove the marker before what it vouches for, and the objects that only it has named."""
        if before is None:
            return
        old = marker.read(before, f"s3://{self._bucket.store.bucket}/{mark}")
        self._bucket.call("delete_object", mark)
        if old.signature and not artifact.signature:
            self._remove(self._naming.signature(artifact), old.signature)
        if old.root == artifact.root:
            return
        self.replaced.append(Replaced(self.place(artifact), old.root, artifact.root))
        for path, digest in marker.stale(old.files, artifact).items():
            self._remove(self._naming.key(artifact, path), digest)

    def _remove(self, key: str, digest: Digest) -> None:
        """Remove an object that holds what an earlier artifact brought, and nothing else."""
        found = self._bucket.head(key)
        if found and found[1] == digest.hex:
            self._bucket.call("delete_object", key)
