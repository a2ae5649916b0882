"""What a new lock changes against the one before, for the person who reviews it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bundle.progress import counted, human

if TYPE_CHECKING:
    from bundler.lock import Lock


def changes(before: Lock | None, after: Lock) -> list[dict[str, str]]:
    """Return one row for each artifact that was added, removed or moved to another digest."""
    old = _roots(before) if before else {}
    new = _roots(after)
    rows = []
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) == new.get(name):
            continue
        change = "added" if name not in old else "removed" if name not in new else "moved"
        row = {"artifact": name, "change": change}
        rows.append(row | {"before": old.get(name, ""), "after": new.get(name, "")})
    return rows


def _roots(lock: Lock) -> dict[str, str]:
    return {locked.artifact.name: str(locked.artifact.root) for locked in lock.artifacts}


def describe(after: Lock, rows: list[dict[str, str]], before: Lock | None) -> list[str]:
    """Return the lock as a table, and what moved against the lock before."""
    lines = []
    for locked in after.artifacts:
        artifact = locked.artifact
        lines.append(
            f"{artifact.kind:9}{artifact.root[:19]}  {human(artifact.size):>9}  {artifact.name}"
        )
        lines += [f"{'':9}{key}: {text}" for key, text in sorted(artifact.notes.items())]
    if before:
        lines += [f"{row['change']}: {row['artifact']} {row['before'][:19]}" for row in rows]
        lines += ["nothing moved"] if not rows else []
    total = human(sum(after.blobs.values()))
    artifacts = counted(len(after.artifacts), "artifact")
    lines.append(f"{artifacts}, {counted(len(after.blobs), 'blob')}, {total}")
    return lines
