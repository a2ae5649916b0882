"""Where quarantined things lie and where they go: one target twice, with and without quarantine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bundle.errors import NotTrusted, TargetError, UsageError
from importer import destinations
from importer.ledger.book import plain
from importer.targets.registry import RegistryTarget

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bundle.artifact import Artifact, Content
    from bundle.receipt import Entry
    from importer.targets.base import Target

_LAYOUT_KINDS = frozenset({"image", "chart"})


@dataclass
class Places:
    """``origins`` and ``finals`` map each artifact's name to its target."""

    origins: Mapping[str, Target]
    finals: Mapping[str, Target]
    _all: Sequence[Target]

    def check(self) -> None:
        """Reach every target; raise :class:`TargetError`."""
        for target in self._all:
            target.check()

    def close(self) -> None:
        """Let connections go."""
        for target in self._all:
            target.close()

    def stores(self, artifact: Artifact, content: Content) -> bool:
        """Whether a content is kept as such: trees and buckets have the files alone."""
        if isinstance(self.origins[artifact.name], RegistryTarget):
            return True
        kept = artifact.kind in _LAYOUT_KINDS or bool(content.path)
        return kept or artifact.is_signature(content)

    def read(self, artifact: Artifact, content: Content) -> bytes:
        """Return a content out of the quarantine, checked against its digest.

        Raises :class:`NotTrusted` for what such a target does not keep.
        """
        if not self.stores(artifact, content):
            raise NotTrusted(f"{content.digest.short} is not kept in {self._label(artifact)}")
        return self.origins[artifact.name].held(artifact, content).read()

    def lost(self, artifact: Artifact) -> list[str]:
        """Return what the quarantine lacks of an artifact."""
        target = self.origins[artifact.name]
        return [
            f"{content.path or content.digest}"
            for content in artifact.contents
            if self.stores(artifact, content) and not target.has(artifact, content)
        ]

    def _label(self, artifact: Artifact) -> str:
        return self.origins[artifact.name].label


def connect(to: Sequence[str], entries: Sequence[Entry]) -> Places:
    """Return the places of what is promoted; raise :class:`UsageError` where targets differ.

    A receipt knows names and not how a target is reached: that is said again, and has to fit.
    """
    read = destinations.read(to)
    (name, *others) = dict.fromkeys(one.quarantine for one in entries)
    if others:
        raise UsageError("the receipt knows several quarantines", hint="promote one: --match NAME")
    if wrong := next((d for d in read if d.naming.quarantine not in {"", name}), None):
        raise UsageError(
            f"the target file says quarantine: {wrong.naming.quarantine}, and the receipt {name}",
            hint="promote with the target file that it was imported with",
        )
    inside = destinations.quarantined(destinations.released(read), name)
    made = destinations.connect(inside)
    try:
        for destination, origin in zip(destinations.released(read), list(made), strict=True):
            made.append(_final(destination, origin))
        artifacts = [one.artifact for one in entries]
        half = len(made) // 2
        origins = destinations.route(artifacts, made[:half])
        finals = destinations.route(artifacts, made[half:])
        for one in entries:
            _compare(one, origins[one.artifact.name])
    except BaseException:
        for target in made:
            target.close()
        raise
    return Places(origins, finals, made)


def _final(destination: destinations.Destination, origin: Target) -> Target:
    if destination.type == "s3":
        from importer.targets import s3, s3copy  # noqa: PLC0415  (boto3 costs start-up time)

        if not isinstance(origin, s3.S3):
            raise TargetError(f"{origin.label} is no bucket")
        return s3copy.connect(destination, origin)
    return destinations.connect([destination])[0]


def _compare(entry: Entry, origin: Target) -> None:
    place = plain(origin.place(entry.artifact))
    if place != entry.place:
        raise UsageError(
            f"{entry.artifact.name} was imported to {entry.place}, and would be looked for at"
            f" {place}",
            hint="promote with the target that it was imported with: the same --to",
        )
