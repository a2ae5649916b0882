"""The second gate of a NIM: the model files that its image asks NGC for when it starts."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from bundle.errors import DrayError
from bundler.doctor.findings import VERSION, Item
from bundler.doctor.images import Wanted
from bundler.nims import Need, Nims
from bundler.sources.images import Reference
from bundler.sources.nim import NimReader

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bundler.entries import NimEntry
    from bundler.lock import LockedArtifact
    from bundler.resolve import Upstreams
    from bundler.spec import Spec


def needs(
    spec: Spec, entries: Sequence[NimEntry], upstreams: Upstreams
) -> tuple[list[Need], list[Item]]:
    """Return the models that NIMs need, and an item for each NIM that does not say.

    Reads each image's layers from the last one on, to the file that lists its models.
    """
    nims, reader, mute = Nims(spec), NimReader(upstreams.registry), []
    for entry in entries:
        try:
            nims.image(entry, partial(_pinned, spec, entry, upstreams), reader)
        except DrayError as error:
            item = Item("weights", entry.image.name, entry.where)
            item.fail(VERSION, error)
            mute.append(item)
    return nims.wanted(), mute


def gate(need: Need) -> Callable[[DrayError], DrayError]:
    """Return what tells a refusal of these weights apart from one of the image."""

    def told(error: DrayError) -> DrayError:
        found = need.refused(error)
        found.case = "weights"
        return found

    return told


def _pinned(spec: Spec, entry: NimEntry, upstreams: Upstreams) -> LockedArtifact:
    name = entry.image.name
    host, repository, reference = Wanted(name, (), {}).parts
    tag = entry.image.reference.tag
    chosen = spec.platforms_of(entry.image)
    platforms = () if chosen == "all" else tuple(chosen)
    return upstreams.registries.resolve(
        Reference(host, repository, reference, tag, name), platforms
    )
