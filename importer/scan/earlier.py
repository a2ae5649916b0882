"""What earlier imports of this host have scanned, by the receipts that its ledger names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bundle.errors import DrayError
from bundle.receipt import unproved

if TYPE_CHECKING:
    from collections.abc import Container

    from bundle.digest import Digest


def clean(known: Container[str]) -> dict[Digest, Digest]:
    """Return each blob that was scanned, whole and clean, and the newest receipt that says so.

    ``known`` are the digests of receipts that the ledger names: what it does not name, or cannot be
    read, vouches for nothing.
    """
    from importer.receipts import shelf  # noqa: PLC0415  (not for --help)

    found: dict[Digest, Digest] = {}
    for path in sorted(shelf.listed(), key=lambda path: path.stat().st_mtime_ns):
        try:
            one = unproved(path.read_bytes(), what=str(path))
        except (DrayError, OSError):
            continue
        if str(one.digest) in known and one.receipt.scan:
            found |= dict.fromkeys(one.receipt.scan.clean, one.digest)
    return found
