# ruff: noqa: N803  (boto3's own names of arguments)
"""An object store in memory with boto3's methods: for tests that need no server, or a lying one.

It passes the suites that the real ones pass (tests/contract). ``compares``, ``locks_parts`` and
``echoes`` make it as careless as some of them are.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from tests.servers.s3 import ObjectStore

if TYPE_CHECKING:
    from collections.abc import Callable

_LOCK = ("ObjectLockMode", "ObjectLockRetainUntilDate", "ObjectLockLegalHoldStatus")


def refuse(code: str, operation: str, status: int = 400) -> ClientError:
    """Return what botocore raises for an answer."""
    about = {"HTTPStatusCode": status, "HTTPHeaders": {}}
    return ClientError({"Error": {"Code": code}, "ResponseMetadata": about}, operation)


@dataclass
class Object:
    """One version; ``data`` None makes it a delete marker."""

    data: bytes | None
    notes: dict[str, str]
    id: str
    lock: dict[str, Any] = field(default_factory=dict)
    modified: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))


@dataclass
class Upload:
    """One upload in parts."""

    key: str
    notes: dict[str, str]
    lock: dict[str, Any]
    parts: dict[int, bytes] = field(default_factory=dict)


@dataclass
class Folder:
    """One bucket: the versions of each key, the newest last."""

    versioned: bool = False
    lockable: bool = False
    keys: dict[str, list[Object]] = field(default_factory=dict)
    uploads: dict[str, Upload] = field(default_factory=dict)


class MemoryStore:
    """The buckets; satisfies what tests ask of :class:`tests.servers.s3.ObjectStore`."""

    endpoint = "https://memory.example"
    ca = None

    def __init__(
        self, *, compares: bool = True, locks_parts: bool = True, echoes: bool = False
    ) -> None:
        self.compares, self.locks_parts, self.echoes = compares, locks_parts, echoes
        self.buckets: dict[str, Folder] = {}
        self._numbers = itertools.count(1)

    def environment(self) -> dict[str, str]:
        """Return the variables of any store."""
        return ObjectStore(self.endpoint, None).environment()

    def client(self) -> Client:
        """Return a client; it needs no closing."""
        return Client(self)

    def bucket(self) -> str:
        """Make a bucket, and return its name."""
        name = f"t{uuid.uuid4().hex[:16]}"
        self.buckets[name] = Folder()
        return name

    def number(self) -> str:
        """Return an identifier that no other has."""
        return f"{next(self._numbers):032d}"


class Client:
    """boto3's methods, as far as dray and its tests call them."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self._handlers: list[Callable[..., None]] = []
        self.meta = SimpleNamespace(events=self)

    def register(self, _event: str, handler: Callable[..., None]) -> None:
        self._handlers.append(handler)

    def unregister(self, _event: str, handler: Callable[..., None]) -> None:
        self._handlers.remove(handler)

    def close(self) -> None:
        pass

    def _in(self, operation: str, name: str) -> Folder:
        if name not in self._store.buckets:
            raise refuse("NoSuchBucket", operation, 404)
        return self._store.buckets[name]

    def _found(self, operation: str, where: dict[str, Any]) -> Object:
        folder = self._in(operation, where["Bucket"])
        versions = folder.keys.get(where["Key"], [])
        wanted = where.get("VersionId")
        chosen = [v for v in versions if v.id == wanted] if wanted else versions[-1:]
        if not chosen or chosen[0].data is None:
            raise refuse("NoSuchKey", operation, 404)
        return chosen[0]

    def _add(self, folder: Folder, key: str, made: Object) -> dict[str, Any]:
        if folder.versioned:
            made.id = self._store.number()
            folder.keys.setdefault(key, []).append(made)
            return {"VersionId": made.id}
        if made.data is None:
            folder.keys.pop(key, None)
        else:
            folder.keys[key] = [made]
        return {}

    def _lock(self, folder: Folder, operation: str, words: dict[str, Any]) -> dict[str, Any]:
        asked = {name: words[name] for name in _LOCK if name in words}
        if asked and not folder.lockable and not self._store.echoes:
            raise refuse("InvalidRequest", operation)
        return asked

    # -- buckets ----------------------------------------------------------------------------------

    def create_bucket(
        self, *, Bucket: str, ObjectLockEnabledForBucket: bool = False
    ) -> dict[str, Any]:
        lockable = ObjectLockEnabledForBucket and not self._store.echoes
        self._store.buckets[Bucket] = Folder(versioned=lockable, lockable=lockable)
        return {}

    def put_bucket_versioning(
        self, *, Bucket: str, VersioningConfiguration: dict[str, str]
    ) -> dict[str, Any]:
        folder = self._in("PutBucketVersioning", Bucket)
        folder.versioned = VersioningConfiguration["Status"] == "Enabled"
        return {}

    def get_object_lock_configuration(self, *, Bucket: str) -> dict[str, Any]:
        if self._in("GetObjectLockConfiguration", Bucket).lockable:
            return {"ObjectLockConfiguration": {"ObjectLockEnabled": "Enabled"}}
        if self._store.echoes:
            return {"ObjectLockConfiguration": {}}
        raise refuse("ObjectLockConfigurationNotFoundError", "GetObjectLockConfiguration", 404)

    def list_objects_v2(
        self, *, Bucket: str, Prefix: str = "", MaxKeys: int = 1000, **_: Any
    ) -> dict[str, Any]:
        folder = self._in("ListObjectsV2", Bucket)
        found = [
            {"Key": key, "Size": len(versions[-1].data or b"")}
            for key, versions in sorted(folder.keys.items())
            if key.startswith(Prefix) and versions[-1].data is not None
        ]
        return {"Contents": found[:MaxKeys]} if found else {}

    def get_paginator(self, _operation: str) -> Any:
        def paginate(**words: Any) -> list[dict[str, Any]]:
            return [self.list_objects_v2(**words, MaxKeys=1 << 30)]

        return SimpleNamespace(paginate=paginate)

    def list_object_versions(self, *, Bucket: str, Prefix: str = "", **_: Any) -> dict[str, Any]:
        found: dict[str, Any] = {"Versions": [], "DeleteMarkers": []}
        for key, versions in sorted(self._in("ListObjectVersions", Bucket).keys.items()):
            for number, one in enumerate(reversed(versions) if key.startswith(Prefix) else ()):
                kind = "DeleteMarkers" if one.data is None else "Versions"
                row = {"Key": key, "VersionId": one.id or "null", "IsLatest": number == 0}
                found[kind].append({**row, "LastModified": one.modified})
        return found

    # -- objects ----------------------------------------------------------------------------------

    def put_object(self, *, Bucket: str, Key: str, Body: bytes, **words: Any) -> dict[str, Any]:
        folder = self._in("PutObject", Bucket)
        there = folder.keys.get(Key, [])
        if words.get("IfNoneMatch") == "*" and there and there[-1].data is not None:
            raise refuse("PreconditionFailed", "PutObject", 412)
        lock = self._lock(folder, "PutObject", words)
        return self._add(folder, Key, Object(bytes(Body), words.get("Metadata", {}), "", lock))

    def head_object(self, **where: Any) -> dict[str, Any]:
        one = self._found("HeadObject", where)
        body = {"ContentLength": len(one.data or b""), "LastModified": one.modified}
        return {**body, "Metadata": one.notes, "VersionId": one.id}

    def get_object(self, **where: Any) -> dict[str, Any]:
        one = self._found("GetObject", where)
        start = int(where.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-"))
        etag = f'"{_md5(one.data or b"")}"'
        return {"Body": io.BytesIO((one.data or b"")[start:]), "VersionId": one.id, "ETag": etag}

    def copy_object(
        self,
        *,
        Bucket: str,
        Key: str,
        CopySource: dict[str, str],
        CopySourceIfMatch: str,
        Metadata: dict[str, str],
        MetadataDirective: str,
    ) -> dict[str, Any]:
        one = self._found("CopyObject", CopySource)
        if CopySourceIfMatch.strip('"') != _md5(one.data or b""):
            raise refuse("PreconditionFailed", "CopyObject", 412)
        notes = Metadata if MetadataDirective == "REPLACE" else one.notes
        return self._add(self._in("CopyObject", Bucket), Key, Object(one.data, dict(notes), ""))

    def delete_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:
        return self._add(self._in("DeleteObject", Bucket), Key, Object(None, {}, ""))

    # -- locks ------------------------------------------------------------------------------------

    def put_object_retention(self, *, Retention: dict[str, Any], **where: Any) -> dict[str, Any]:
        one, operation = self._found("PutObjectRetention", where), "PutObjectRetention"
        until = one.lock.get("ObjectLockRetainUntilDate")
        weaker = one.lock.get("ObjectLockMode", "") not in {"", Retention["Mode"]}
        if (until and Retention["RetainUntilDate"] < until) or weaker:
            raise refuse("AccessDenied", operation, 403)
        mode = {"ObjectLockMode": Retention["Mode"]}
        one.lock |= {**mode, "ObjectLockRetainUntilDate": Retention["RetainUntilDate"]}
        return {}

    def get_object_retention(self, **where: Any) -> dict[str, Any]:
        lock = self._found("GetObjectRetention", where).lock
        if "ObjectLockMode" not in lock:
            raise refuse("NoSuchObjectLockConfiguration", "GetObjectRetention", 404)
        until = lock["ObjectLockRetainUntilDate"]
        return {"Retention": {"Mode": lock["ObjectLockMode"], "RetainUntilDate": until}}

    def put_object_legal_hold(self, *, LegalHold: dict[str, str], **where: Any) -> dict[str, Any]:
        one = self._found("PutObjectLegalHold", where)
        one.lock["ObjectLockLegalHoldStatus"] = LegalHold["Status"]
        return {}

    def get_object_legal_hold(self, **where: Any) -> dict[str, Any]:
        lock = self._found("GetObjectLegalHold", where).lock
        if "ObjectLockLegalHoldStatus" not in lock:
            raise refuse("NoSuchObjectLockConfiguration", "GetObjectLegalHold", 404)
        return {"LegalHold": {"Status": lock["ObjectLockLegalHoldStatus"]}}

    # -- uploads in parts -------------------------------------------------------------------------

    def create_multipart_upload(self, *, Bucket: str, Key: str, **words: Any) -> dict[str, Any]:
        folder, name = self._in("CreateMultipartUpload", Bucket), self._store.number()
        lock = self._lock(folder, "CreateMultipartUpload", words)
        kept = lock if self._store.locks_parts else {}
        folder.uploads[name] = Upload(Key, words.get("Metadata", {}), kept)
        return {"UploadId": name}

    def _upload(self, operation: str, bucket: str, name: str) -> Upload:
        uploads = self._in(operation, bucket).uploads
        if name not in uploads:
            raise refuse("NoSuchUpload", operation, 404)
        return uploads[name]

    def upload_part(
        self, *, Bucket: str, UploadId: str, PartNumber: int, Body: bytes, **_: Any
    ) -> dict[str, Any]:
        upload = self._upload("UploadPart", Bucket, UploadId)
        request = SimpleNamespace(body=io.BytesIO(bytes(Body)))
        for handler in self._handlers:
            handler(request)
        data = request.body.read()
        if self._store.compares and data != bytes(Body):
            raise refuse("XAmzContentSHA256Mismatch", "UploadPart")
        upload.parts[PartNumber] = data
        return {"ETag": f'"{_md5(data)}"'}

    def list_parts(self, *, Bucket: str, UploadId: str, **_: Any) -> dict[str, Any]:
        upload = self._upload("ListParts", Bucket, UploadId)
        rows = [
            {"PartNumber": number, "Size": len(data), "ETag": f'"{_md5(data)}"'}
            for number, data in sorted(upload.parts.items())
        ]
        return {"Parts": rows}

    def complete_multipart_upload(
        self, *, Bucket: str, Key: str, UploadId: str, MultipartUpload: dict[str, Any]
    ) -> dict[str, Any]:
        upload = self._upload("CompleteMultipartUpload", Bucket, UploadId)
        data = b""
        for part in MultipartUpload["Parts"]:
            piece = upload.parts.get(part["PartNumber"], b"")
            if part["ETag"].strip('"') != _md5(piece):
                raise refuse("InvalidPart", "CompleteMultipartUpload")
            data += piece
        folder = self._store.buckets[Bucket]
        del folder.uploads[UploadId]
        return self._add(folder, Key, Object(data, upload.notes, "", dict(upload.lock)))

    def abort_multipart_upload(self, *, Bucket: str, UploadId: str, **_: Any) -> dict[str, Any]:
        self._upload("AbortMultipartUpload", Bucket, UploadId)
        del self._store.buckets[Bucket].uploads[UploadId]
        return {}

    def list_multipart_uploads(self, *, Bucket: str) -> dict[str, Any]:
        uploads = self._in("ListMultipartUploads", Bucket).uploads
        return {"Uploads": [{"UploadId": n, "Key": u.key} for n, u in sorted(uploads.items())]}


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()
