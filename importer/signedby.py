"""A high side's own policy: publishers' signatures verified again, from the bundle alone.

Nothing is asked but the medium, and nothing is believed but the public keys that were given here:
what the low side recorded is not looked at.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bundle.errors import UsageError
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
    from bundle.errors import GateRefused
    from bundle.reader import Reader
    from bundle.upstream.check import Verdict


@dataclass(frozen=True)
class Judged:
    """What a policy says: a verdict for each artifact, patterns that match none, the refusal.

    ``file`` and ``digest`` say which policy it was.
    """

    file: str
    digest: Digest
    verdicts: Sequence[Verdict]
    idle: Sequence[str]
    refused: GateRefused | None

    def to_dict(self) -> dict[str, object]:
        """Return what ``--json`` prints."""
        rows = [verdict.to_dict() for verdict in self.verdicts]
        return {"artifacts": rows, "idle": list(self.idle)}

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


def judge(path: Path, reader: Reader, artifacts: Sequence[Artifact]) -> Judged:
    """Apply the policy file ``path`` to ``artifacts``; raises what reading them raises.

    Raises :class:`bundle.errors.UsageError` for a policy that cannot be enforced here.
    """
    from bundle.upstream import policy as policies  # noqa: PLC0415  (yaml costs start-up time)

    policy = policies.load(path)
    if policy.gates:
        message = f"{path}: max-severity is not supported by this version"
        raise UsageError(message, hint="take it out")

    def read(_artifact: Artifact, content: Content) -> bytes:
        return b"".join(reader.blob(content.digest).blocks())

    checker = Checker(policy, load_keys(policy), read)
    verdicts = [checker.check(artifact) for artifact in artifacts]
    assert policy.digest  # noqa: S101  (it was a file)
    idle, refused = policy.idle(list(artifacts)), refusal(verdicts, str(path))
    return Judged(path.name, policy.digest, verdicts, idle, refused)
