"""The gates of a policy: what may be found in which artifact, and what lets it through anyway."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from bundle.decode import Fields
from bundle.gate.finding import SEVERITIES
from bundle.gate.pattern import PATTERN, takes

if TYPE_CHECKING:
    from pathlib import Path

    from bundle.artifact import Artifact

KEYS = ("max-severity", "unknown-severity", "reports", "allow", "vex", "licenses")
_ID = r"[A-Za-z0-9][A-Za-z0-9._:/+-]{1,199}"
_LICENSE = r"[!-~](?:[ -~]{0,198}[!-~])?"
_REASON = r"[^\s\x00-\x1f](?:[^\x00-\x1f]{0,998}[^\s\x00-\x1f])?"
_DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"


@dataclass(frozen=True, slots=True)
class Limit:
    """``severity`` is the worst that passes; ``fixable_only`` lets pass what nobody has mended."""

    match: str
    severity: str
    fixable_only: bool = False


@dataclass(frozen=True, slots=True)
class Allowed:
    """A finding that is let through for a ``reason`` until a moment, in what ``match`` takes.

    ``package`` empty stands for any.
    """

    id: str
    reason: str
    until: datetime
    match: str = "*"
    package: str = ""


@dataclass(frozen=True, slots=True)
class VexSource:
    """Whose VEX counts: a ``file`` of one's own, or what is ``carried`` by artifacts so called."""

    file: Path | None = None
    carried: str = ""


@dataclass(frozen=True, slots=True)
class ReportRules:
    """``max_age`` of a report; patterns of what needs none (``optional``); whose ``scanners``."""

    max_age: timedelta | None = None
    optional: tuple[str, ...] = ()
    scanners: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LicenseRule:
    """Names of licences, with ``*``: those that may be, all when empty, and those that may not."""

    match: str
    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    unknown_passes: bool = False


@dataclass(frozen=True, slots=True)
class Gates:
    """What a policy asks beyond signatures. ``unknown`` is what an unknown severity counts as."""

    limits: tuple[Limit, ...] = ()
    unknown: str = "critical"
    reports: ReportRules = field(default_factory=ReportRules)
    allowed: tuple[Allowed, ...] = ()
    vex: tuple[VexSource, ...] = ()
    licenses: tuple[LicenseRule, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.limits or self.licenses)

    def limit(self, artifact: Artifact) -> Limit | None:
        """Return the first limit that is about an artifact."""
        return next((one for one in self.limits if takes(one.match, artifact)), None)

    def license_rules(self, artifact: Artifact) -> list[LicenseRule]:
        """Return the rules about an artifact's licences: all of them must hold."""
        return [one for one in self.licenses if takes(one.match, artifact)]

    def needs_report(self, artifact: Artifact) -> bool:
        """Whether the lack of a report refuses it; scanners take images and nothing else."""
        is_optional = any(takes(pattern, artifact) for pattern in self.reports.optional)
        return artifact.kind == "image" and not is_optional


def read(fields: Fields, folder: Path) -> Gates:
    """Read the gates of a policy; files are relative to ``folder``, and must be there."""
    limits = _limits(fields)
    unknown = fields.text("unknown-severity", "critical", choices=SEVERITIES)
    gates = Gates(
        limits,
        unknown,
        _reports(fields.child("reports")),
        tuple(_allowed(one) for one in fields.objects("allow")),
        tuple(_vex(one, folder) for one in fields.objects("vex")),
        tuple(_license(one) for one in fields.objects("licenses")),
    )
    if not limits and (gates.allowed or gates.vex):
        key = "allow" if gates.allowed else "vex"
        raise fields.wrong(key, "lets findings through, and nothing limits them", "max-severity: …")
    return gates


def _limits(fields: Fields) -> tuple[Limit, ...]:
    if "max-severity" not in fields:
        return ()
    value = fields.raw("max-severity")
    if isinstance(value, str) and value in SEVERITIES:
        return (Limit("*", value),)
    if not isinstance(value, list) or not value:
        hint = "allowed: " + ", ".join(SEVERITIES) + "; or a list of {match: …, severity: …}"
        raise fields.wrong("max-severity", f"is {str(value)[:60]!r}", hint)
    path = (*fields.path, "max-severity")
    items = [Fields(item, (*path, n), fields.fault) for n, item in enumerate(value)]
    return tuple(_limit(item) for item in items)


def _limit(fields: Fields) -> Limit:
    made = Limit(
        fields.text("match", "*", pattern=PATTERN),
        fields.text("severity", choices=SEVERITIES),
        fields.flag("fixable-only"),
    )
    fields.done(("match", "severity", "fixable-only"))
    return made


def _reports(fields: Fields) -> ReportRules:
    age = None
    if "max-age" in fields:
        age = timedelta(days=int(fields.text("max-age", pattern=r"[1-9][0-9]{0,3}d")[:-1]))
    made = ReportRules(
        age,
        fields.texts("optional", pattern=PATTERN),
        fields.texts("scanners", pattern=r"[!-~]{1,60}"),
    )
    fields.done(("max-age", "optional", "scanners"))
    return made


def _allowed(fields: Fields) -> Allowed:
    text = fields.text("until", pattern=_DATE)
    try:
        day = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
        until = day + timedelta(days=1)
    except (ValueError, OverflowError):
        raise fields.wrong("until", f"there is no day {text}", "write 2027-01-31") from None
    is_named = "package" in fields.names()
    package = fields.text("package", "", pattern=r"[!-~]{1,512}")
    if is_named and not package:
        raise fields.wrong("package", "is empty", "leave it out: that means any")
    made = Allowed(
        fields.text("id", pattern=_ID),
        fields.text("reason", pattern=_REASON),
        until,
        fields.text("match", "*", pattern=PATTERN),
        package,
    )
    fields.done(("id", "reason", "until", "match", "package"))
    return made


def _vex(fields: Fields, folder: Path) -> VexSource:
    if ("file" in fields) == ("carried" in fields):
        hint = "file: of your own; carried: a pattern of artifacts whose VEX counts"
        raise fields.fault(fields.path, "needs exactly one of file and carried", hint)
    file = None
    if "file" in fields:
        file = folder / fields.text("file", pattern=r"[^\0]+")
        if not file.is_file():
            raise fields.wrong("file", f"there is no file {file}", "it is relative to this file")
    carried = fields.text("carried", pattern=PATTERN) if "carried" in fields else ""
    fields.done(("file", "carried"))
    return VexSource(file, carried)


def _license(fields: Fields) -> LicenseRule:
    match = fields.text("match", "*", pattern=PATTERN)
    allow, deny = (fields.texts(key, pattern=_LICENSE) for key in ("allow", "deny"))
    if not allow and not deny:
        raise fields.fault(fields.path, "needs allow or deny", "allow: [Apache-2.0, MIT]")
    usual = "refuse" if allow else "pass"
    unknown = fields.text("unknown", usual, choices=("refuse", "pass"))
    fields.done(("match", "allow", "deny", "unknown"))
    return LicenseRule(match, allow, deny, unknown == "pass")
