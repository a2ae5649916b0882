"""Lines that follow from each other: any byte that was changed breaks the chain. No disk here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from importer.ledger.entry import FIRST, MAX_LINE, OPENED, BrokenEntry, Entry, read

if TYPE_CHECKING:
    from bundle.digest import Digest


class BrokenChain(ValueError):
    """The lines are not what was written, from line ``number`` on; the text says why.

    ``good`` are the entries before it.
    """

    def __init__(self, number: int, reason: str, good: tuple[Entry, ...]) -> None:
        super().__init__(f"line {number} {reason}")
        self.number = number
        self.good = good


@dataclass(frozen=True, slots=True)
class Chain:
    """Entries from the first on, and what an append that was cut has left behind them."""

    entries: tuple[Entry, ...] = ()
    torn: bytes = b""

    @property
    def name(self) -> str:
        """What this ledger is called: 32 hex digits of its first line's digest."""
        return self.entries[0].digest.hex[:32] if self.entries else ""

    @property
    def tip(self) -> Digest:
        """What the next entry has to name."""
        return self.entries[-1].digest if self.entries else FIRST

    @property
    def size(self) -> int:
        """The bytes of the whole lines."""
        return sum(len(entry.line) + 1 for entry in self.entries)

    def extend(self, data: bytes) -> Chain:
        """Return the chain with the lines of ``data`` behind it; raise :class:`BrokenChain`.

        Bytes without a line feed at their end are an append that was cut: no entry, and no fault.
        """
        data, start = self.torn + data, 0
        found, tip = list(self.entries), self.tip
        while (end := data.find(b"\n", start)) >= 0:
            try:
                entry = read(data[start:end])
                _check(entry, len(found) + 1, tip)
            except BrokenEntry as error:
                raise BrokenChain(len(found) + 1, str(error), tuple(found)) from None
            found.append(entry)
            tip, start = entry.digest, end + 1
        torn = data[start:]
        if len(torn) > MAX_LINE:
            raise BrokenChain(len(found) + 1, "is longer than any entry", tuple(found))
        return Chain(tuple(found), torn)

    def holds(self, number: int, digest: Digest) -> bool:
        """Whether the entry of this number is here, with this digest."""
        return 1 <= number <= len(self.entries) and self.entries[number - 1].digest == digest

    def begins_with(self, other: Chain) -> bool:
        """Whether every entry of ``other`` is here, in its place."""
        return not other.entries or self.holds(len(other.entries), other.tip)


def _check(entry: Entry, number: int, tip: Digest) -> None:
    if entry.number != number:
        raise BrokenEntry(f"has the number {entry.number}")
    if entry.previous != tip:
        raise BrokenEntry("does not follow from the one before it")
    if (entry.kind == OPENED) != (number == 1):
        raise BrokenEntry("opens a ledger" if number > 1 else "does not open the ledger")
