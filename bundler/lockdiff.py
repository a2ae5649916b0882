"""What a new lock changes against the one before, for the person who reviews it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bundle.progress import counted, human
from bundle.upstream.show import spelt

if TYPE_CHECKING:
    from bundler.lock import Lock, LockedArtifact


def changes(before: Lock | None, after: Lock) -> list[dict[str, str]]:
    """Return one row for each artifact that was added, removed or moved to another digest.

    ``changed`` is one whose root is the same and what goes with it is not: a new signature.
    """
    old = _artifacts(before) if before else {}
    new = _artifacts(after)
    rows = []
    for name in sorted(old.keys() | new.keys()):
        was, now = old.get(name), new.get(name)
        if was == now:
            continue
        change = "added" if not was else "removed" if not now else "moved"
        if was and now and was.artifact.root == now.artifact.root:
            change = "changed"
        row = {"artifact": name, "change": change}
        rows.append(row | {"before": _root(was), "after": _root(now)})
    return rows


def _artifacts(lock: Lock) -> dict[str, LockedArtifact]:
    return {locked.artifact.name: locked for locked in lock.artifacts}


def _root(locked: LockedArtifact | None) -> str:
    return str(locked.artifact.root) if locked else ""


def describe(after: Lock, rows: list[dict[str, str]], before: Lock | None) -> list[str]:
    """Return the lock as a table, and what moved against the lock before."""
    lines = []
    for locked in after.artifacts:
        artifact = locked.artifact
        lines.append(
            f"{artifact.kind:9}{artifact.root[:19]}  {human(artifact.size):>9}  {artifact.name}"
        )
        lines += [f"{'':9}{key}: {text}" for key, text in sorted(artifact.notes.items())]
        lines += [f"{'':9}{line}" for line in spelt(artifact, artifact.upstream)]
    if before:
        lines += [f"{row['change']}: {row['artifact']} {row['before'][:19]}" for row in rows]
        lines += ["nothing moved"] if not rows else []
    total = human(sum(after.blobs.values()))
    artifacts = counted(len(after.artifacts), "artifact")
    lines.append(f"{artifacts}, {counted(len(after.blobs), 'blob')}, {total}")
    return lines
