"""The gates of a spec's policy on the low side: what scanners said of the locked images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bundle import instant
from bundle.gate import assess
from bundle.gate.assess import Assessment, Assessor
from bundle.options import say, stoppable
from bundler.signedby import fetched

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bundle.artifact import Artifact, Content
    from bundle.errors import GateRefused
    from bundler.connect import Connect
    from bundler.lock import Lock
    from bundler.resolve import Upstreams
    from bundler.scan.option import Chosen as Scanning
    from bundler.spec import Spec


def judge(lock: Lock, spec: Spec, upstreams: Upstreams) -> list[Assessment]:
    """Return what the gates say of each artifact; none where the policy has no gates.

    They are asked by the reports that the lock pins, and by what the publishers attached. Raises
    :class:`bundle.errors.UsageError` for VEX of one's own that cannot be read, and what reading
    from the upstreams raises.
    """
    if not spec.policy.gates:
        return []
    by_name = {locked.artifact.name: locked for locked in lock.artifacts}

    def read(artifact: Artifact, content: Content) -> bytes:
        return fetched(by_name[artifact.name], content, upstreams)

    artifacts = [locked.artifact for locked in lock.artifacts]
    assessor = Assessor(spec.policy.gates, read, instant.now())
    assessor.believe(artifacts)
    return [Assessment(artifact, assessor.assess(artifact)) for artifact in artifacts]


def refusal(found: Sequence[Assessment], spec: Spec) -> GateRefused | None:
    """Return the refusal of all that a gate refuses, if one does."""
    refused = assess.refusal(found, str(spec.path))
    faults = [fault for one in found for check in one.checks for fault in check.faults]
    if refused and any(fault.startswith("no report") for fault in faults):
        refused.hint = f"dray scan {spec.path} makes reports; {refused.hint}"
    return refused


def enforce(lock: Lock, spec: Spec, upstreams: Upstreams) -> None:
    """Raise :class:`bundle.errors.GateRefused` for what a gate of the policy refuses."""
    if refused := refusal(judge(lock, spec, upstreams), spec):
        raise refused


def passed(lock: Lock, spec: Spec, connect: Connect, scan: Scanning, *, quiet: bool) -> Lock:
    """Return the lock that may be exported: with reports by the scanners that were named.

    Raises as :func:`enforce` and :meth:`bundler.scan.option.Chosen.scan`.
    """
    names = scan.of(spec).names
    if not names and not spec.policy.gates:
        return lock
    upstreams = connect(spec)
    try:
        if names:
            with stoppable() as stop:
                tell = (lambda _row: None) if quiet else (lambda row: say(str(row)))
                lock = scan.scan(lock, spec, upstreams, stop, tell, missing=True)
        enforce(lock, spec, upstreams)
    finally:
        upstreams.close()
    return lock
