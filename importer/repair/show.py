"""What a repair says to people and machines, and with what it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bundle.errors import DrayError, MediaIncomplete, TransferError, VerificationError
from bundle.options import emit, say
from bundle.progress import counted
from bundle.remedy import low_side

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bundle.digest import Digest
    from bundle.manifest import Manifest
    from importer.repair.run import Outcome

_FROM = {
    "parity": "from parity",
    "another copy": "from another copy",
    "parts": "out of its parts",
}


def command(manifest: Manifest, names: Iterable[str]) -> str:
    """Return the command that makes these chunks again on the low side; empty without any."""
    wanted = set(names)
    numbers = [chunk.number for chunk in manifest.chunks if chunk.name in wanted]
    return low_side(manifest, numbers) if numbers else ""


def failure(manifest: Manifest, outcome: Outcome) -> DrayError | None:
    """Return what the command ends with; None when all is as it was signed."""
    order: tuple[type[DrayError], ...] = (
        TransferError,
        VerificationError,
        MediaIncomplete,
        DrayError,
    )
    for kind in order:
        found = [(name, e) for name, e in outcome.failed.items() if isinstance(e, kind)]
        if found:
            name, error = found[0]
            more = f" (and {len(outcome.failed) - 1} more)" if len(outcome.failed) > 1 else ""
            said = error.message if name in error.message else f"{name}: {error.message}"
            hint = error.hint or _hint(manifest, _undone(outcome))
            return type(error)(said + more, hint=hint)
    if outcome.absent:
        medium, names = next(iter(outcome.absent.items()))
        message = f"medium {medium} of {len(manifest.media)} is not here"
        return MediaIncomplete(message, hint=_absent(manifest, names))
    return None


def _undone(outcome: Outcome) -> list[str]:
    """Return the files of which the bytes are nowhere; what only cannot be written is no such."""
    return [name for name, e in outcome.failed.items() if not isinstance(e, TransferError)]


def _hint(manifest: Manifest, names: Iterable[str]) -> str:
    made = command(manifest, names)
    return f"on the low side: {made}" if made else "copy it again from the low side"


def _absent(manifest: Manifest, names: dict[str, bool]) -> str:
    lost = [name for name, restorable in names.items() if not restorable]
    if not lost:
        return "insert it; if it is lost, --to DIR makes it again"
    return f"insert it; if it is lost, on the low side: {command(manifest, lost)}"


def document(
    manifest: Manifest, digest: Digest, outcome: Outcome, refusal: DrayError | None, *, plan: bool
) -> dict[str, Any]:
    """Return what ``--json`` prints."""
    body: dict[str, Any] = {"bundle": manifest.name, "manifest": str(digest), "plan": plan}
    body["repaired"] = [item.to_dict() for item in outcome.mended]
    body["copied"] = [str(path) for path in outcome.papers]
    body["failed"] = [{"file": name, **e.to_dict()} for name, e in outcome.failed.items()]
    body["absent"] = [
        {"medium": medium, "files": list(names), "restorable": all(names.values())}
        for medium, names in outcome.absent.items()
    ]
    lost = [
        n for names in outcome.absent.values() for n, restorable in names.items() if not restorable
    ]
    body["lowSide"] = command(manifest, [*_undone(outcome), *lost])
    return {**body, "ok": refusal is None, **({"error": refusal.to_dict()} if refusal else {})}


def told(
    manifest: Manifest,
    digest: Digest,
    outcome: Outcome,
    refusal: DrayError | None,
    *,
    plan: bool,
    as_json: bool,
) -> None:
    """Print it."""
    if as_json:
        emit(document(manifest, digest, outcome, refusal, plan=plan))
        return
    verb, copied = ("would repair", "would copy") if plan else ("repaired", "copied")
    for item in outcome.mended:
        amount = f"{item.blocks} of {counted(item.total, 'block')}"
        say(f"{verb} {item.path}: {amount}, {_FROM[item.how]}")
    for path in outcome.papers:
        say(f"{copied} {path}")
    for name, error in outcome.failed.items():
        said = error.message if name in error.message else f"{name}: {error.message}"
        say(f"CANNOT {said}")
    if made := command(manifest, _undone(outcome)):
        say(f"    on the low side: {made}")
    for medium, names in outcome.absent.items():
        which = f"medium {medium} of {len(manifest.media)}"
        say(f"MISSING {which}: {counted(len(names), 'file')} not here")
        say(f"    {_absent(manifest, names)}")
    if not (outcome.mended or outcome.papers or refusal):
        files = len(manifest.chunks) + sum(len(group.files) for group in manifest.parity)
        say(f"nothing to repair: {counted(files, 'file')} as signed, every byte")
