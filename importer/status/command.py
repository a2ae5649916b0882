"""The command ``dray status``: what is here of each stream, what is pending, what is not right.

On a one-way path nobody can tell whether bundles are held back; only that none has come for long.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from bundle.options import command, emit, find_trust, option, say, trust_options

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from bundle.trust import Trust
    from importer.status.row import Row

SOON = timedelta(days=30)
"""How long before its end a trust file is warned of."""


def _span(text: str) -> timedelta:
    from bundle.errors import UsageError  # noqa: PLC0415  (not for --help)

    match = re.fullmatch(r"([0-9]{1,6})([dhm])", text)
    if not match:
        raise UsageError(f"not a span of time: {text[:40]!r}", hint="write 30d, 12h or 90m")
    units = {"d": "days", "h": "hours", "m": "minutes"}
    return timedelta(**{units[match[2]]: int(match[1])})


@command("status", short_help="Show what is here of each stream, how old it is, what is pending.")
@trust_options
@option("--max-age", default="", metavar="SPAN", help="Fail for a stream without a bundle for 30d.")
@option("--artifacts", is_flag=True, help="List every artifact, its place and its bundle.")
def status(
    trust: Path | None, pub: Path | None, max_age: str, *, artifacts: bool, as_json: bool
) -> None:
    """Show the last bundle of each stream, its age, what is here, pending and not right.

    It goes by this host's ledger and receipts; no target is asked. With --max-age, exit code 7 when
    a warning is printed: for cron.
    """
    from bundle import instant  # noqa: PLC0415  (not for --help)
    from bundle.errors import GateRefused  # noqa: PLC0415

    most = _span(max_age) if max_age else None
    now = instant.now()
    trusted, general = _trust(trust, pub, now)
    rows = _rows(trusted, now)
    for row in rows:
        row.check(most, trusted)
    told = [*general, *(f"{row.stream}: {text}" for row in rows for text in row.warnings)]
    failure = None
    if told and most is not None:
        more = f" (and {len(told) - 1} more)" if len(told) > 1 else ""
        failure = GateRefused(
            f"{told[0]}{more}", hint="ask the low side what became of the bundles"
        )
    if as_json:
        streams = [row.to_dict(everything=artifacts) for row in rows]
        body: dict[str, Any] = {"streams": streams, "warnings": general}
        body["trust"] = _trust_body(trusted)
        emit(body | ({"error": failure.to_dict()} if failure else {}))
    else:
        _print(rows, trusted, general, everything=artifacts)
    if failure:
        raise failure


def _rows(trust: Trust | None, now: datetime) -> list[Row]:
    from importer.ledger.book import Ledger  # noqa: PLC0415  (not for --help)
    from importer.receipts import shelf  # noqa: PLC0415
    from importer.status import arrived, history, seen  # noqa: PLC0415
    from importer.status.row import Row  # noqa: PLC0415

    ledger = Ledger.open()
    standings, histories = ledger.standings(), history.of(ledger.chain.entries)
    files, notes = arrived.by_digest(shelf.listed()), seen.notes()
    names = {*standings.streams, *histories, *(trust.streams if trust else ())}
    rows = []
    for name in sorted(names | {note.stream for note in notes}):
        row = Row(name, standings.of(name), now, histories.get(name, history.History()))
        row.arrived = arrived.of(row.history, files)
        last = row.state.place if row.state else (-1, 0)
        row.seen = [note for note in notes if note.stream == name and note.place > last]
        rows.append(row)
    return rows


def _trust(path: Path | None, pub: Path | None, now: datetime) -> tuple[Trust | None, list[str]]:
    from bundle import instant  # noqa: PLC0415  (not for --help)
    from bundle.errors import NotTrusted  # noqa: PLC0415

    try:
        found = find_trust(path, pub)
    except NotTrusted as error:
        return None, [error.message]
    if found.expires is None:
        return found, []
    if now >= found.expires:
        return found, [f"the trust file (version {found.version}) expired"]
    if found.expires - now < SOON:
        left = instant.ago(found.expires - now)
        return found, [f"the trust file (version {found.version}) expires in {left}"]
    return found, []


def _trust_body(trust: Trust | None) -> dict[str, Any] | None:
    from bundle import instant  # noqa: PLC0415  (not for --help)

    if trust is None or trust.expires is None:
        return None
    return {"version": trust.version, "expires": instant.spell(trust.expires)}


def _print(rows: list[Row], trust: Trust | None, general: list[str], *, everything: bool) -> None:
    from bundle import instant  # noqa: PLC0415  (not for --help)

    for row in rows:
        for line in row.lines(everything=everything):
            say(line)
    if trust is not None and trust.expires is not None:
        say(f"trust file: version {trust.version}, expires {instant.spell(trust.expires)}")
    for text in general:
        say(f"WARNING {text}")
    if not rows:
        say("nothing was imported on this host yet")
