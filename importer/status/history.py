"""What the ledger says of one stream beyond where it stands: attempts, refusals, open imports."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from importer.ledger.entry import BEGUN, DONE, FAILED, RECEIPT, REFUSED, Entry

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass
class History:
    """One stream. ``failed`` and ``refused`` are what came to nothing since the last import.

    ``begun`` is the import that has not ended, ``receipts`` are the digests of the stream's
    receipts with the bundle of each, the oldest first.
    """

    begun: Entry | None = None
    failed: list[Entry] = field(default_factory=list)
    refused: list[Entry] = field(default_factory=list)
    receipts: dict[str, str] = field(default_factory=dict)

    def learn(self, entry: Entry) -> None:
        """Take one entry into account."""
        if entry.kind == BEGUN:
            self.begun = entry
        elif entry.kind == DONE:
            self.begun, self.failed, self.refused = None, [], []
        elif entry.kind == FAILED:
            self.begun = None
            self.failed.append(entry)
        elif entry.kind == REFUSED:
            self.refused.append(entry)
        elif entry.kind == RECEIPT:
            self.receipts[entry.text("receipt")] = entry.text("bundle")


def of(entries: Iterable[Entry]) -> dict[str, History]:
    """Return the history of each stream."""
    found: dict[str, History] = {}
    for entry in entries:
        if stream := entry.text("stream"):
            found.setdefault(stream, History()).learn(entry)
    return found


def strings(entry: Entry, key: str) -> list[str]:
    """Return a field of texts; what is none is left out: a newer dray may write another thing."""
    value = entry.body.get(key)
    return [text for text in value if isinstance(text, str)] if isinstance(value, list) else []
