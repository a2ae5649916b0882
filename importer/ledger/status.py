"""The command ``dray status``: how old the last bundle of each stream is, and what is not right.

On a one-way path nobody can tell whether bundles are held back; only that none has come for long.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from bundle.options import command, emit, find_trust, option, say, trust_options

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from bundle.state import State
    from bundle.trust import Trust
    from importer.ledger.streams import Standing

SOON = timedelta(days=30)
"""How long before its end a trust file is warned of."""


@dataclass
class Row:
    """One stream."""

    stream: str
    standing: Standing
    now: datetime
    warnings: list[str] = field(default_factory=list)

    @property
    def state(self) -> State | None:
        """The last bundle."""
        return self.standing.state

    def check(self, most: timedelta | None, trust: Trust | None) -> None:
        """Note what is not right."""
        from bundle import instant  # noqa: PLC0415  (not for --help)

        state = self.state
        if state is None:
            self.warnings.append("nothing was imported in full yet")
        elif most is not None and (age := self.now - state.when) > most:
            self.warnings.append(f"the last bundle came {instant.ago(age)} ago")
        if self.standing.unfinished:
            self.warnings.append(f"the import of {self.standing.unfinished} has not ended")
        if self.standing.expires and self.now >= instant.parse(self.standing.expires):
            self.warnings.append(f"the last bundle expired on {self.standing.expires}")
        if trust is not None and self.stream not in trust.streams and trust.anywhere is None:
            self.warnings.append("the trust file does not name this stream")

    def to_dict(self) -> dict[str, Any]:
        """Return the object that ``--json`` prints; the age is in seconds."""
        from bundle import instant  # noqa: PLC0415  (not for --help)
        from bundle.manifest import bundle_name  # noqa: PLC0415

        body: dict[str, Any] = {"stream": self.stream, "warnings": self.warnings}
        if self.state:
            body |= {"bundle": bundle_name(self.stream, self.state.sequence)}
            body |= {"epoch": self.state.epoch, "sequence": self.state.sequence}
            body |= {"manifest": str(self.state.manifest), "when": instant.spell(self.state.when)}
            body |= {"age": int((self.now - self.state.when).total_seconds())}
            body |= {"expires": self.standing.expires or None}
        if self.standing.trust:
            body["trustVersion"] = self.standing.trust.version
        return body


def _span(text: str) -> timedelta:
    from bundle.errors import UsageError  # noqa: PLC0415  (not for --help)

    match = re.fullmatch(r"([0-9]{1,6})([dhm])", text)
    if not match:
        raise UsageError(f"not a span of time: {text[:40]!r}", hint="write 30d, 12h or 90m")
    units = {"d": "days", "h": "hours", "m": "minutes"}
    return timedelta(**{units[match[2]]: int(match[1])})


@command("status", short_help="Show how old the last bundle of each stream is.")
@trust_options
@option("--max-age", default="", metavar="SPAN", help="Fail for a stream without a bundle for 30d.")
def status(trust: Path | None, pub: Path | None, max_age: str, *, as_json: bool) -> None:
    """Show the last bundle of each stream, its age, and what is not right.

    With --max-age, exit code 7 when a warning is printed: for cron.
    """
    from bundle import instant  # noqa: PLC0415  (not for --help)
    from bundle.errors import GateRefused  # noqa: PLC0415
    from importer.ledger.book import Ledger  # noqa: PLC0415

    most = _span(max_age) if max_age else None
    now, standings = instant.now(), Ledger.open().standings()
    trusted, general = _trust(trust, pub, now)
    names = sorted({*standings.streams, *(trusted.streams if trusted else ())})
    rows = [Row(name, standings.of(name), now) for name in names]
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
        body: dict[str, Any] = {"streams": [row.to_dict() for row in rows], "warnings": general}
        body["trust"] = _trust_body(trusted)
        emit(body | ({"error": failure.to_dict()} if failure else {}))
    else:
        _print(rows, trusted, general)
    if failure:
        raise failure


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


def _print(rows: list[Row], trust: Trust | None, general: list[str]) -> None:
    from bundle import instant  # noqa: PLC0415  (not for --help)
    from bundle.manifest import bundle_name  # noqa: PLC0415

    for row in rows:
        if row.state:
            name = bundle_name(row.stream, row.state.sequence)
            age = instant.ago(row.now - row.state.when)
            end = f", expires {row.standing.expires}" if row.standing.expires else ""
            epoch = f", epoch {row.state.epoch}" if row.state.epoch else ""
            say(f"{name}  imported {age} ago{epoch}{end}")
        for text in row.warnings:
            say(f"WARNING {row.stream}: {text}")
    if trust is not None and trust.expires is not None:
        say(f"trust file: version {trust.version}, expires {instant.spell(trust.expires)}")
    for text in general:
        say(f"WARNING {text}")
    if not rows:
        say("nothing was imported on this host yet")
