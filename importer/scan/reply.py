"""What clamd answers, read off a socket: an answer that is not understood is no verdict.

Source: clamd(8), "COMMANDS"; ClamAV 1.4, clamd/session.c and clamd/scanner.c.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from bundle.errors import ScannerError

LIMIT = 4096
"""Bytes of an answer, its NUL counted."""
Kind = Literal["clean", "found", "limits", "encrypted"]
_FOUND = re.compile(r"stream: ([\x21-\x7e](?:[\x20-\x7e]{0,298}[\x21-\x7e])?) FOUND")
_TOO_LONG = "INSTREAM size limit exceeded. ERROR"
_VERSION = re.compile(r"(ClamAV [\x21-\x2e\x30-\x7e]{1,60})(?:/([0-9]{1,9})/([\x20-\x7e]{1,40}))?")
_CTIME = re.compile(r"\w{3} (\w{3}) +([0-9]{1,2}) ([0-9]{2}):([0-9]{2}):([0-9]{2}) ([0-9]{4})")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True, slots=True)
class Reply:
    """A verdict on one stream.

    ``limits`` and ``encrypted`` say that clamd did not look at all of it, in ``signature`` why.
    """

    kind: Kind
    signature: str = ""


@dataclass(frozen=True, slots=True)
class Version:
    """An engine, and the number and the time of its daily signatures, if it says any."""

    engine: str
    database: str = ""
    made: datetime | None = None


def verdict(data: bytes) -> Reply:
    """Read the answer to one stream, NUL and all; raise :class:`ScannerError` for any other."""
    text = _text(data)
    if text == "stream: OK":
        return Reply("clean")
    if text == _TOO_LONG:
        return Reply("limits", "longer than clamd's StreamMaxLength")
    if not (match := _FOUND.fullmatch(text)):
        said = ascii(text[:200])
        raise ScannerError(f"clamd gave no verdict, but said {said}", hint=_LOOK)
    name = match[1]
    if name.startswith("Heuristics.Limits.Exceeded"):
        return Reply("limits", name)
    # Found by that name only where clamd.conf has AlertEncrypted: no signature, but nobody looked.
    return Reply("encrypted" if name.startswith("Heuristics.Encrypted") else "found", name)


def version(data: bytes) -> Version:
    """Read the answer to VERSION; raise :class:`ScannerError` for any other."""
    match = _VERSION.fullmatch(_text(data).rstrip())
    if not match:
        said = ascii(_text(data)[:200])
        raise ScannerError(f"this is no clamd, it says {said}", hint="is --clamd its address?")
    return Version(match[1], match[2] or "", _moment(match[3] or ""))


def _text(data: bytes) -> str:
    if not data.endswith(b"\0") or b"\0" in data[:-1]:
        raise ScannerError(
            f"clamd's answer ended after {len(data)} bytes without a verdict", hint=_LOOK
        )
    return data[:-1].decode("utf-8", "replace")


def _moment(text: str) -> datetime | None:
    # In the time zone of clamd's host, which it does not tell: days are what counts.
    match = _CTIME.fullmatch(text.strip())
    if not match or match[1] not in _MONTHS:
        return None
    day, hour, minute, second, year = (int(match[n]) for n in range(2, 7))
    try:
        month = _MONTHS.index(match[1]) + 1
        return datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        return None


_LOOK = "look into clamd's log; then run the same command again"
