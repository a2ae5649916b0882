"""Blobs that a bundle leaves out: found at the target, or the import is refused beforehand."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bundle.errors import MediaIncomplete, UsageError
from bundle.progress import counted, human
from bundle.required import REQUIRED, WHOLE, named

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bundle.artifact import Artifact, Content
    from bundle.digest import Digest
    from bundle.manifest import Manifest
    from importer.plan import Step
    from importer.targets.base import Target

PROBES = 8
SHOWN = 40
"""Lines of what is missing that people get."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a target has a content: with another artifact."""

    artifact: Artifact
    content: Content


def left_out(manifest: Manifest) -> frozenset[Digest]:
    """Return the digests of the blobs that the bundle has not."""
    return frozenset(blob.digest for blob in manifest.blobs if blob.encoding == REQUIRED)


def prove(steps: Sequence[Step]) -> None:
    """Read back what is there already, where a store's word is no proof.

    Raises :class:`bundle.errors.TargetError` for bytes that are others.
    """
    doubtful = [step for step in steps if not step.target.proves]
    with ThreadPoolExecutor(PROBES) as pool:
        blobs = [step.target.held(step.artifact, step.content) for step in doubtful]
        list(pool.map(lambda blob: blob.prove(), blobs))


def found(manifest: Manifest, lacking: Sequence[Step], there: Sequence[Step]) -> list[Step]:
    """Return the steps with where their target has the content; ``there`` is what needs no step.

    Raises :class:`MediaIncomplete` with everything that is nowhere; nothing has been sent then.
    """
    beside: dict[tuple[int, Digest], Source] = {}
    for step in there:
        key = (id(step.target), step.content.digest)
        beside.setdefault(key, Source(step.artifact, step.content))
    with ThreadPoolExecutor(PROBES) as pool:
        pairs = list(pool.map(lambda step: (step, _source(manifest, step, beside)), lacking))
    missing = [step for step, source in pairs if source is None]
    if missing:
        raise _missing(manifest, missing)
    return [replace(step, source=source) for step, source in pairs]


def _source(
    manifest: Manifest, step: Step, beside: dict[tuple[int, Digest], Source]
) -> Source | None:
    for source in _bases(manifest, step):
        if _has(step.target, source):
            return source
    return beside.get((id(step.target), step.content.digest))


def _bases(manifest: Manifest, step: Step) -> Iterator[Source]:
    content = step.content
    for base in manifest.blob[content.digest].bases:
        # A base without a path would name no file at all, and what names nothing is "there".
        if base.kind == step.artifact.kind and bool(base.path) == bool(content.path):
            yield Source(base.named(content.digest), replace(content, path=base.path))


def _has(target: Target, source: Source) -> bool:
    try:
        return target.has(source.artifact, source.content)
    except UsageError:  # this target cannot name such an artifact, and so has none
        return False


class BaseMissing(MediaIncomplete):
    """A target lacks what the bundle leaves out; ``rows`` are all of it, for ``--json``."""

    def __init__(self, message: str, *, hint: str = "", case: str = "base-missing") -> None:
        super().__init__(message, hint=hint, case=case)
        self.rows: list[dict[str, object]] = []

    def to_dict(self) -> dict[str, object]:
        """Return the failure with every blob that is missing."""
        return {**super().to_dict(), "missing": self.rows}


def _missing(manifest: Manifest, steps: Sequence[Step]) -> BaseMissing:
    first: dict[Digest, Step] = {}
    for step in steps:
        first.setdefault(step.content.digest, step)
    size = human(sum(step.content.size for step in first.values()))
    lines = [_line(manifest, step) for _digest, step in sorted(first.items())]
    more = [f"  and {len(lines) - SHOWN} more: --json has all"] if len(lines) > SHOWN else []
    sources = [base.bundle for d in first for base in manifest.blob[d].bases if base.bundle]
    bases = ", ".join(dict.fromkeys(sources)) or named(manifest.bases)
    head = f"{manifest.name} builds on {bases}: {counted(len(first), 'blob')} of {size} that it "
    error = BaseMissing(
        "\n".join([head + "leaves out are not at the target", *lines[:SHOWN], *more]),
        hint=f"import {bases} into this target first; or, {WHOLE}",
    )
    error.rows = [_row(manifest, step) for step in steps]
    return error


def _line(manifest: Manifest, step: Step) -> str:
    content, needs = step.content, f"for {step.artifact.name} at {step.target.label}"
    was = [base for base in manifest.blob[content.digest].bases if base.kind == step.artifact.kind]
    whence = f", was in {was[0].artifact}" if was else ""
    of = f" of {was[0].bundle}" if was and was[0].bundle else ""
    return f"  {content.digest}  {human(content.size)}  {needs}{whence}{of}"


def _row(manifest: Manifest, step: Step) -> dict[str, object]:
    content = step.content
    body: dict[str, object] = {"digest": str(content.digest), "bytes": content.size}
    body |= {"artifact": step.artifact.name, "target": step.target.label}
    bases = manifest.blob[content.digest].bases
    return body | {"bases": [base.to_dict() for base in bases if base.kind == step.artifact.kind]}
