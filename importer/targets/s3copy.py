"""An S3 bucket that is filled out of its own quarantine: objects are copied by the store.

What lies in the quarantine is read and hashed once, whatever its metadata says; what is copied is
exactly that object: the copy is on the condition that its ETag, and its version where there are
any, are still the same. Source: Amazon S3 API, CopyObject and UploadPartCopy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bundle.digest import verified
from bundle.errors import TargetError, VerificationError
from importer.targets.bucket import Store, version_of
from importer.targets.s3 import S3

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from bundle.artifact import Artifact, Content
    from bundle.digest import Digest
    from importer.destinations import Destination
    from importer.targets.base import Blob
    from importer.targets.bucket import Bucket

MOST = 5 << 30
"""Bytes that one CopyObject takes; more goes in parts."""
_PART = 1 << 30
_NOT_HERE = frozenset({"NotImplemented", "MethodNotAllowed"})
"""How stores say that they do not copy."""


@dataclass(frozen=True, slots=True)
class Proved:
    """An object whose bytes were hashed, and which one it was: ETag and version."""

    key: str
    etag: str
    version: str

    def source(self, bucket: str) -> dict[str, Any]:
        """Return the arguments that name it as what is to be copied, and no other."""
        where = {"Bucket": bucket, "Key": self.key}
        where |= {"VersionId": self.version} if self.version else {}
        return {"CopySource": where, "CopySourceIfMatch": self.etag}


class CopyingS3(S3):
    """Satisfies :class:`importer.targets.base.Target`; ``origin`` is the quarantine."""

    def __init__(self, origin: S3, store: Store, state: Path, **settings: Any) -> None:
        super().__init__(store, state, **settings)
        self._origin = origin
        self._found: dict[tuple[str, Digest], Proved] = {}

    def put(
        self, artifact: Artifact, content: Content, blob: Blob, on_bytes: Callable[[int], object]
    ) -> str:
        """Prove what lies in the quarantine; nothing is copied before the artifact is published."""
        key = self._key(artifact, content)
        if not key or not content.size:
            return super().put(artifact, content, blob, on_bytes)
        source = self._origin._key(artifact, content)
        self._found[key, content.digest] = prove(self._bucket, source, content, on_bytes)
        return "mounted"

    def _finish(self, artifact: Artifact, file: Content, blob: Callable[[Digest], Blob]) -> None:
        key = self._key(artifact, file)
        proved = self._found.get((key, file.digest))
        if not file.size or proved is None:
            super()._finish(artifact, file, blob)
            return
        try:
            version = copy(self._bucket, proved, key, file)
        except TargetError as error:
            if error.case not in _NOT_HERE:
                raise
            super().put(artifact, file, blob(file.digest), lambda _count: None)
            super()._finish(artifact, file, blob)
            return
        seen = self._bucket.look(key, version)
        if seen is None or (seen.size, seen.sha256) != (file.size, file.digest.hex):
            raise TargetError(
                f"{self._where(key)} was copied, but the store shows another size or no SHA-256 in"
                " its metadata",
                hint="does something rewrite objects in this bucket?",
            )
        self._there[key, file.digest] = seen


def connect(destination: Destination, origin: S3, state: Path | None = None) -> CopyingS3:
    """Return the target that is filled out of ``origin``; no connection is made yet."""
    from bundle.state import default_folder  # noqa: PLC0415

    host = destination.host
    store = Store(
        destination.name, host.endpoint, destination.region, host.ca_file, destination.lock
    )
    return CopyingS3(
        origin,
        store,
        (state or default_folder()) / "s3",
        naming=destination.naming,
        kinds=destination.kinds,
        read_back=destination.read_back,
    )


def prove(bucket: Bucket, key: str, content: Content, on_bytes: Callable[[int], object]) -> Proved:
    """Read an object and hash it; raise :class:`TargetError` where it is something else.

    Returns which object it was.
    """
    place = f"s3://{bucket.store.bucket}/{key}"
    answer = bucket.call("get_object", key)
    made = Proved(key, str(answer.get("ETag", "")), version_of(answer))
    try:
        blocks = _counted(bucket._blocks(answer["Body"], key), on_bytes)
        for _block in verified(blocks, digest=content.digest, size=content.size, what=place):
            pass
    except VerificationError as error:
        raise TargetError(
            f"{place} is not what was imported there: {error.message}",
            hint="somebody changed it in the quarantine: find out who, and import the bundle again",
            case="changed",
        ) from None
    finally:
        answer["Body"].close()
    return made


def _counted(blocks: Iterator[bytes], on_bytes: Callable[[int], object]) -> Iterator[bytes]:
    for block in blocks:
        on_bytes(len(block))
        yield block


def copy(bucket: Bucket, proved: Proved, key: str, content: Content) -> str:
    """Have the store copy an object; return the version that the copy is, or nothing."""
    source, notes = proved.source(bucket.store.bucket), {"sha256": content.digest.hex}
    try:
        if content.size <= MOST:
            answer = bucket.call(
                "copy_object", key, **source, Metadata=notes, MetadataDirective="REPLACE"
            )
            return version_of(answer)
        return _in_parts(bucket, source, key, content, notes)
    except TargetError as error:
        if error.case != "PreconditionFailed":
            raise
        raise TargetError(
            f"s3://{bucket.store.bucket}/{proved.key} was changed while it was promoted",
            hint="somebody writes in the quarantine: find out who, and import the bundle again",
            case="changed",
        ) from None


def _in_parts(
    bucket: Bucket, source: dict[str, Any], key: str, content: Content, notes: dict[str, str]
) -> str:
    upload = str(bucket.call("create_multipart_upload", key, Metadata=notes)["UploadId"])
    try:
        parts = []
        for number, start in enumerate(range(0, content.size, _PART), 1):
            end = min(start + _PART, content.size) - 1
            asked = {"UploadId": upload, "PartNumber": number}
            asked |= {"CopySourceRange": f"bytes={start}-{end}"}
            done = bucket.call("upload_part_copy", key, **source, **asked)
            parts.append({"PartNumber": number, "ETag": done["CopyPartResult"]["ETag"]})
        whole = {"UploadId": upload, "MultipartUpload": {"Parts": parts}}
        return version_of(bucket.call("complete_multipart_upload", key, **whole))
    except TargetError:
        bucket.call("abort_multipart_upload", key, UploadId=upload)
        raise
