"""boto3 as dray uses it: one client for all stores, and its failures in plain words."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bundle import instant
from bundle.child import environment
from bundle.errors import TargetError, UsageError

if TYPE_CHECKING:
    from datetime import timedelta

    from importer.targets.bucket import Store

REGION = "us-east-1"
"""What stores that know no regions want in a signature."""
RIGHTS = (
    "s3:ListBucket, s3:GetObject, s3:PutObject, s3:DeleteObject, s3:ListMultipartUploadParts and"
    " s3:AbortMultipartUpload"
)
_REGION_HINT = "set region: in the target file, or AWS_REGION"
_TLS_HINT = "it may speak TLS only: write https:// in AWS_ENDPOINT_URL or endpoint:"
NO_BUCKET = "its owner has to create the bucket first; or name another one"
_HINTS = {
    "NoSuchBucket": NO_BUCKET,
    "AccessDenied": f"the bucket's owner has to give these credentials {RIGHTS} there",
    "InvalidAccessKeyId": "check AWS_ACCESS_KEY_ID, or the profile, and the endpoint",
    "SignatureDoesNotMatch": "check AWS_SECRET_ACCESS_KEY and the region",
    "ExpiredToken": "get fresh credentials: those in AWS_SESSION_TOKEN have expired",
    "RequestTimeTooSkewed": "set the clock of this host, or that of the store",
    "MissingContentLength": "a proxy in front of the store seems to drop the Content-Length header",
    "EntityTooLarge": "raise the body limit of the proxy in front of the store above 600 MiB",
    "QuotaExceeded": "raise the quota and run again: what was uploaded is kept",
    "InvalidRegion": _REGION_HINT,
    "PermanentRedirect": _REGION_HINT,
    "SlowDown": "the store is overloaded: run again later, what was uploaded is kept",
    "InsufficientCapacity": "the store is full: its administrator has to make room; run it again",
    "InternalError": "the store failed: run it again; if it stays, its administrator has the log",
    "KeyTooLongError": "use a shorter prefix, or a map: rule in a target file",
    "XAmzContentSHA256Mismatch": "something between here and the store changes what is sent",
    "BadDigest": "something between here and the store changes what is sent",
    "MethodNotAllowed": "the store does not let objects there be replaced: use a fresh prefix",
    "RedirectToTLS": "write https:// in AWS_ENDPOINT_URL or endpoint:",
}
_ALIASES = {
    "403": "AccessDenied",
    "Forbidden": "AccessDenied",
    "411": "MissingContentLength",
    "413": "EntityTooLarge",
    "301": "PermanentRedirect",
    "AuthorizationHeaderMalformed": "InvalidRegion",
    "IllegalLocationConstraintException": "InvalidRegion",
    "503": "SlowDown",
    "ServiceUnavailable": "SlowDown",
    "405": "MethodNotAllowed",
    "500": "InternalError",
    "507": "InsufficientCapacity",
    "InsufficientStorage": "InsufficientCapacity",
    "XMinioStorageFull": "InsufficientCapacity",
    "XMinioAdminBucketQuotaExceeded": "QuotaExceeded",
    "XAmzContentChecksumMismatch": "BadDigest",
    "TokenRefreshRequired": "ExpiredToken",
    "InvalidToken": "ExpiredToken",
}
ABSENT = frozenset({"404", "NoSuchKey", "NotFound", "NoSuchUpload", "NoSuchVersion"})
_CA_HINT = "name the CA's PEM file as ca: in a target file, or in AWS_CA_BUNDLE"
_CREDENTIALS_HINT = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
_ENDPOINT_HINT = "is the endpoint right? set AWS_ENDPOINT_URL, or endpoint: in a target file"


@dataclass(frozen=True, slots=True)
class Answer:
    """A refusal of a store: its code, made of letters and digits alone, and what to do about it.

    ``skew`` is how far this host's clock is ahead of the store's, as far as the answer tells.
    """

    code: str
    operation: str
    detail: str = ""
    hint: str = ""
    skew: timedelta | None = None


def connect(store: Store) -> Any:
    """Return a client; raise :class:`TargetError`, or :class:`UsageError` for a CA file."""
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
        session = boto3.session.Session(botocore_session=_session())
        region = store.region or os.environ.get("AWS_REGION") or session.region_name or REGION
        client = session.client("s3", region_name=region, **arguments)
    except (BotoCoreError, ValueError, OSError) as error:
        reason, hint = failure(error)
        raise TargetError(f"s3://{store.bucket}: {reason}", hint=hint) from None
    client.meta.events.register_first("needs-retry.s3", _stay)
    return client


@cache
def _loader(folder: str | None) -> Any:
    """Return what reads botocore's descriptions of services: a fifth of a second, but once."""
    from botocore.loaders import create_loader  # noqa: PLC0415

    return create_loader(folder)


def _session() -> Any:
    """Return a session whose ``credential_process``, a program, gets no secret of dray's."""
    from botocore.credentials import ProcessProvider  # noqa: PLC0415
    from botocore.session import get_session  # noqa: PLC0415

    made = get_session()
    made.register_component("data_loader", _loader(made.get_config_variable("data_path")))
    resolver = made.get_component("credential_provider")
    own = ProcessProvider(
        made.get_config_variable("profile") or "default",
        lambda: made.full_config,
        popen=partial(subprocess.Popen, env=environment()),
    )
    resolver.insert_before(ProcessProvider.METHOD, own)
    return made


def _stay(request_dict: dict[str, Any], response: Any, **_other: Any) -> None:
    """Keep botocore from asking where a proxy's redirect leads: it does so without end.

    Its S3RegionRedirector takes any 301 for one of Amazon's, which have no Location.
    """
    if response is not None and response[0] is not None and "location" in response[0].headers:
        request_dict.get("context", {}).get("s3_redirect", {})["redirected"] = True


def refusal(error: Any, endpoint: str = "") -> Answer:
    """Return what a ``ClientError`` says.

    Only its code and a few headers: a server's own text may repeat what was signed.
    """
    body = error.response.get("Error", {})
    seen = error.response.get("ResponseMetadata", {})
    headers = {str(k).lower(): str(v) for k, v in (seen.get("HTTPHeaders") or {}).items()}
    code = re.sub(r"[^A-Za-z0-9]", "", str(body.get("Code", "")))[:60]
    code = _ALIASES.get(code, code)
    if endpoint.startswith("http://") and headers.get("location", "").startswith("https://"):
        code = "RedirectToTLS"
    operation = str(error.operation_name)
    hint = _HINTS.get(code, "")
    if code == "RequestTimeTooSkewed" and (skew := clock_skew(headers)):
        return Answer(code, operation, f" ({said(skew)})", hint, skew)
    if code in {"InvalidRegion", "PermanentRedirect"}:
        named = str(body.get("Region") or headers.get("x-amz-bucket-region", ""))
        if re.fullmatch(r"[a-z0-9-]{1,60}", named):
            hint = f"set region: {named} in the target file, or AWS_REGION={named}"
    if code == "400" and endpoint.startswith("http://"):
        hint = _TLS_HINT
    return Answer(code, operation, "", hint)


def clock_skew(headers: dict[str, str]) -> timedelta | None:
    """Return how far this host's clock is ahead of the one that an answer's Date tells of."""
    try:
        return instant.now() - parsedate_to_datetime(headers["date"])
    except (KeyError, ValueError, TypeError):
        return None


def said(skew: timedelta) -> str:
    """Return a difference of clocks in words."""
    where = "ahead of" if skew.total_seconds() > 0 else "behind"
    return f"the clock of this host is {instant.ago(abs(skew))} {where} the store's"


def failure(error: Exception, endpoint: str = "") -> tuple[str, str]:
    """Return why there was no answer, and what to do; never the exception's own text.

    That holds the whole URL of the request.
    """
    from botocore import exceptions as known  # noqa: PLC0415  (start-up time)

    cut_hint = _TLS_HINT if endpoint.startswith("http://") else ""
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
        (
            (known.ConnectionClosedError, known.HTTPClientError),
            "the connection was cut",
            cut_hint,
        ),
        ((ValueError,), "the endpoint is no URL", _ENDPOINT_HINT),
        ((OSError,), "a file of the AWS configuration cannot be read", _CREDENTIALS_HINT),
    ]
    for kinds, reason, hint in table:
        if isinstance(error, kinds):
            return reason, hint
    return f"the S3 client failed ({type(error).__name__})", ""
