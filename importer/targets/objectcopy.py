"""Objects that a store copies by itself: what is copied is exactly what was read and hashed here.

An object is read and hashed once, whatever its metadata says; the copy is on the condition that its
ETag, and its version where there are any, are still the same. Source: Amazon S3 API, CopyObject and
UploadPartCopy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bundle.digest import verified
from bundle.errors import TargetError, VerificationError
from importer.targets.bucket import version_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bundle.artifact import Content
    from importer.targets.bucket import Bucket

MOST = 5 << 30
"""Bytes that one CopyObject takes; more goes in parts."""
_PART = 1 << 30
NOT_HERE = frozenset({"NotImplemented", "MethodNotAllowed"})
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
            hint="somebody changed it there: find out who, and import the bundle again",
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
            f"s3://{bucket.store.bucket}/{proved.key} was changed while it was copied",
            hint="somebody writes there: find out who, and import the bundle again",
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
