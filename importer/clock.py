"""This host's clock against its own ledger: set back, it would make good what has expired."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from bundle import instant
from bundle.errors import NotTrusted
from importer.ledger.entry import OVERRIDE

if TYPE_CHECKING:
    from datetime import datetime

    from importer.ledger.book import Ledger

BEHIND = "clock"
"""What the ledger calls the rule."""
SLACK = timedelta(days=1)
"""How far a clock may go back: no more than a wrong time zone, or an hour of summer."""


def latest(ledger: Ledger) -> datetime | None:
    """Return the latest moment in the ledger since somebody said that its moments were wrong."""
    found: datetime | None = None
    for entry in ledger.chain.entries:
        corrected = entry.kind == OVERRIDE and entry.text("rule") == BEHIND
        found = entry.when if found is None or corrected else max(found, entry.when)
    return found


def check(ledger: Ledger, now: datetime, *, allow: str = "", way: str = "") -> bool:
    """Return whether the clock was set back behind the ledger, let be for the reason ``allow``.

    Raises :class:`NotTrusted` without one; ``way`` is how a command is given one.
    """
    last = latest(ledger)
    if last is None or now >= last - SLACK:
        return False
    if not allow:
        raise NotTrusted(
            f"the clock of this host says {instant.spell(now)}, and its ledger was written on "
            f"{instant.spell(last)}: what has expired would pass",
            hint="set the clock right; if it was ahead when that was written: "
            + (way or "dray ledger restart --reason REASON"),
            case=BEHIND,
        )
    return True
