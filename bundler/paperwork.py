"""The bundle's small files: how to check it without dray, and the list of digests."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bundle.digest import Digest

TRUSTED_ROOT = b'{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1"}\n'
"""An empty trusted root: with it, cosign asks no server."""


def sha256sums(rows: Iterable[tuple[str, Digest]]) -> bytes:
    """Return names and digests as ``sha256sum -c`` reads them."""
    return "".join(f"{digest.hex}  {name}\n" for name, digest in rows).encode()


def readme(name: str, *, encoded: bool) -> bytes:
    """Return README.txt. A test runs its commands, as they stand, in a shell without dray."""
    zstd = _text("readme-zstd.txt") if encoded else ""
    return _text("readme.txt").replace("@NAME@", name).replace("@ZSTD@", zstd).encode()


def _text(name: str) -> str:
    return (files("bundler") / "texts" / name).read_text(encoding="utf-8")
