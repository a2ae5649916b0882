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


def readme(name: str, *, encoded: bool, encrypted: bool) -> bytes:
    """Return README.txt. A test runs its commands, as they stand, in a shell without dray."""
    text = _text("readme.txt")
    text = text.replace("@AND@", "" if encrypted else " and opened")
    text = text.replace("@OPEN@", _text(f"readme-{'encrypted' if encrypted else 'plain'}.txt"))
    text = text.replace("@ZSTD@", _text("readme-zstd.txt") if encoded else "")
    return text.replace("@NAME@", name).encode()


def decrypt_script(name: str) -> bytes:
    """Return the program that opens encrypted chunks without dray."""
    return _text("decrypt.txt").replace("@NAME@", name).encode()


def _text(name: str) -> str:
    return (files("bundler") / "texts" / name).read_text(encoding="utf-8")
