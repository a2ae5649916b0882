"""What lies where on this high side, by the receipts that the ledger names; no target is asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bundle.digest import Digest
from bundle.errors import DrayError
from bundle.receipt import Receipt, unproved
from bundle.receiptcommand import read_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from bundle.receipt import Entry
    from importer.status.history import History


@dataclass(frozen=True, slots=True)
class Placed:
    """An artifact at its place, and the bundle that put it there or found it there last."""

    entry: Entry
    bundle: str

    def to_dict(self) -> dict[str, Any]:
        """Return what ``--json`` prints."""
        artifact = self.entry.artifact
        body = {"name": artifact.name, "kind": artifact.kind, "root": str(artifact.root)}
        return {**body, "target": self.entry.target, "place": self.entry.place, "from": self.bundle}


@dataclass
class Arrived:
    """What came in, by place; ``last`` is the receipt of the newest import that loaded something.

    ``lost`` counts receipts that the ledger names and this host has no more.
    """

    placed: list[Placed] = field(default_factory=list)
    last: Receipt | None = None
    lost: int = 0

    def counts(self) -> dict[str, dict[str, int]]:
        """Return how many artifacts of each kind each target holds."""
        found: dict[str, dict[str, int]] = {}
        for one in self.placed:
            kinds = found.setdefault(one.entry.target, {})
            kind = one.entry.artifact.kind
            kinds[kind] = kinds.get(kind, 0) + 1
        return found

    def waiting(self) -> list[Placed]:
        """Return what lies in a quarantine and was not promoted since, as it is there."""
        used = {(one.entry.artifact.name, one.entry.artifact.root) for one in self._in_use()}
        return [
            one
            for one in self.placed
            if one.entry.quarantine
            and (one.entry.artifact.name, one.entry.artifact.root) not in used
        ]

    def _in_use(self) -> list[Placed]:
        return [one for one in self.placed if not one.entry.quarantine]


def by_digest(paths: Iterable[Path]) -> dict[str, bytes]:
    """Return the receipts of this host by the digests of their files; what can't be read is not."""
    found: dict[str, bytes] = {}
    for path in paths:
        try:
            data = read_file(path)
        except DrayError:
            continue
        found[str(Digest.of(data))] = data
    return found


def of(history: History, files: Mapping[str, bytes]) -> Arrived:
    """Return what a stream's receipts say, the newest first: at each place only the last counts.

    Only receipts whose digest the ledger names are believed.
    """
    found, taken = Arrived(), set()
    for digest in reversed(history.receipts):
        data = files.get(digest)
        if data is None:
            found.lost += 1
            continue
        receipt = unproved(data, what=f"the receipt {digest[:19]}").receipt
        for entry in receipt.held:
            if (entry.target, entry.place) not in taken:
                taken.add((entry.target, entry.place))
                found.placed.append(Placed(entry, receipt.bundle.name))
        if receipt.held and found.last is None:
            found.last = receipt
    return found
