"""A policy's gates over the artifacts of a bundle: what each of them says, and one refusal of all.

What is asked is what artifacts carry; whoever has other reports (a Harbor's scanner) adds them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bundle import strictyaml
from bundle.errors import GateRefused, listed
from bundle.gate import carried, documents, vex
from bundle.gate.documents import VEX
from bundle.gate.foreign import LIMIT, Unreadable
from bundle.gate.judge import FAIL, PASS, SKIPPED, Check, Judge
from bundle.gate.pattern import takes
from bundle.progress import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from bundle.artifact import Artifact, Content
    from bundle.gate.carried import Evidence
    from bundle.gate.rules import Gates
    from bundle.gate.vex import Vex
    from bundle.upstream.check import Verdict

    Read = Callable[[Artifact, Content], bytes]

SIGNATURE = "signature"
MOST = 20
"""Reasons of one gate about one artifact that a message has room for; records have all."""


@dataclass(frozen=True, slots=True)
class Assessment:
    """What the gates say of one artifact."""

    artifact: Artifact
    checks: tuple[Check, ...]

    @property
    def is_refused(self) -> bool:
        """Whether a gate refuses it."""
        return any(check.result == FAIL for check in self.checks)

    def to_dict(self) -> dict[str, Any]:
        """Return the row of ``--json`` and of records."""
        rows = [check.to_dict() for check in self.checks]
        body = {"artifact": self.artifact.name, "root": str(self.artifact.root)}
        return {**body, "result": FAIL if self.is_refused else PASS, "gates": rows}


@dataclass
class Assessor:
    """Applies gates. ``read`` returns the bytes of a content, checked against its digest."""

    gates: Gates
    read: Read
    now: datetime
    judge: Judge = field(init=False)
    faults: list[str] = field(default_factory=list)
    """Documents of VEX that were to be believed, and cannot be read: they let nothing through."""

    def __post_init__(self) -> None:
        self.judge = Judge(self.gates, self.now)

    def believe(self, artifacts: Sequence[Artifact]) -> None:
        """Read the VEX that the policy names; raises :class:`bundle.errors.UsageError`.

        A file of one's own that cannot be read is an error; one that an artifact carries lets
        nothing through.
        """
        found: list[Vex] = []
        for source in self.gates.vex:
            if source.file:
                data = strictyaml.read(source.file, limit=LIMIT)
                found.append(vex.parse(data, source.file.name))
                continue
            for artifact in artifacts:
                if takes(source.carried, artifact):
                    found += self._carried(artifact)
        self.judge.vex = found

    def _carried(self, artifact: Artifact) -> Iterator[Vex]:
        yield from carried.find(artifact, lambda content: self.read(artifact, content)).vex
        for content in artifact.files:
            if content.path.endswith(".json") and content.size <= LIMIT:
                what = f"{content.path} of {artifact.name}"
                try:
                    document = documents.open_document(self.read(artifact, content), what)
                    if document and VEX in document.uses:
                        yield vex.vex(document.document)
                except Unreadable as error:
                    self.faults.append(error.message)

    def assess(
        self, artifact: Artifact, reports: Sequence[Evidence] = (), faults: Sequence[str] = ()
    ) -> tuple[Check, ...]:
        """Return what each gate says; ``reports`` and ``faults`` come from elsewhere.

        Raises what reading raises.
        """
        if self.gates.limit(artifact) is None and not self.gates.license_rules(artifact):
            found = carried.Carried()
        else:
            found = carried.find(artifact, lambda content: self.read(artifact, content))
        unreadable = [*faults, *found.faults]
        return (
            self.judge.severity(artifact, [*found.reports, *reports], unreadable),
            self.judge.licenses(artifact, found.licenses, found.faults),
        )


def signature(verdict: Verdict) -> Check:
    """Return what the publishers' signatures say, as one gate among others."""
    if not verdict.required:
        return Check(SIGNATURE, SKIPPED, "no rule is about it")
    proofs = verdict.record.proofs
    said = ", ".join(f"signed by {proof.key}" for proof in proofs) or verdict.record.result
    return Check(SIGNATURE, FAIL if verdict.faults else PASS, said, verdict.faults)


def refusal(assessments: Sequence[Assessment], where: str) -> GateRefused | None:
    """Return the refusal that names everything that a gate refuses, if one does."""
    failed = [one for one in assessments if one.is_refused]
    if not failed:
        return None
    rows: list[str] = []
    for one in failed:
        rows.append(f"  {one.artifact.name}")
        for check in one.checks:
            if check.result != FAIL:
                continue
            rows += [f"    {check.gate}: {fault}" for fault in check.faults[:MOST]]
            if (more := len(check.faults) - MOST) > 0:
                rows.append(f"    {check.gate}: and {more} more: --json has all")
    message = f"{len(failed)} of {counted(len(assessments), 'artifact')} do not pass {where}:"
    return GateRefused(
        listed(message, rows),
        hint="wait for a mended version; or let a finding through in the policy, with a reason and"
        " a day (allow:), or by the publisher's word (vex:)",
    )
