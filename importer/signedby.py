"""A high side's own policy: publishers' signatures verified again, from the bundle alone.

Nothing is asked but the medium, and nothing is believed but the public keys that were given here:
what the low side recorded is not looked at.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bundle import instant
from bundle.errors import GateRefused
from bundle.gate import assess
from bundle.gate.assess import Assessment, Assessor
from bundle.options import say
from bundle.progress import counted
from bundle.rulings import Judgement, Publishers
from bundle.upstream.check import Checker, load_keys, refusal
from bundle.upstream.show import spelt
from importer.ledger.book import plain

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bundle.artifact import Artifact, Content
    from bundle.digest import Digest
    from bundle.reader import Reader
    from bundle.upstream.check import Verdict


@dataclass(frozen=True)
class Judged:
    """What a policy says: a verdict for each artifact, patterns that match none, the refusal.

    ``file`` and ``digest`` say which policy it was; ``assessments`` are what its gates say, of all
    or of none.
    """

    file: str
    digest: Digest
    verdicts: Sequence[Verdict]
    idle: Sequence[str]
    refused: GateRefused | None
    assessments: Sequence[Assessment] = ()

    def to_dict(self) -> dict[str, object]:
        """Return what ``--json`` prints."""
        rows = [verdict.to_dict() for verdict in self.verdicts]
        body: dict[str, object] = {"artifacts": rows, "idle": list(self.idle)}
        if self.assessments:
            body["gates"] = [one.to_dict() for one in self.assessments]
        return body

    def for_the_record(self) -> Publishers:
        """Return what goes into the receipt and the ledger."""
        return Publishers(
            file=plain(self.file),
            digest=self.digest,
            judgements=tuple(
                Judgement(v.artifact.name, v.record, v.required, tuple(plain(list(v.faults))))
                for v in self.verdicts
            ),
            idle=tuple(self.idle),
        )

    def show(self) -> None:
        """Print who signed what, for people; the refusal is printed by whoever raises it."""
        for verdict in self.verdicts:
            if verdict.required and not verdict.faults:
                for line in spelt(verdict.artifact, verdict.record):
                    say(f"{verdict.artifact.name}: {line}")
        for pattern in self.idle:
            say(f"note: require-signature: nothing here is called {pattern}")
        good = sum(v.required and not v.faults for v in self.verdicts)
        asked = sum(v.required for v in self.verdicts)
        others = f"{len(self.verdicts) - asked} not asked for"
        say(f"policy: {good} of {counted(asked, 'artifact')} signed as required; {others}")
        for one in self.assessments:
            for check in one.checks:
                say(f"{one.artifact.name}: {check.gate}: {check.result}, {check.summary}")


def judge(
    path: Path, reader: Reader, artifacts: Sequence[Artifact], *, gates: bool = True
) -> Judged:
    """Apply the policy file ``path`` to ``artifacts``; raises what reading them raises.

    Its gates are asked by what the artifacts carry, unless they are asked later (``gates`` false):
    ``dray promote`` does that. Raises :class:`bundle.errors.UsageError`.
    """
    from bundle.upstream import policy as policies  # noqa: PLC0415  (yaml costs start-up time)

    policy = policies.load(path)

    def read(_artifact: Artifact, content: Content) -> bytes:
        return b"".join(reader.blob(content.digest).blocks())

    checker = Checker(policy, load_keys(policy), read)
    verdicts = [checker.check(artifact) for artifact in artifacts]
    assert policy.digest  # noqa: S101  (it was a file)
    idle, refused = policy.idle(list(artifacts)), refusal(verdicts, str(path))
    found: list[Assessment] = []
    if policy.gates and gates:
        assessor = Assessor(policy.gates, read, instant.now())
        assessor.believe(artifacts)
        found = [Assessment(artifact, assessor.assess(artifact)) for artifact in artifacts]
        refused = _both(refused, assess.refusal(found, str(path)))
    return Judged(path.name, policy.digest, verdicts, idle, refused, found)


def _both(one: GateRefused | None, other: GateRefused | None) -> GateRefused | None:
    if one is None or other is None:
        return one or other
    return GateRefused(f"{one.message}\n{other.message}", hint=f"{one.hint}; {other.hint}")
