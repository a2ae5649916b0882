"""One S3 bucket through boto3: the calls that an import makes, and failures in plain words."""

from __future__ import annotations

import os
import re
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bundle.digest import BLOCK, Digest
from bundle.errors import TargetError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

REGION = "us-east-1"
"""What stores that know no regions want in a signature."""
_HINTS = {
    "NoSuchBucket": "create the bucket first, or name another one",
    "AccessDenied": "the credentials need s3:ListBucket, s3:GetObject, s3:PutObject,"
    " s3:DeleteObject, s3:ListMultipartUploadParts and s3:AbortMultipartUpload there",
    "InvalidAccessKeyId": "check AWS_ACCESS_KEY_ID, or the profile, and the endpoint",
    "SignatureDoesNotMatch": "check AWS_SECRET_ACCESS_KEY and the region",
    "RequestTimeTooSkewed": "set the clock of this host",
    "MissingContentLength": "a proxy in front of the store seems to drop the Content-Length header",
    "EntityTooLarge": "raise the body limit of the proxy in front of the store above 600 MiB",
    "QuotaExceeded": "raise the quota and run again: what was uploaded is kept",
    "InvalidRegion": "set region: in the target file, or AWS_REGION",
    "PermanentRedirect": "set region: in the target file, or AWS_REGION",
    "SlowDown": "the store is overloaded: run again later, what was uploaded is kept",
}
_ALIASES = {
    "403": "AccessDenied",
    "Forbidden": "AccessDenied",
    "411": "MissingContentLength",
    "413": "EntityTooLarge",
    "301": "PermanentRedirect",
    "AuthorizationHeaderMalformed": "InvalidRegion",
    "503": "SlowDown",
}
_CA_HINT = "name the CA's PEM file as ca: in a target file, or in AWS_CA_BUNDLE"
_CREDENTIALS_HINT = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
_ENDPOINT_HINT = "is the endpoint right? set AWS_ENDPOINT_URL, or endpoint: in a target file"


class AbsentError(TargetError):
    """The store says that there is no such object, or no such upload."""


@dataclass(frozen=True, slots=True)
class Store:
    """Which bucket, and how it is reached; empty means what AWS clients take by default.

    ``endpoint`` is a URL (``AWS_ENDPOINT_URL_S3``, ``AWS_ENDPOINT_URL``); ``ca_file`` a PEM file
    (``AWS_CA_BUNDLE``). Credentials come from the usual AWS environment and files, never from here.
    """

    bucket: str
    endpoint: str = ""
    region: str = ""
    ca_file: str = ""


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

    def check(self) -> None:
        """Reach the bucket with the credentials."""
        try:
            self.call("head_bucket")
        except AbsentError:
            message = f"{self._where('')}: there is no such bucket"
            raise TargetError(message, hint=_HINTS["NoSuchBucket"]) from None

    def head(self, key: str) -> tuple[int, str] | None:
        """Return size and recorded SHA-256 (hex, or nothing) of an object, ``None`` without one."""
        try:
            answer = self.call("head_object", key)
        except AbsentError:
            return None
        # Some stores give the names of metadata back in title case.
        notes = {str(k).lower(): str(v) for k, v in (answer.get("Metadata") or {}).items()}
        return int(answer.get("ContentLength", -1)), notes.get("sha256", "").lower()

    @contextmanager
    def stream(self, key: str, offset: int = 0) -> Iterator[Iterator[bytes]]:
        """Yield the blocks of an object from ``offset`` on."""
        asked = {"Range": f"bytes={offset}-"} if offset else {}
        body = self.call("get_object", key, **asked)["Body"]
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

    def read(self, key: str, limit: int) -> bytes | None:
        """Return a small object, or ``None`` when there is none."""
        from botocore.exceptions import BotoCoreError  # noqa: PLC0415  (start-up time)

        try:
            body = self.call("get_object", key)["Body"]
        except AbsentError:
            return None
        try:
            data = bytes(body.read(limit + 1))
        except (BotoCoreError, OSError) as error:
            raise self._failed(error, key) from None
        finally:
            body.close()
        if len(data) > limit:
            raise TargetError(f"{self._where(key)} is longer than {limit} bytes")
        return data

    def write(self, key: str, data: bytes) -> None:
        """Write a small object, its SHA-256 recorded with it."""
        self.call("put_object", key, Body=data, Metadata={"sha256": Digest.of(data).hex})

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

    def close(self) -> None:
        """Let connections go."""
        with self._lock:
            if self._client is not None:
                self._client.close()
            self._client = None

    def _connected(self) -> Any:
        with self._lock:
            if self._client is None:
                self._client = _connect(self.store)
            return self._client

    # -- failures ---------------------------------------------------------------------------------

    def _where(self, key: str) -> str:
        return f"s3://{self.store.bucket}/{key}"

    def _refused(self, error: Any, key: str) -> TargetError:
        # Only the code: a server's own text may repeat what was signed.
        body = error.response.get("Error", {})
        code = re.sub(r"[^A-Za-z0-9]", "", str(body.get("Code", "")))[:60]
        code = _ALIASES.get(code, code)
        operation = error.operation_name
        if code in {"404", "NoSuchKey", "NotFound", "NoSuchUpload"}:
            return AbsentError(f"{self._where(key)}: {operation} found nothing there ({code})")
        message = f"{self._where(key)}: {operation} was refused: {code or 'no reason given'}"
        case = "denied" if code == "AccessDenied" else ""
        return TargetError(message, hint=_HINTS.get(code, ""), case=case)

    def _failed(self, error: Exception, key: str) -> TargetError:
        # Not the exception's text: it holds the whole URL of the request.
        reason, hint = _reason(error)
        return TargetError(f"{self._where(key)}: {reason}", hint=hint)


def _connect(store: Store) -> Any:
    import boto3  # noqa: PLC0415  (half a second that only an S3 import should pay)
    from botocore.config import Config  # noqa: PLC0415
    from botocore.exceptions import BotoCoreError  # noqa: PLC0415

    if store.ca_file and not Path(store.ca_file).is_file():
        raise UsageError(f"the CA file {store.ca_file} is not there")
    # Without when_required, boto3 sends checksum trailers over TLS, which Ceph answers with 411.
    config = Config(
        signature_version="s3v4",
        s3={"addressing_style": "path", "payload_signing_enabled": True},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        retries={"mode": "standard", "total_max_attempts": 8},
        connect_timeout=10,
        read_timeout=120,
        max_pool_connections=8,
    )
    arguments: dict[str, Any] = {"config": config}
    if store.endpoint:
        arguments["endpoint_url"] = store.endpoint
    if store.ca_file:
        arguments["verify"] = store.ca_file
    try:
        session = boto3.session.Session()
        region = store.region or os.environ.get("AWS_REGION") or session.region_name or REGION
        return session.client("s3", region_name=region, **arguments)
    except (BotoCoreError, ValueError, OSError) as error:
        reason, hint = _reason(error)
        raise TargetError(f"s3://{store.bucket}: {reason}", hint=hint) from None


def _reason(error: Exception) -> tuple[str, str]:
    from botocore import exceptions as known  # noqa: PLC0415  (start-up time)

    table: list[tuple[tuple[type[Exception], ...], str, str]] = [
        (
            (known.SSLError,),
            "TLS failed: the certificate is not trusted, or no TLS there",
            _CA_HINT,
        ),
        ((known.ConnectTimeoutError, known.ReadTimeoutError), "no answer in time", _ENDPOINT_HINT),
        (
            (known.ProxyConnectionError,),
            "the proxy cannot be reached",
            "check HTTPS_PROXY, NO_PROXY",
        ),
        ((known.EndpointConnectionError,), "no connection to the endpoint", _ENDPOINT_HINT),
        ((known.NoCredentialsError,), "no credentials were found", _CREDENTIALS_HINT),
        ((known.PartialCredentialsError,), "half of the credentials is missing", _CREDENTIALS_HINT),
        ((known.ProfileNotFound,), "AWS_PROFILE names no known profile", _CREDENTIALS_HINT),
        ((known.ConnectionClosedError, known.HTTPClientError), "the connection was cut", ""),
        ((ValueError,), "the endpoint is no URL", _ENDPOINT_HINT),
        ((OSError,), "a file of the AWS configuration cannot be read", _CREDENTIALS_HINT),
    ]
    for kinds, reason, hint in table:
        if isinstance(error, kinds):
            return reason, hint
    return f"the S3 client failed ({type(error).__name__})", ""
