"""Moments as every document of dray writes them: UTC, whole seconds, ``2027-01-31T12:00:00Z``."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

INSTANT = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z"
"""The one form of RFC 3339 that is read and written."""


def parse(text: str) -> datetime:
    """Return the moment; raise ``ValueError`` for any other form and for days that do not exist."""
    if not re.fullmatch(INSTANT, text):
        msg = f"not a moment as 2027-01-31T12:00:00Z: {text[:40]!r}"
        raise ValueError(msg)
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        msg = f"no such day or time: {text!r}"
        raise ValueError(msg) from None


def spell(moment: datetime) -> str:
    """Return the moment as text, fractions of a second cut off."""
    if moment.tzinfo is None:
        msg = "a moment without a time zone"
        raise ValueError(msg)
    return f"{moment.astimezone(UTC).replace(tzinfo=None, microsecond=0).isoformat()}Z"


def now() -> datetime:
    """Return this host's clock. Nothing on a medium is ever taken for a clock."""
    return datetime.now(UTC)


def ago(span: timedelta) -> str:
    """Return a positive span as people say it: ``3 days``, ``2 hours``, ``1 minute``."""
    seconds = int(span.total_seconds())
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= length:
            count = seconds // length
            return f"{count} {unit}{'s' if count > 1 else ''}"
    return "less than a minute"
