"""One S3 bucket through boto3: the calls that an import makes, and failures in plain words."""

from __future__ import annotations

import base64
import hashlib
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from bundle import instant
from bundle.digest import BLOCK, Digest
from bundle.errors import TargetError
from importer.targets import s3client
from importer.targets.lock import UNLOCKED, Lock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class AbsentError(TargetError):
    """The store says that there is no such object, or no such upload."""


@dataclass(frozen=True, slots=True)
class Store:
    """Which bucket, and how it is reached; empty means what AWS clients take by default.

    ``endpoint`` is a URL (``AWS_ENDPOINT_URL_S3``, ``AWS_ENDPOINT_URL``); ``ca_file`` a PEM file
    (``AWS_CA_BUNDLE``). Credentials come from the usual AWS environment and files, never from here.
    ``lock`` is how long nobody may remove what is written.
    """

    bucket: str
    endpoint: str = ""
    region: str = ""
    ca_file: str = ""
    lock: Lock = UNLOCKED


@dataclass(frozen=True, slots=True)
class Seen:
    """An object as the store describes it; none of it is proof.

    ``sha256`` is hex from its metadata, or nothing; ``version`` is empty where there are none.
    """

    size: int
    sha256: str
    version: str
    modified: datetime


@dataclass(frozen=True, slots=True)
class Version:
    """One version of an object; ``latest`` is what a reader finds who asks for none."""

    key: str
    id: str
    latest: bool
    deleted: bool = False
    """Whether it is a delete marker."""


class Bucket:
    """The calls, for several threads. Failures are :class:`TargetError` and name the object."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._lock = threading.Lock()
        self._client: Any = None

    def call(self, operation: str, key: str = "", **arguments: Any) -> dict[str, Any]:
        """Make one call of the S3 API and return its answer; ``key`` empty means the bucket."""
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415  (start-up time)

        client = self._connected()
        if key:
            arguments["Key"] = key
        try:
            answer = getattr(client, operation)(Bucket=self.store.bucket, **arguments)
        except ClientError as error:
            raise self._refused(error, key) from None
        except BotoCoreError as error:
            raise self._failed(error, key) from None
        return dict(answer)

    def check(self, prefix: str = "") -> dict[str, Any]:
        """Reach the bucket with the credentials, and be let list what is below ``prefix``.

        Not by a HEAD: what refuses one says no reason.
        """
        below = {"Prefix": f"{prefix}/"} if prefix else {}
        try:
            return self.call("list_objects_v2", MaxKeys=1, **below)
        except TargetError as error:
            if error.case != "NoSuchBucket" and not isinstance(error, AbsentError):
                raise
            message, hint = f"{self._where('')}: there is no such bucket", error.hint
            raise TargetError(message, hint=hint or s3client.NO_BUCKET, case=error.case) from None

    def look(self, key: str, version: str = "") -> Seen | None:
        """Return what the store says of an object, ``None`` without one."""
        try:
            answer = self.call("head_object", key, **_of(version))
        except AbsentError:
            return None
        # Some stores give the names of metadata back in title case.
        notes = {str(k).lower(): str(v) for k, v in (answer.get("Metadata") or {}).items()}
        modified = answer.get("LastModified")
        if not isinstance(modified, datetime):
            modified = instant.now()
        return Seen(
            int(answer.get("ContentLength", -1)),
            notes.get("sha256", "").lower(),
            version_of(answer),
            modified.replace(tzinfo=modified.tzinfo or UTC),
        )

    def head(self, key: str) -> tuple[int, str] | None:
        """Return size and recorded SHA-256 (hex, or nothing) of an object, ``None`` without one."""
        seen = self.look(key)
        return (seen.size, seen.sha256) if seen else None

    @contextmanager
    def stream(self, key: str, offset: int = 0, version: str = "") -> Iterator[Iterator[bytes]]:
        """Yield the blocks of an object, or of one version of it, from ``offset`` on."""
        asked = {"Range": f"bytes={offset}-"} if offset else {}
        body = self.call("get_object", key, **asked, **_of(version))["Body"]
        try:
            yield self._blocks(body, key)
        finally:
            body.close()

    def _blocks(self, body: Any, key: str) -> Iterator[bytes]:
        from botocore.exceptions import BotoCoreError  # noqa: PLC0415  (start-up time)
        from urllib3.exceptions import HTTPError  # noqa: PLC0415

        try:
            while block := body.read(BLOCK):
                yield bytes(block)
        except (BotoCoreError, HTTPError, OSError) as error:
            raise self._failed(error, key) from None

    def read(self, key: str, limit: int, version: str = "") -> bytes | None:
        """Return a small object, or one version of it; ``None`` when there is none."""
        found = self.fetch(key, limit, version)
        return found[0] if found else None

    def fetch(self, key: str, limit: int, version: str = "") -> tuple[bytes, str] | None:
        """Return a small object and which version it is; ``None`` when there is none."""
        from botocore.exceptions import BotoCoreError  # noqa: PLC0415  (start-up time)

        try:
            answer = self.call("get_object", key, **_of(version))
        except AbsentError:
            return None
        body = answer["Body"]
        try:
            data = bytes(body.read(limit + 1))
        except (BotoCoreError, OSError) as error:
            raise self._failed(error, key) from None
        finally:
            body.close()
        if len(data) > limit:
            raise TargetError(f"{self._where(key)} is longer than {limit} bytes")
        return data, version_of(answer)

    def write(self, key: str, data: bytes, *, alone: bool = False, hold: bool = True) -> str:
        """Write a small object, its SHA-256 recorded with it and locked as the store is told to.

        Returns the version that it became, or nothing. ``alone`` asks the store to refuse where
        there is one already (case ``PreconditionFailed``); many do not. ``hold`` False leaves a
        legal hold out.
        """
        # Stores want the MD5 of what is to be locked (S3 User Guide, "Object Lock considerations").
        md5 = hashlib.md5(data, usedforsecurity=False).digest()
        what: dict[str, Any] = {"Body": data, "ContentMD5": base64.b64encode(md5).decode()}
        what |= {"Metadata": {"sha256": Digest.of(data).hex}}
        lock = self.store.lock.arguments(instant.now(), hold=hold)
        condition = {"IfNoneMatch": "*"} if alone else {}
        try:
            return version_of(self.call("put_object", key, **what, **lock, **condition))
        except TargetError as error:
            if error.case == "NotImplemented" and alone:
                return self.write(key, data, hold=hold)
            # Versity's gateway cannot lock what takes the place of a delete marker: done later.
            if error.case == "MethodNotAllowed" and lock:
                return version_of(self.call("put_object", key, **what))
            raise

    def keys(self, prefix: str, most: int) -> list[str]:
        """Return the keys that begin with ``prefix``, the first ``most`` of them at least."""
        found: list[str] = []
        more: dict[str, str] = {}
        while True:
            answer = self.call("list_objects_v2", Prefix=prefix, **more)
            found += [str(entry["Key"]) for entry in answer.get("Contents") or ()]
            following = str(answer.get("NextContinuationToken") or "")
            if not answer.get("IsTruncated") or not following or len(found) >= most:
                return found
            more = {"ContinuationToken": following}

    def versions(self, prefix: str, most: int) -> list[Version]:
        """Return the versions below ``prefix``, each key's newest first, ``most`` of them at least.

        Raises :class:`TargetError` where the store has none (case ``NotImplemented``), or does not
        let them be listed.
        """
        found: list[Version] = []
        more: dict[str, str] = {}
        while True:
            answer = self.call("list_object_versions", Prefix=prefix, **more)
            entries = [
                (str(entry["Key"]), entry["LastModified"], position, kind == "DeleteMarkers", entry)
                for kind in ("Versions", "DeleteMarkers")
                for position, entry in enumerate(answer.get(kind) or ())
            ]
            entries.sort(key=lambda one: (one[0], not one[4].get("IsLatest"), -one[1].timestamp()))
            found += [
                Version(key, str(entry["VersionId"]), bool(entry.get("IsLatest")), gone)
                for key, _when, _position, gone, entry in entries
            ]
            following = {
                "KeyMarker": str(answer.get("NextKeyMarker") or ""),
                "VersionIdMarker": str(answer.get("NextVersionIdMarker") or ""),
            }
            following = {name: value for name, value in following.items() if value}
            if not answer.get("IsTruncated") or following in ({}, more) or len(found) >= most:
                return found
            more = following

    def parts(self, key: str, upload: str) -> dict[int, tuple[int, str]]:
        """Return size and ETag of the parts that an upload has so far, by number."""
        found: dict[int, tuple[int, str]] = {}
        after = 0
        while True:
            answer = self.call("list_parts", key, UploadId=upload, PartNumberMarker=after)
            for part in answer.get("Parts") or ():
                etag = str(part.get("ETag", "")).strip('"').lower()
                found[int(part["PartNumber"])] = (int(part["Size"]), etag)
            following = int(answer.get("NextPartNumberMarker") or 0)
            if not answer.get("IsTruncated") or following <= after:
                return found
            after = following

    @contextmanager
    def watched(self, event: str, handler: Callable[..., None]) -> Iterator[None]:
        """Have ``handler`` called at one of botocore's events while this lasts."""
        events = self._connected().meta.events
        events.register(event, handler)
        try:
            yield
        finally:
            events.unregister(event, handler)

    def close(self) -> None:
        """Let connections go."""
        with self._lock:
            if self._client is not None:
                self._client.close()
            self._client = None

    def _connected(self) -> Any:
        with self._lock:
            if self._client is None:
                self._client = s3client.connect(self.store)
            return self._client

    # -- failures ---------------------------------------------------------------------------------

    def _where(self, key: str) -> str:
        return f"s3://{self.store.bucket}/{key}"

    def _refused(self, error: Any, key: str) -> TargetError:
        said = s3client.refusal(error, self.store.endpoint)
        if said.code in s3client.ABSENT:
            return AbsentError(f"{self._where(key)}: {said.operation} found nothing ({said.code})")
        reason = said.code or "no reason given"
        message = f"{self._where(key)}: {said.operation} was refused: {reason}{said.detail}"
        case = "denied" if said.code == "AccessDenied" else said.code
        return TargetError(message, hint=said.hint, case=case)

    def _failed(self, error: Exception, key: str) -> TargetError:
        reason, hint = s3client.failure(error, self.store.endpoint)
        return TargetError(f"{self._where(key)}: {reason}", hint=hint)


def version_of(answer: dict[str, Any]) -> str:
    """Return the version that an answer names; nothing where the bucket keeps none."""
    version = str(answer.get("VersionId") or "")
    return "" if version == "null" else version


def _of(version: str) -> dict[str, str]:
    return {"VersionId": version} if version else {}
