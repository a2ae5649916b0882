"""Whether a clamd can be believed: it must find a test file, and say when it has not looked.

By default clamd calls clean what is beyond its limits, and what is encrypted. Neither its version
nor its statistics tell, so that it is asked with two harmless files that it must complain about.
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from bundle import instant
from bundle.errors import GateRefused

if TYPE_CHECKING:
    from datetime import datetime

    from importer.scan.clamd import Clamd
    from importer.scan.reply import Version

STALE = 7
"""Days after which clamd itself calls its signatures outdated."""
_HALVES = (r"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR-STANDARD-", "ANTIVIRUS-TEST-FILE!$H+H*")
_NESTED = 120
"""Compressions: clamd's MaxRecursion is 17 by default, and 100 at most."""


@dataclass(frozen=True, slots=True)
class Engine:
    """A clamd that finds what it must. ``limits``, ``encrypted``: it says when it did not look."""

    version: Version
    limits: bool
    encrypted: bool

    @property
    def age(self) -> timedelta | None:
        """How old its signatures are, None when it does not say."""
        made: datetime | None = self.version.made
        return instant.now() - made if made else None


def test_file() -> bytes:
    """Return the EICAR test file, which every scanner finds; its text stands in no file here."""
    return "".join(_HALVES).encode()


def examine(clamd: Clamd, *, max_age: int | None, allow: str) -> Engine:
    """Ask a clamd who it is, and try it; ``max_age`` is in days.

    Raises :class:`GateRefused` for one that does not find the test file, whose signatures are too
    old, or that keeps quiet about what is beyond its limits and nobody has allowed that; and
    :class:`bundle.errors.ScannerError`.
    """
    version = clamd.version()
    if clamd.scan([test_file()]).kind != "found":
        raise GateRefused(
            f"clamd at {clamd.address} does not find the EICAR test file: it has no signatures",
            hint="run freshclam, or bring main.cvd and daily.cvd to it, and restart it",
            case="scanner-blind",
        )
    nested = clamd.scan([_nested()]).kind
    engine = Engine(version, nested == "limits", clamd.scan([_locked()]).kind == "encrypted")
    _check_age(engine, max_age)
    if not engine.limits and not allow:
        raise GateRefused(
            f"clamd at {clamd.address} calls clean what is beyond its limits, unseen",
            hint="set `AlertExceedsMax yes` in clamd.conf; or: --allow-unscanned REASON",
            case="scanner-silent",
        )
    return engine


def _check_age(engine: Engine, max_age: int | None) -> None:
    if max_age is None or (engine.age and engine.age < timedelta(days=max_age + 1)):
        return
    said = f"are {engine.age.days} days old" if engine.age else "have no date that clamd tells"
    raise GateRefused(
        f"the signatures of clamd {said}: --clamd-max-age is {max_age}",
        hint="bring it new ones (main.cvd, daily.cvd), or name another age",
        case="scanner-old",
    )


def _nested() -> bytes:
    data = b"dray"
    for _ in range(_NESTED):
        data = gzip.compress(data, mtime=0)
    return data


def _locked() -> bytes:
    """Return a zip of one file that says of itself that it is encrypted (APPNOTE.TXT, 4.4.4)."""
    import io  # noqa: PLC0415
    import zipfile  # noqa: PLC0415

    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr(zipfile.ZipInfo("dray.txt"), b"nobody can read this, says its header " * 4)
    data = bytearray(made.getvalue())
    data[6] |= 1
    data[data.index(b"PK\1\2") + 8] |= 1
    return bytes(data)
