"""Multipart uploads that survive a kill, and of which nothing shows until they are completed."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bundle import instant
from bundle.decode import Fields, compact_json, parse_json
from bundle.errors import GateRefused, TargetError, VerificationError
from importer.targets.bucket import AbsentError, version_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from bundle.decode import Path as FieldPath
    from bundle.digest import Digest
    from bundle.errors import DrayError
    from importer.targets.base import Blob
    from importer.targets.bucket import Bucket

PART = 8 << 20
"""Bytes of a part, as long as 9,000 of them are enough: stores take 10,000."""
_MOST_PARTS = 9000
STALE = 7 * 86400.0
"""Seconds after which an upload that nobody has gone on with is aborted."""


@dataclass(frozen=True, slots=True)
class Record:
    """An upload that was begun. ``parts`` are the ETags by number, once all of them are there."""

    upload: str
    parts: tuple[str, ...] = ()


class Journal:
    """Remembers uploads in a folder of this host, one small file for each.

    What is lost with it is only work: an upload without a record is started again, and the old one
    is left to the bucket's lifecycle rule (AbortIncompleteMultipartUpload).
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def load(self, name: str) -> Record | None:
        """Return the record, or ``None`` when there is none that can be read."""
        try:
            fields = Fields(parse_json(self._path(name).read_bytes(), limit=4 << 20), (), _fault)
            return Record(fields.text("upload"), fields.texts("parts"))
        except (OSError, ValueError, TargetError):
            return None

    def save(self, name: str, record: Record) -> None:
        """Write the record, whole or not at all."""
        path = self._path(name)
        new = path.with_suffix(".new")
        body = {"upload": record.upload, "parts": list(record.parts), "name": name}
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            new.write_bytes(compact_json(body))
            new.replace(path)
        except OSError as error:
            reason = (error.strerror or "unknown reason").lower()
            raise TargetError(f"cannot write the upload journal {path}: {reason}") from None

    def drop(self, name: str) -> None:
        """Forget the record."""
        with suppress(OSError):
            self._path(name).unlink(missing_ok=True)

    def old(self, seconds: float) -> list[tuple[str, str]]:
        """Return name and upload of the records that were written longer ago than ``seconds``."""
        found: list[tuple[str, str]] = []
        for path in sorted(self._folder.glob("*.json")) if self._folder.is_dir() else ():
            with suppress(OSError, ValueError, TargetError):
                if time.time() - path.stat().st_mtime > seconds:
                    fields = Fields(parse_json(path.read_bytes(), limit=4 << 20), (), _fault)
                    found.append((fields.text("name", limit=1 << 14), fields.text("upload")))
        return found

    def _path(self, name: str) -> Path:
        return self._folder / f"{hashlib.sha256(name.encode()).hexdigest()[:40]}.json"


def _fault(_path: FieldPath, message: str, _hint: str) -> DrayError:
    return TargetError(message)


class Uploads:
    """Sends objects in parts to one bucket. One thread per key at a time."""

    def __init__(self, bucket: Bucket, journal: Journal) -> None:
        self._bucket = bucket
        self._journal = journal
        self._seen: set[str] = set()
        """The uploads whose parts this run has sent or counted."""

    def send(self, key: str, blob: Blob, on_bytes: Callable[[int], object]) -> None:
        """Upload all parts of an object that is not empty; it shows only after :meth:`complete`.

        Parts that an earlier run has sent are kept where the store still has them. When that run
        came to their end the medium is not read again; else those parts are kept whose size and MD5
        are those of the bytes read now. Wrong bytes abort the upload. So does a store that no
        longer has it, or does not let a part be replaced: then :class:`AbsentError` asks the caller
        to send the object again.
        """
        name = self._name(key, blob.digest)
        self._seen.add(name)
        record, kept = self._resume(key, name)
        if record and record.parts and _same(record.parts, kept, blob.size):
            on_bytes(blob.size)
            return
        upload = record.upload if record else self._begin(key, name, blob.digest)
        etags: list[str] = []
        sent = 0
        try:
            for data in cut(blob.blocks(), min(part_size(blob.size), blob.size)):
                etags.append(self._part(key, upload, len(etags) + 1, data, kept))
                on_bytes(len(data))
                sent += len(data)
        except (VerificationError, GateRefused, AbsentError):
            on_bytes(-sent)
            self._abort(key, upload, name)
            raise
        self._journal.save(name, Record(upload, tuple(etags)))

    def complete(self, key: str, digest: Digest) -> str | None:
        """Make the object visible; return the version that it is, if any, or ``None``.

        ``None`` means that there was no upload to complete.
        """
        name = self._name(key, digest)
        record = self._journal.load(name)
        if record is None or not record.parts:
            return None
        if name not in self._seen and self._resume(key, name)[0] is None:
            return None  # of an earlier run, and aborted since
        parts = [
            {"PartNumber": number, "ETag": f'"{etag}"'}
            for number, etag in enumerate(record.parts, 1)
        ]
        try:
            answer = self._bucket.call(
                "complete_multipart_upload",
                key,
                UploadId=record.upload,
                MultipartUpload={"Parts": parts},
            )
        except TargetError as error:
            if not isinstance(error, AbsentError) and not self._is_gone(key, record, error):
                raise
            self._journal.drop(name)
            return None
        self._journal.drop(name)
        return version_of(answer)

    def _is_gone(self, key: str, record: Record, error: TargetError) -> bool:
        """Whether a store that failed has no such upload: Ceph 16 says ``InternalError`` then."""
        if error.case != "InternalError":
            return False
        try:
            self._bucket.parts(key, record.upload)
        except AbsentError:
            return True
        return False

    def abort_stale(self, seconds: float = STALE) -> int:
        """Abort the uploads of this host to this bucket that were given up; return how many.

        Those of others, of which there is no record here, are left to the bucket's lifecycle rule.
        """
        store = self._bucket.store
        count = 0
        for name, upload in self._journal.old(seconds):
            with suppress(ValueError, TypeError):
                endpoint, bucket, key, _digest = json.loads(name)
                if (endpoint, bucket) == (store.endpoint, store.bucket):
                    self._abort(str(key), upload, name)
                    count += 1
        return count

    def _name(self, key: str, digest: Digest) -> str:
        store = self._bucket.store
        return json.dumps([store.endpoint, store.bucket, key, digest])

    def _resume(self, key: str, name: str) -> tuple[Record | None, dict[int, tuple[int, str]]]:
        record = self._journal.load(name)
        if record is None:
            return None, {}
        try:
            return record, self._bucket.parts(key, record.upload)
        except AbsentError:
            self._journal.drop(name)
            return None, {}

    def _begin(self, key: str, name: str, digest: Digest) -> str:
        notes: dict[str, Any] = {"Metadata": {"sha256": digest.hex}}
        notes |= self._bucket.store.lock.arguments(instant.now())
        upload = str(self._bucket.call("create_multipart_upload", key, **notes)["UploadId"])
        self._journal.save(name, Record(upload))
        return upload

    def _abort(self, key: str, upload: str, name: str) -> None:
        self._journal.drop(name)
        with suppress(TargetError):
            self._bucket.call("abort_multipart_upload", key, UploadId=upload)

    def _part(
        self, key: str, upload: str, number: int, data: bytearray, kept: dict[int, tuple[int, str]]
    ) -> str:
        # MD5 because that is what stores compare and answer; SHA-256 vouches for the bytes.
        md5 = hashlib.md5(data, usedforsecurity=False)
        if kept.get(number) == (len(data), md5.hexdigest()):
            return md5.hexdigest()
        part = {"UploadId": upload, "PartNumber": number, "Body": data}
        part["ContentMD5"] = base64.b64encode(md5.digest()).decode()
        try:
            answer = self._bucket.call("upload_part", key, **part)
        except TargetError as error:
            if number in kept:
                raise AbsentError(error.message, hint=error.hint) from None
            raise
        return str(answer.get("ETag", "")).strip('"')


def part_size(size: int) -> int:
    """Return the bytes of each part but the last, for an object of ``size`` bytes."""
    return max(PART, -(-size // _MOST_PARTS))


def cut(blocks: Iterable[bytes], size: int) -> Iterator[bytearray]:
    """Yield ``blocks`` as parts of ``size`` bytes, all in one buffer: use each before the next.

    So memory stays at one part, whatever the object's size.
    """
    buffer, filled = bytearray(size), 0
    for block in blocks:
        rest = memoryview(block)
        while rest:
            taken = rest[: size - filled]
            buffer[filled : filled + len(taken)] = taken
            filled += len(taken)
            rest = rest[len(taken) :]
            if filled == size:
                yield buffer
                filled = 0
    if filled:
        yield buffer if filled == len(buffer) else buffer[:filled]


def _same(etags: tuple[str, ...], kept: dict[int, tuple[int, str]], size: int) -> bool:
    there = tuple(kept[number][1] for number in sorted(kept))
    numbers = list(range(1, len(etags) + 1))
    same = sorted(kept) == numbers and there == tuple(etag.lower() for etag in etags)
    return same and sum(part[0] for part in kept.values()) == size
