"""The gates of a policy as a policy file says them: what is written reads back as the same."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bundle.gate.rules import Gates, ReportRules


def lines(gates: Gates) -> Iterator[str]:
    """Yield the lines of a policy file; files of VEX stand beside it, by their names.

    JSON's spelling is YAML's.
    """
    for key, value in _body(gates).items():
        if isinstance(value, list):
            yield f"{key}:"
            yield from (f"  - {json.dumps(item)}" for item in value)
        else:
            yield f"{key}: {json.dumps(value)}"


def _body(gates: Gates) -> dict[str, Any]:
    body: dict[str, Any] = {}
    if gates.limits:
        body["max-severity"] = [
            {"match": one.match, "severity": one.severity, "fixable-only": one.fixable_only}
            for one in gates.limits
        ]
    body["unknown-severity"] = gates.unknown
    if reports := _reports(gates.reports):
        body["reports"] = reports
    allowed = [
        {
            "id": one.id,
            "match": one.match,
            "until": f"{one.until - timedelta(days=1):%Y-%m-%d}",
            "reason": one.reason,
            **({"package": one.package} if one.package else {}),
        }
        for one in gates.allowed
    ]
    vex = [{"file": one.file.name} if one.file else {"carried": one.carried} for one in gates.vex]
    licenses = [
        {
            "match": one.match,
            **({"allow": list(one.allow)} if one.allow else {}),
            **({"deny": list(one.deny)} if one.deny else {}),
            "unknown": "pass" if one.unknown_passes else "refuse",
        }
        for one in gates.licenses
    ]
    lists: dict[str, Any] = {"allow": allowed, "vex": vex, "licenses": licenses}
    return body | {key: rows for key, rows in lists.items() if rows}


def _reports(rules: ReportRules) -> dict[str, Any]:
    body: dict[str, Any] = {}
    if rules.max_age:
        body["max-age"] = f"{rules.max_age.days}d"
    if rules.optional:
        body["optional"] = list(rules.optional)
    return body | ({"scanners": list(rules.scanners)} if rules.scanners else {})
