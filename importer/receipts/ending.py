"""What the record says of an error that ends an import: by which rule, and with what outcome."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bundle.errors import (
    DrayError,
    GateRefused,
    MediaIncomplete,
    NotTrusted,
    PartlyDone,
    ScannerError,
    TargetError,
    VerificationError,
)
from bundle.receipt import FAILED, REFUSED, WITHHELD
from bundle.rulings import INTERRUPTED, RULE, Ending
from importer.ledger.book import plain

if TYPE_CHECKING:
    from collections.abc import Mapping

TEXT = 500
"""Letters of an error that are kept."""
RECORDED = (
    NotTrusted,
    GateRefused,
    VerificationError,
    MediaIncomplete,
    TargetError,
    ScannerError,
    PartlyDone,
)
"""What the bundle or a target is behind. A slip of the operator's is no event of the bundle."""
_RULES: Mapping[type[DrayError], tuple[str, str, str]] = {
    NotTrusted: (REFUSED, "trust", REFUSED),
    GateRefused: (REFUSED, "policy", REFUSED),
    VerificationError: (REFUSED, "bytes", WITHHELD),
    MediaIncomplete: (REFUSED, "media", WITHHELD),
    PartlyDone: (INTERRUPTED, "interrupted", WITHHELD),
    TargetError: (FAILED, "target", FAILED),
    ScannerError: (FAILED, "scanner", FAILED),
}
_BY_CASE = (NotTrusted, GateRefused, MediaIncomplete)
"""Whose ``case`` names the rule closer than their class does."""


def of(error: DrayError) -> Ending:
    """Return the record of an error that ended an import."""
    outcome, rule, _result = _row(error)
    if isinstance(error, _BY_CASE) and re.fullmatch(RULE, error.case):
        rule = error.case
    return Ending(outcome, rule, error.exit_code, plain(error.message[:TEXT]) or rule)


def result(error: DrayError) -> str:
    """Return what became of an artifact whose import ended so before anything was sent."""
    return _row(error)[2]


def _row(error: DrayError) -> tuple[str, str, str]:
    for kind, row in _RULES.items():
        if isinstance(error, kind):
            return row
    return (FAILED, "error", FAILED)
