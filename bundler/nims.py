"""The NIMs of a spec: each image, the profiles wanted of it, and the model files that they need."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from threading import Lock as Mutex
from typing import TYPE_CHECKING

from bundle.errors import DrayError, SourceError
from bundle.progress import counted
from bundler.entries import NgcEntry
from bundler.sources import nim_manifest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bundler.entries import NimEntry
    from bundler.lock import LockedArtifact
    from bundler.sources.ngc import NgcSource
    from bundler.sources.nim import NimReader
    from bundler.sources.nim_manifest import Profile
    from bundler.spec import Spec

SHOWN = 40
"""Profiles that a message names."""
NOTED = 8
"""Profiles that a note names: the text of a lock has its limits."""


@dataclass
class Need:
    """What NIMs need of one version of a model: these files, or all of them."""

    model: NgcEntry
    files: set[str] = field(default_factory=set)
    whole: bool = False
    why: list[str] = field(default_factory=list)

    def refused(self, error: DrayError) -> DrayError:
        """Return the error as one of the weights: NGC gives images and weights out apart."""
        images = ", ".join(sorted({why.partition(" profile ")[0] for why in self.why}))
        return _gate(f"the image can be had, but not the model files that {images} needs", error)


@dataclass
class Nims:
    """Collects what the NIMs of a run need; images are read in parallel."""

    spec: Spec
    needs: dict[str, Need] = field(default_factory=dict)
    _mutex: Mutex = field(default_factory=Mutex)

    def image(
        self, entry: NimEntry, pin: Callable[[], LockedArtifact], reader: NimReader
    ) -> LockedArtifact:
        """Return the image of a NIM, its profiles noted; what they need is kept for later.

        Raises what ``pin`` and ``reader`` raise, told as a failure of the image: that a key may
        pull it says nothing about the weights. :class:`SourceError` lists the profiles there are
        when one that is wanted is not among them.
        """
        try:
            pinned = pin()
            profiles = reader.profiles(pinned)
        except DrayError as error:
            raise _gate(f"the image of the NIM {entry.image.name} cannot be had", error) from None
        chosen = _chosen(entry, profiles)
        self._keep(entry, chosen)
        ids = _listed([f"profile {profile.id}" for profile in chosen], NOTED)
        notes = {**pinned.artifact.notes, "nim": ids}
        return replace(pinned, artifact=replace(pinned.artifact, notes=notes))

    def _keep(self, entry: NimEntry, chosen: Sequence[Profile]) -> None:
        with self._mutex:
            for profile in chosen:
                for found in profile.weights:
                    model = NgcEntry("model", *found[:4], where=entry.where)
                    need = self.needs.setdefault(str(model), Need(model))
                    need.files.add(found.file)
                    need.whole = need.whole or not found.file
                    why = f"{entry.image.name} profile {profile.id}"
                    if why not in need.why:
                        need.why.append(why)

    def wanted(self) -> list[Need]:
        """Return what to carry, by name; a model that the spec names is left to its own entry."""
        named = {str(model) for model in self.spec.models}
        return [need for name, need in sorted(self.needs.items()) if name not in named]

    def weights(self, need: Need, source: NgcSource) -> list[LockedArtifact]:
        """Return the model with the files needed, and the note that says for what.

        Raises what ``source`` raises, told as a failure of the weights.
        """
        try:
            found = source.resolve(need.model, only=None if need.whole else frozenset(need.files))
        except DrayError as error:
            raise need.refused(error) from None
        notes = {**found.artifact.notes, "nim": _listed(sorted(need.why), NOTED)}
        return [replace(found, artifact=replace(found.artifact, notes=notes))]


def _chosen(entry: NimEntry, profiles: Sequence[Profile]) -> tuple[Profile, ...]:
    try:
        chosen = nim_manifest.select(profiles, entry.profiles)
    except ValueError as fault:
        there = _listed([str(profile) for profile in profiles]) or "none"
        raise SourceError(
            f"{entry.where}: {entry.image.name}: {fault}",
            hint=f"profiles: takes ids, tags such as {{gpu: …}}, and auto; there are: {there}",
        ) from None
    for profile in chosen:
        if profile.foreign:
            raise SourceError(
                f"{entry.where}: profile {profile.id} of {entry.image.name} needs a file that is"
                f" not of NGC: {profile.foreign[0].partition('?')[0][:200]!r}",
                hint="choose another profile; carry models of Hugging Face with hf:",
            )
    return chosen


def _gate(what: str, error: DrayError) -> DrayError:
    return type(error)(f"{what}: {error.message}", hint=error.hint, case=error.case)


def _listed(names: Sequence[str], most: int = SHOWN) -> str:
    more = f"; and {counted(len(names) - most, 'other')}" if len(names) > most else ""
    return "; ".join(names[:most]) + more
