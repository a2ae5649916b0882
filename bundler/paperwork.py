"""The bundle's small files: how to check it without dray, and the list of digests."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

from bundle.progress import counted
from bundle.required import named, sizes

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bundle.chunks import StoredBlob
    from bundle.digest import Digest
    from bundle.required import BaseBundle

TRUSTED_ROOT = b'{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1"}\n'
"""An empty trusted root: with it, cosign asks no server."""


def sha256sums(rows: Iterable[tuple[str, Digest]]) -> bytes:
    """Return names and digests as ``sha256sum -c`` reads them."""
    return "".join(f"{digest.hex}  {name}\n" for name, digest in rows).encode()


def readme(
    name: str,
    *,
    encoded: bool,
    encrypted: bool,
    left: Sequence[StoredBlob] = (),
    bases: Sequence[BaseBundle] = (),
) -> bytes:
    """Return README.txt. A test runs its commands, as they stand, in a shell without dray.

    ``left`` are the blobs that the bundle leaves out, for the other side has them from ``bases``.
    """
    text = _text("readme.txt")
    text = text.replace("@DELTA@", _text("readme-delta.txt") if left else "")
    text = text.replace("@LEFT@", f"{counted(len(left), 'blob')} of {sizes(left)}")
    text = text.replace("@BASES@", named(bases))
    text = text.replace("@AND@", "" if encrypted else " and opened")
    text = text.replace("@OPEN@", _text(f"readme-{'encrypted' if encrypted else 'plain'}.txt"))
    text = text.replace("@ZSTD@", _text("readme-zstd.txt") if encoded else "")
    return text.replace("@NAME@", name).encode()


def decrypt_script(name: str) -> bytes:
    """Return the program that opens encrypted chunks without dray."""
    return _text("decrypt.txt").replace("@NAME@", name).encode()


def _text(name: str) -> str:
    return (files("bundler") / "texts" / name).read_text(encoding="utf-8")
