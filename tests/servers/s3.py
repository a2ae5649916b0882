"""What an object store under test is, and a boto3 client that all of them understand."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

ACCESS_KEY = "TESTKEY"
SECRET_KEY = "TESTSECRET"  # of test servers, which live for one run
REGION = "us-east-1"


@dataclass(frozen=True, slots=True)
class ObjectStore:
    """A running S3 service."""

    endpoint: str
    ca: Path | None
    access_key: str = ACCESS_KEY
    secret_key: str = SECRET_KEY
    pids: tuple[int, ...] = ()

    @property
    def port(self) -> int:
        """The port, for a proxy in front of it."""
        return int(self.endpoint.rpartition(":")[2])

    def environment(self) -> dict[str, str]:
        """Return the variables by which AWS clients take the credentials."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_DEFAULT_REGION": REGION,
        }

    def client(self, **other: Any) -> Any:
        """Return a boto3 client; ``other`` replaces arguments of it. Close it."""
        from botocore.config import Config

        # Without when_required, boto3 sends trailers over TLS that both servers answer with 411.
        config = Config(
            signature_version="s3v4",
            s3={"addressing_style": "path"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            retries={"total_max_attempts": 1},
        )
        arguments: dict[str, Any] = {
            "endpoint_url": self.endpoint,
            "aws_access_key_id": self.access_key,
            "aws_secret_access_key": self.secret_key,
            "region_name": REGION,
            "verify": str(self.ca) if self.ca else None,
            "config": config,
        }
        return _session().client("s3", **{**arguments, **other})

    def bucket(self) -> str:
        """Make a bucket that no other test uses, and return its name."""
        name = f"t{uuid.uuid4().hex[:16]}"
        client = self.client()
        try:
            client.create_bucket(Bucket=name)
        finally:
            client.close()
        return name


@cache
def _session() -> Any:
    """Return the session of all clients: each that is made reads 1 MB of JSON."""
    import boto3

    return boto3.session.Session()
