"""What a promotion found and did: tables for people, objects for machines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bundle.gate.judge import FAIL
from bundle.options import emit, say
from bundle.progress import counted, human

if TYPE_CHECKING:
    from bundle.errors import DrayError
    from bundle.gate.assess import Assessment
    from bundle.gate.judge import Check
    from importer.load import Outcome
    from importer.promote.copying import Copying
    from importer.promote.run import Run

_MOST = 20
"""Findings of one gate about one artifact that a table shows."""


def body(run: Run) -> dict[str, Any]:
    """Return what ``--json`` prints of the gates."""
    record = run.record
    rows = []
    for one in run.assessments:
        origin, final = (places[one.artifact.name] for places in _both(run))
        places = {"from": origin.place(one.artifact), "to": final.place(one.artifact)}
        rows.append({**one.to_dict(), **places})
    found: dict[str, Any] = {"bundle": record.imported.receipt.bundle.name}
    found |= {"import": str(record.imported.digest), "policy": str(record.policy)}
    found |= {"artifacts": rows, "idle": list(record.idle), "notes": list(run.notes)}
    return found | ({"overridden": record.overridden} if record.overridden else {})


def _both(run: Run) -> tuple[Any, Any]:
    return run.places.origins, run.places.finals


def gates(run: Run) -> None:
    """Print the verdicts."""
    for one in run.assessments:
        _assessment(one)
    for text in run.record.idle:
        say(f"note: {text}: nothing needed it")
    for text in run.notes:
        say(f"note: {text}")


def plan(run: Run, copying: Copying, *, as_json: bool) -> None:
    """Print what would happen."""
    if as_json:
        lacking = {name: sum(c.size for c in found) for name, found in copying.missing.items()}
        made = body(run)
        for row in made["artifacts"]:
            row["copy"] = lacking[row["artifact"]]
        emit({**made, "refused": run.refused is not None, "bytes": copying.size})
        return
    gates(run)
    for artifact in copying.artifacts:
        origin, final = (places[artifact.name] for places in _both(run))
        lacking_size = sum(content.size for content in copying.missing[artifact.name])
        say(f"{human(lacking_size):>10}  {origin.place(artifact)} -> {final.place(artifact)}")
    if run.refused:
        say("would be refused")


def done(run: Run, outcome: Outcome | None, failure: DrayError | None, *, as_json: bool) -> None:
    """Print what was done; ``outcome`` None where nothing was."""
    scribe = run.record.scribe
    if as_json:
        error = {"error": failure.to_dict()} if failure else {}
        made = outcome.to_dict() if outcome else {}
        receipt = {"receipt": scribe.told()} if scribe.written else {}
        emit({**body(run), **made, **receipt, **error})
        return
    gates(run)
    if outcome:
        _outcome(run, outcome)
    if scribe.written:
        say(scribe.line())


def _outcome(run: Run, outcome: Outcome) -> None:
    for name, final in run.places.finals.items():
        artifact = next(one.artifact for one in run.assessments if one.artifact.name == name)
        if name in outcome.published:
            say(f"promoted {name} -> {final.place(artifact)}")
        elif name in outcome.unchanged:
            say(f"there already {name} -> {final.place(artifact)}")
        elif error := outcome.failures.get(name):
            say(f"FAILED {name}: {error.message}")
            if error.hint:
                say(f"    {error.hint}")
    for final in {id(one): one for one in run.places.finals.values()}.values():
        for item in final.replaced:
            say(f"replaced {item.place}: was {item.before}")
        for note in final.notes:
            say(f"note: {note}")
    moved = len(outcome.published) + len(outcome.unchanged)
    say(
        f"{counted(moved, 'artifact')} promoted: {human(outcome.shared)} within the target,"
        f" {human(outcome.uploaded)} by this host, {human(outcome.present)} there already"
    )


def _assessment(one: Assessment) -> None:
    say(f"{'REFUSED' if one.is_refused else 'passed'}  {one.artifact.name}")
    for check in one.checks:
        _check(check)


def _check(check: Check) -> None:
    by = f" ({', '.join(check.evidence)})" if check.evidence else ""
    result = check.result.upper() if check.result == FAIL else check.result
    say(f"    {check.gate:<10} {result:<8} {check.summary}{by}")
    for fault in check.faults[:_MOST]:
        say(f"        {fault}")
    if (more := len(check.faults) - _MOST) > 0:
        say(f"        and {more} more: --json has all")
    for excused in check.excused[:_MOST]:
        say(f"        let through: {excused.finding}: {excused.by}: {excused.reason}")
    if (more := len(check.excused) - _MOST) > 0:
        say(f"        and {more} more that were let through: --json has all")
