"""The import's plan: which artifact goes where, what is there already, and what will be sent."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bundle.artifact import MANIFEST_ROLES, Artifact, Content
from importer import required
from importer.targets.base import Want

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bundle.digest import Digest
    from bundle.manifest import Manifest
    from importer.required import Source
    from importer.targets.base import Target

PROBES = 8


@dataclass(frozen=True)
class Step:
    """One content that a target lacks, for one artifact; a unit of work."""

    target: Target
    artifact: Artifact
    content: Content
    source: Source | None = None
    """Where the target has it, for a content that the bundle leaves out."""


@dataclass(frozen=True)
class Plan:
    """``routes`` maps each artifact's name to its target; ``steps`` are what must be sent."""

    manifest: Manifest
    routes: Mapping[str, Target]
    artifacts: tuple[Artifact, ...]
    steps: tuple[Step, ...]
    present: int
    notes: tuple[str, ...] = ()

    def wants(self, target: Target) -> list[Want]:
        """Return what goes to a target, and what it lacks of it."""
        missing: dict[str, list[Content]] = {}
        for step in self.steps:
            missing.setdefault(step.artifact.name, []).append(step.content)
        return [
            Want(artifact, tuple(missing.get(artifact.name, ())))
            for artifact in self.artifacts
            if self.routes[artifact.name] is target
        ]

    @property
    def to_read(self) -> int:
        """Bytes to be read from the media: a blob that several repositories need is read once."""
        read = (step for step in self.steps if step.source is None)
        return sum({(id(s.target), s.content.digest): s.content.size for s in read}.values())

    @property
    def to_copy(self) -> int:
        """Bytes that are left out of the bundle, and copied or mounted within the targets."""
        return sum(step.content.size for step in self.steps if step.source)

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as ``--plan --json`` prints it; sizes in bytes."""
        rows = []
        for artifact in self.artifacts:
            steps = [step for step in self.steps if step.artifact is artifact]
            target = self.routes[artifact.name]
            row: dict[str, Any] = {"name": artifact.name, "kind": artifact.kind}
            row |= {"target": target.label, "place": target.place(artifact)}
            row |= {"bytes": artifact.size}
            row["send"] = sum(step.content.size for step in steps if step.source is None)
            if copied := sum(step.content.size for step in steps if step.source):
                row["copy"] = copied
            rows.append(row)
        notes = {"notes": list(self.notes)} if self.notes else {}
        return {"bundle": self.manifest.name, "bytes": self.to_read, "artifacts": rows, **notes}


def make(manifest: Manifest, routes: Mapping[str, Target]) -> Plan:
    """Ask each target what it has already, in parallel.

    Raises :class:`bundle.errors.MediaIncomplete` when a target lacks what the bundle leaves out.
    """
    artifacts = tuple(a for a in manifest.artifacts if a.name in routes)
    wanted = [
        Step(routes[artifact.name], artifact, content)
        for artifact in artifacts
        for content in _each_once(artifact)
        if content.role not in MANIFEST_ROLES
    ]
    with ThreadPoolExecutor(PROBES) as pool:
        there = list(pool.map(lambda step: step.target.has(step.artifact, step.content), wanted))
    steps = [step for step, has in zip(wanted, there, strict=True) if not has]
    if absent := required.left_out(manifest):
        known = [step for step, has in zip(wanted, there, strict=True) if has]
        known = [step for step in known if step.content.digest in absent and _counts(step)]
        required.prove(known)
        lacking = [step for step in steps if step.content.digest in absent]
        steps = [step for step in steps if step.content.digest not in absent]
        steps += required.found(manifest, lacking, known)
    present = sum(
        step.content.size for step, has in zip(wanted, there, strict=True) if has and _counts(step)
    )
    return Plan(manifest, routes, artifacts, tuple(_in_media_order(manifest, steps)), present)


def _counts(step: Step) -> bool:
    """Whether what is there was brought: the OCI frame around files has no bytes at a target."""
    artifact, content = step.artifact, step.content
    is_file = bool(content.path) or artifact.is_signature(content)
    return is_file or not any(artifact.files)


def _each_once(artifact: Artifact) -> list[Content]:
    # A file is wanted at each of its paths; a layer that a manifest names twice, once.
    found: dict[tuple[Digest, str], Content] = {}
    for content in artifact.contents:
        found.setdefault((content.digest, content.path), content)
    return list(found.values())


def _in_media_order(manifest: Manifest, steps: Sequence[Step]) -> list[Step]:
    def place(step: Step) -> tuple[int, int]:
        first = next(iter(manifest.blob[step.content.digest].parts), None)
        return (first.chunk, first.offset) if first else (0, 0)

    return sorted(steps, key=place)
