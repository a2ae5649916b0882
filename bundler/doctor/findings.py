"""What the doctor finds: one verdict for each item and check, and the exit code of all of them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from bundle.errors import DrayError, SourceError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    Verdict = Literal["ok", "warn", "fail", "not checked"]

SEEN, ACCESS, VERSION, BYTES = "seen", "access", "version", "bytes"
CHECKS: Final = (SEEN, ACCESS, VERSION, BYTES)
"""The checks of an item, in the order of NGC's own gates (docs/doctor.md says what each asks)."""
_REQUEST = re.compile(r"\[request ([^\]\s]{1,80})\]")


@dataclass(frozen=True, slots=True)
class Finding:
    """The verdict of one check on one item.

    ``group`` is ``login``, ``host``, ``disk`` or the kind of an item. ``case`` names the row of the
    table in docs/doctor.md; ``request`` is NGC's request id. ``configuration`` tells that it is
    this host's set-up that is wrong.
    """

    group: str
    item: str
    check: str
    verdict: Verdict
    message: str = ""
    hint: str = ""
    case: str = ""
    request: str = ""
    configuration: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return it as ``--json`` prints it; what is empty is left out."""
        body = {"group": self.group, "item": self.item, "check": self.check}
        body["verdict"] = self.verdict
        more = {"message": self.message, "hint": self.hint, "case": self.case}
        more["request"] = self.request
        return {**body, **{key: text for key, text in more.items() if text}}


@dataclass
class Item:
    """The checks of one item, collected in their order."""

    group: str
    name: str
    where: str = ""
    size: dict[str, int] = field(default_factory=dict)
    found: dict[str, Finding] = field(default_factory=dict)

    def ok(self, check: str, message: str = "", *, case: str = "", request: str = "") -> None:
        """Note that a check went well."""
        self._note(check, "ok", message, case=case, request=request)

    def warn(self, check: str, message: str, hint: str = "", *, case: str = "") -> None:
        """Note something that people should know, and that stops nothing."""
        self._note(check, "warn", message, hint, case=case)

    def skip(self, check: str, why: str) -> None:
        """Note that a check was not made."""
        self._note(check, "not checked", why)

    def fail(self, check: str, error: DrayError) -> None:
        """Note what will fail."""
        self.found[check] = failure(self.group, self.name, check, error)

    @property
    def failed(self) -> bool:
        """Whether something of it will fail."""
        return any(finding.verdict == "fail" for finding in self.found.values())

    def findings(self) -> list[Finding]:
        """Return all checks of the item; those that were not reached are not checked."""
        for check in CHECKS:
            if check not in self.found:
                self.skip(check, "")
        return [self.found[check] for check in CHECKS]

    def _note(
        self,
        check: str,
        verdict: Verdict,
        message: str,
        hint: str = "",
        *,
        case: str = "",
        request: str = "",
    ) -> None:
        self.found[check] = Finding(
            self.group, self.name, check, verdict, message, hint, case, request
        )


def failure(group: str, name: str, check: str, error: DrayError) -> Finding:
    """Return an error as a finding."""
    number = _REQUEST.search(error.message)
    return Finding(
        group,
        name,
        check,
        "fail",
        error.message,
        error.hint,
        error.case,
        number[1] if number else "",
        isinstance(error, UsageError),
    )


@dataclass(frozen=True, slots=True)
class Report:
    """All findings of a run. ``login`` says as whom NGC is asked, the key masked."""

    findings: tuple[Finding, ...]
    login: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, findings: Iterable[Finding], login: dict[str, Any]) -> Report:
        """Return the report of these findings."""
        return cls(tuple(findings), login)

    @property
    def failures(self) -> list[Finding]:
        """What will fail."""
        return [finding for finding in self.findings if finding.verdict == "fail"]

    def error(self) -> DrayError | None:
        """Return what the command ends with: nothing when all is well.

        A fault of this host's set-up comes first (exit code 2), since it hides others.
        """
        failed = self.failures
        if not failed:
            return None
        kind = UsageError if any(finding.configuration for finding in failed) else SourceError
        items = len({(finding.group, finding.item) for finding in failed})
        things = "thing" if items == 1 else "things"
        return kind(f"{items} {things} will fail", hint="each has its reason above")
