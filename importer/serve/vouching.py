"""The receipts that vouch for what lies in a folder: this host's, or those that were brought."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bundle.digest import Digest
from bundle.errors import DrayError, NotTrusted, UsageError
from bundle.receipt import unproved, unseal
from bundle.receiptcommand import read_file, read_keys
from importer.ledger.book import Ledger
from importer.receipts import shelf

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bundle.receipt import Receipt

_NONE = "dray import on this host writes receipts; one of another host is named by --by-receipt"


def receipts(
    brought: tuple[Path, ...], pubs: tuple[Path, ...], warn: Callable[[str], object]
) -> list[Receipt]:
    """Return the receipts that count, the last first; with ``brought``, those alone.

    This host's are those that its ledger names. Others have to be signed by one of ``pubs``. Raises
    :class:`NotTrusted` when there is none.
    """
    if brought and not pubs:
        raise UsageError("who signed the receipt?", hint="name its public key with --receipt-pub")
    if brought:
        keys = read_keys(pubs)
        found = [unseal(read_file(path), keys, what=str(path)).receipt for path in brought]
    else:
        found = _own(warn)
    if not found:
        raise NotTrusted("there is no receipt: nothing vouches for what is there", hint=_NONE)
    return sorted(found, key=lambda receipt: receipt.ended, reverse=True)


def _own(warn: Callable[[str], object]) -> list[Receipt]:
    known = Ledger.open().receipts()
    found: list[Receipt] = []
    for path in shelf.listed():
        data = read_file(path)
        if str(Digest.of(data)) not in known:
            warn(f"{path} is not in the ledger of this host, and vouches for nothing")
            continue
        try:
            found.append(unproved(data, what=str(path)).receipt)
        except DrayError as error:  # of a newer dray: the others still count
            warn(error.message)
    return found
