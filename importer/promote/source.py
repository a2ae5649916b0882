"""Which import is promoted: the receipt of it, which the ledger or a key vouches for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bundle.digest import Digest
from bundle.errors import NotTrusted, UsageError
from bundle.receipt import HELD, unproved, unseal
from bundle.receiptcommand import read_file
from importer.ledger import entry as kinds
from importer.receipts import shelf

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from bundle.receipt import Entry, Receipt
    from bundle.signature import PublicKey
    from importer.ledger.book import Ledger

_QUARANTINED = "import with --quarantine NAME, or quarantine: in the target file"


@dataclass(frozen=True)
class Imported:
    """A receipt that is vouched for; ``digest`` is that of its file."""

    receipt: Receipt
    digest: Digest
    path: Path
    is_signed: bool = False

    def waiting(self, match: Sequence[str] = ()) -> list[Entry]:
        """Return what lies in a quarantine, whole; ``match`` are patterns that limit it.

        Raises :class:`UsageError` where that is nothing.
        """
        from bundle.gate.pattern import takes  # noqa: PLC0415  (not for --help)

        held = [one for one in self.receipt.entries if one.quarantine and one.result in HELD]
        if not held:
            raise UsageError(
                f"nothing of {self.receipt.bundle.name} lies in a quarantine, by {self.path}",
                hint=_QUARANTINED,
            )
        for pattern in match:
            if not any(takes(pattern, one.artifact) for one in held):
                names = ", ".join(one.artifact.name for one in held[:5])
                raise UsageError(f"nothing there is called {pattern}", hint=f"there are {names}")
        if match:
            held = [one for one in held if any(takes(p, one.artifact) for p in match)]
        return held


def find(path: Path | None, keys: Mapping[str, PublicKey], ledger: Ledger) -> Imported:
    """Return the receipt that was named, or that of this host's last import into a quarantine.

    The ledger has to name it, or one of ``keys`` to have signed it. Raises :class:`NotTrusted`,
    and :class:`UsageError` where there is none.
    """
    if path is not None:
        return vouched(path, keys, ledger)
    for imported in recorded(ledger):
        if any(one.quarantine and one.result in HELD for one in imported.receipt.entries):
            return imported
    raise UsageError("no import into a quarantine is on record at this host", hint=_QUARANTINED)


def vouched(path: Path, keys: Mapping[str, PublicKey], ledger: Ledger) -> Imported:
    """Return a receipt that the ledger names, or that one of ``keys`` signed.

    Raises :class:`NotTrusted`.
    """
    data = read_file(path)
    known = str(Digest.of(data)) in ledger.receipts()
    if known or not keys:
        found = unproved(data, what=str(path))
        if known:
            return Imported(found.receipt, found.digest, path, is_signed=found.is_signed)
        raise NotTrusted(
            f"{path} is no receipt that this host's ledger names",
            hint="do it on the host that imported, or name its public key: --receipt-pub",
            case="receipt",
        )
    proved = unseal(data, keys, what=str(path))
    return Imported(proved.receipt, proved.digest, path, is_signed=True)


def signer(found: Imported, keys: Mapping[str, PublicKey]) -> PublicKey | None:
    """Return which of ``keys`` signed a receipt, None when none of them did."""
    if not found.is_signed or not keys:
        return None
    try:
        return unseal(read_file(found.path), keys, what=str(found.path)).key
    except NotTrusted:
        return None


def recorded(ledger: Ledger) -> Iterator[Imported]:
    """Yield the receipts of this host that its ledger names, the newest first."""
    files = {}
    for path in shelf.listed():
        found = unproved(read_file(path), what=str(path))
        made = Imported(found.receipt, found.digest, path, is_signed=found.is_signed)
        files[str(found.digest)] = made
    for entry in reversed(ledger.chain.entries):
        if entry.kind == kinds.RECEIPT and (known := files.get(entry.text("receipt"))):
            yield known
