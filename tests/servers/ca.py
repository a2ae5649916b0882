"""A certificate authority for one test run, and a server certificate for loopback."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fixtures import certificates

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Authority:
    """What a client trusts (``ca``) and what a server shows (``cert``, ``key``): PEM files."""

    ca: Path
    cert: Path
    key: Path
    chain: Path
    """Certificate and key in one file, as Ceph wants it."""


def make(folder: Path, name: str = "dray test CA") -> Authority:
    """Write a new authority and a certificate of it for localhost, 127.0.0.1 and ::1."""
    folder.mkdir(parents=True, exist_ok=True)
    issuer = certificates.Authority(folder, name)
    cert, key = issuer.issue()
    chain = folder / "chain.pem"
    chain.touch(mode=0o600)
    chain.write_bytes(cert.read_bytes() + key.read_bytes())
    return Authority(issuer.ca_file, cert, key, chain)
