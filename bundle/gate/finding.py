"""What a scanner found: one form for every program's report."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import datetime

UNKNOWN = "unknown"
SEVERITIES = ("none", "negligible", "low", "medium", "high", "critical")
"""From the least to the worst. :data:`UNKNOWN` has no place among them: a policy says its."""
RANK = {name: number for number, name in enumerate(SEVERITIES)}


def severity_of(text: str) -> str:
    """Return a scanner's word as one of :data:`SEVERITIES`, or :data:`UNKNOWN`."""
    word = text.strip().lower()
    word = {"info": "negligible", "informational": "negligible", "moderate": "medium"}.get(
        word, {"important": "high"}.get(word, word)
    )
    return word if word in RANK else UNKNOWN


def severity_of_score(score: float) -> str:
    """Return the severity of a CVSS score (CVSS v3.1, "Qualitative Severity Rating Scale")."""
    for least, name in ((9.0, "critical"), (7.0, "high"), (4.0, "medium"), (0.1, "low")):
        if least <= score <= 10.0:
            return name
    return "none" if score == 0 else UNKNOWN


@dataclass(frozen=True, slots=True)
class Finding:
    """One vulnerability (or secret, or fault of configuration) in one package.

    ``aliases`` are other names of the same thing (GHSA and CVE); ``fixed`` is the version that
    mends it, empty where there is none; ``source`` is the program that says so.
    """

    id: str
    severity: str
    package: str = ""
    version: str = ""
    fixed: str = ""
    source: str = ""
    purl: str = ""
    aliases: tuple[str, ...] = ()

    @property
    def names(self) -> frozenset[str]:
        """Every name of it, in upper case."""
        return frozenset(name.upper() for name in (self.id, *self.aliases))

    def __str__(self) -> str:
        where = f" {self.package} {self.version}".rstrip() if self.package else ""
        mended = f" (fixed in {self.fixed})" if self.fixed else ""
        return f"{self.id} {self.severity}{where}{mended}"

    def to_dict(self) -> dict[str, Any]:
        """Return the object of ``--json`` and of records."""
        body: dict[str, Any] = {"id": self.id, "severity": self.severity}
        for key in ("package", "version", "fixed", "source", "purl"):
            if value := getattr(self, key):
                body[key] = value
        return body | ({"aliases": list(self.aliases)} if self.aliases else {})


@dataclass(frozen=True, slots=True)
class Report:
    """What one run of a scanner says. ``made`` is when, None where it does not say.

    ``about`` are the digests that it names as what it looked at: of indexes, manifests or configs.
    """

    form: str
    tool: str
    made: datetime | None
    findings: tuple[Finding, ...] = ()
    about: frozenset[str] = field(default_factory=frozenset)

    @property
    def name(self) -> str:
        """The scanner and when it ran, for people."""
        when = f" of {self.made:%Y-%m-%d}" if self.made else ""
        return f"{self.tool or self.form}{when}"
