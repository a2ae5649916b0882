"""What an import into a bucket would fail by, asked before a byte is sent; no object is written.

S3 has no call that tells what one may do. So an upload is begun, gets one part whose signed SHA-256
is another than that of its bytes, and is aborted: nothing of it is ever visible.
"""

from __future__ import annotations

import io
import threading
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from bundle import instant
from bundle.errors import TargetError
from importer.targets import s3client
from importer.targets.ready import NotReady, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from importer.targets.bucket import Bucket

_SIGNED = b"dray asks whether the store compares what it gets with what was signed: no"
_SENT = b"dray asks whether the store compares what it gets with what was signed: NO"
_SKEW = timedelta(minutes=5)
"""A third of what stores allow (S3 API, "RequestTimeTooSkewed": fifteen minutes)."""
_NO_LOCK = frozenset({"ObjectLockConfigurationNotFoundError", "NotImplemented", "InvalidRequest"})


class Preflight:
    """The questions about one bucket; ``prefix`` is below which the login may write."""

    def __init__(self, bucket: Bucket, prefix: str) -> None:
        self._bucket = bucket
        self._prefix = prefix
        self._key = f"{prefix}/.dray/probe".lstrip("/")
        self._label = f"s3://{bucket.store.bucket}/{prefix}".rstrip("/")
        self._guard = threading.Lock()
        self._compares: bool | None = None
        self._lockable: bool | None = None

    def run(self, *, writes: bool) -> tuple[str, ...]:
        """Return notes for people; raise :class:`NotReady` for what would fail.

        ``writes`` tells that something is to be sent.
        """
        problems: list[Problem] = []
        notes = [*self._clock(), *self._locks(problems)]
        if writes and not problems:
            notes += self._writes(problems)
        if problems:
            raise NotReady(self._label, problems)
        return tuple(notes)

    @property
    def compares(self) -> bool:
        """Whether the store refuses bytes whose SHA-256 is not the one that was signed.

        If it does not, nothing but reading them back proves what it has.
        """
        with self._guard:
            if self._compares is None:
                self._compares = self._probe()
            return self._compares

    @property
    def lockable(self) -> bool:
        """Whether the bucket has object lock, which a store that has none cannot say."""
        if self._lockable is None:
            try:
                self._lockable = bool(self._rules())
            except TargetError as error:
                if error.case not in _NO_LOCK:
                    raise
                self._lockable = False
        return self._lockable

    # -- the questions ----------------------------------------------------------------------------

    def _clock(self) -> list[str]:
        answer = self._bucket.check(self._prefix)
        skew = s3client.clock_skew((answer.get("ResponseMetadata") or {}).get("HTTPHeaders") or {})
        if skew is None or abs(skew) < _SKEW:
            return []
        return [f"{self._label}: {s3client.said(skew)}: past 15 minutes it refuses everything"]

    def _locks(self, problems: list[Problem]) -> list[str]:
        """Ask for the bucket's object lock, where one is asked for or may be there unasked."""
        asked = self._bucket.store.lock.asked
        try:
            rules = self._rules() if self.lockable else {}
        except TargetError as error:
            if asked:
                problems.append(self._unknown(error))
            return []
        if asked and not self.lockable:
            problems.append(
                Problem(
                    f"{self._label} has no object lock, and the target file asks for one",
                    "the bucket's owner has to make one that has it (aws s3api create-bucket"
                    " --object-lock-enabled-for-bucket); if the store knows none, leave lock: out",
                )
            )
        default = (rules.get("Rule") or {}).get("DefaultRetention") or {}
        if not default:
            return []
        length = " ".join(f"{default[unit]} {unit.lower()}" for unit in default if unit != "Mode")
        mode = str(default.get("Mode", "")).lower()
        return [f"{self._label}: the bucket locks whatever is written: {mode}, {length}"]

    def _rules(self) -> dict[str, Any]:
        answer = self._bucket.call("get_object_lock_configuration")
        rules = dict(answer.get("ObjectLockConfiguration") or {})
        return rules if rules.get("ObjectLockEnabled") == "Enabled" else {}

    def _unknown(self, error: TargetError) -> Problem:
        if error.case != "denied":
            return Problem(f"{error.message}, so nobody can tell whether a lock holds", error.hint)
        return Problem(
            f"{self._label}: these credentials may not ask whether the bucket has object lock",
            "its owner has to give them s3:GetBucketObjectLockConfiguration, and"
            " s3:PutObjectRetention, GetObjectRetention, PutObjectLegalHold, GetObjectLegalHold",
        )

    def _writes(self, problems: list[Problem]) -> list[str]:
        try:
            if self.compares:
                return []
        except TargetError as error:
            problems.append(Problem(error.message, error.hint))
            return []
        return [
            f"{self._label}: the store does not compare what it gets with its signed SHA-256:"
            " every object is read back and hashed"
        ]

    def _probe(self) -> bool:
        bucket, key = self._bucket, self._key
        lock = bucket.store.lock.arguments(instant.now())
        upload = str(bucket.call("create_multipart_upload", key, **lock)["UploadId"])
        try:
            with _swapped(bucket):
                bucket.call("upload_part", key, UploadId=upload, PartNumber=1, Body=_SIGNED)
        except TargetError as error:
            if error.case not in {"XAmzContentSHA256Mismatch", "BadDigest"}:
                raise
            return True
        else:
            return False
        finally:
            bucket.call("abort_multipart_upload", key, UploadId=upload)


@contextmanager
def _swapped(bucket: Bucket) -> Iterator[None]:
    """Have one body exchanged after it was signed; those of other threads are left alone."""

    def swap(request: Any, **_other: Any) -> None:
        body = request.body
        if hasattr(body, "seek"):
            is_ours = body.read() == _SIGNED
            body.seek(0)
        else:
            is_ours = body == _SIGNED
        if is_ours:
            request.body = io.BytesIO(_SENT)

    with bucket.watched("before-send.s3.UploadPart", swap):
        yield
