"""What a promotion begins with: the policy, the receipt of the import, the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bundle import instant
from bundle.receiptcommand import read_keys
from bundle.upstream import policy as policies
from importer.ledger.book import Ledger
from importer.promote.record import Record
from importer.promote.run import Run
from importer.promote.scanning import Scanning
from importer.promote.source import find

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from importer.receipts.command import Chosen


def run(
    receipt: Path | None,
    targets: Sequence[str],
    policy: Path,
    pubs: tuple[Path, ...],
    receipts: Chosen,
) -> Run:
    """Return the promotion of an import; nothing is reached yet.

    Raises :class:`bundle.errors.UsageError`, and :class:`bundle.errors.NotTrusted` for a receipt
    that nobody vouches for.
    """
    loaded = policies.load(policy)
    assert loaded.digest  # noqa: S101  (it was a file)
    ledger = Ledger.open()
    imported = find(receipt, read_keys(pubs) if pubs else {}, ledger)
    record = Record(imported, ledger, receipts.scribe(None), policy.name, loaded.digest)
    return Run(record, loaded, str(policy), targets or ("warehouse",))


def scanning(made: Run, minutes: int, *, again: bool, looks_only: bool) -> Scanning:
    """Return how the scanner of a Harbor is asked."""
    age = made.policy.gates.reports.max_age
    return Scanning(minutes * 60.0, instant.now(), again, looks_only, max_age=age)
