"""An image without pulling it: NGC's view, the token, the manifest, one byte through the CDN."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bundle.errors import DrayError, NotFound, SourceError
from bundler import oci
from bundler.doctor.findings import ACCESS, BYTES, SEEN, VERSION
from bundler.sources.ngc_answers import status_of
from bundler.sources.ngc_api import Item as NgcItem
from bundler.sources.ngc_api import StatusError
from bundler.sources.ngc_registry import NVCR
from bundler.tagpattern import TagPattern

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bundle.digest import Descriptor, Digest
    from bundle.registry import Registry
    from bundler.doctor.findings import Item
    from bundler.oci import Parsed
    from bundler.resolve import Upstreams


@dataclass(frozen=True)
class Wanted:
    """What is asked of a registry: ``name`` is ``host/path[:tag][@digest]``, or has a pattern.

    ``platforms`` are those wanted, none for all. ``locked`` are the digests that the spec's lock
    has, by name.
    """

    name: str
    platforms: tuple[str, ...]
    locked: Mapping[str, Digest]
    pattern: str = ""

    @property
    def parts(self) -> tuple[str, str, str]:
        """Host, repository, and tag or digest."""
        host, _, rest = self.name.partition("/")
        path, _, digest = rest.partition("@")
        repository, _, tag = path.partition(":")
        return host, repository, digest or tag


def probe(item: Item, wanted: Wanted, upstreams: Upstreams) -> None:
    """Ask for everything that a pull asks for, but one byte of one layer."""
    host, repository, _reference = wanted.parts
    try:
        registry = upstreams.registry(host)
    except DrayError as error:
        item.fail(ACCESS, error)
        return
    refusal = _seen(item, repository, upstreams) if host == NVCR else None
    if host != NVCR:
        item.skip(SEEN, "only NGC has a catalogue")
    try:
        if wanted.pattern:
            _every_tag(item, wanted, registry)
        else:
            _one(item, wanted, registry)
    except DrayError as error:
        item.fail(VERSION if ACCESS in item.found else ACCESS, error)
        return
    if refusal:
        note = f"the catalogue refuses it ({refusal.status}), though the registry gives it"
        item.warn(SEEN, note)


def _seen(item: Item, repository: str, upstreams: Upstreams) -> StatusError | None:
    """Ask the catalogue whether the caller sees the repository; a refusal is judged later."""
    words = repository.split("/")
    if len(words) not in {2, 3}:
        item.skip(SEEN, "no name that the catalogue has")
        return None
    named = NgcItem("repos", words[0], words[1] if len(words) == 3 else "", words[-1], "")
    api = upstreams.ngc.api
    try:
        body = api.get(named, named.path(guest=api.guest), {"resolve-labels": "false"})
    except StatusError as refused:
        item.fail(SEEN, refused.error)
        return refused
    except SourceError as error:
        item.skip(SEEN, error.message)
        return None
    products = body.get("productNames")
    said = ", ".join(str(name)[:60] for name in products) if isinstance(products, list) else ""
    item.ok(SEEN, f"part of {said}" if said else "", request=status_of(body)[2][:80])
    return None


def _every_tag(item: Item, wanted: Wanted, registry: Registry) -> None:
    _host, repository, _ = wanted.parts
    tags = registry.tags(repository)
    if not tags:
        raise SourceError(
            f"{wanted.name} lists no tags at all",
            hint="an empty answer is no success: is the org's short name right (not the one that "
            "is shown), and has the key a right to it?",
            case="empty",
        )
    item.ok(ACCESS)
    chosen = TagPattern.parse(wanted.pattern).select(tags)
    if not chosen:
        shown = [tag for tag in tags if not tag.startswith("sha256-")][-5:]
        raise NotFound(
            f"no tag of {wanted.name} matches {wanted.pattern!r}",
            hint=f"it has {len(tags)} tags, such as {', '.join(shown)}",
            case="gone",
        )
    for tag in chosen:
        _one(item, Wanted(f"{wanted.name}:{tag}", wanted.platforms, wanted.locked), registry)
    item.ok(VERSION, f"{len(chosen)} tags: {', '.join(chosen[:5])}")


def _one(item: Item, wanted: Wanted, registry: Registry) -> None:
    _host, repository, reference = wanted.parts
    try:
        found, data = registry.manifest(repository, reference)
    except NotFound as error:
        if error.case in {"gone", ""}:
            item.ok(ACCESS)
            _gone(item, wanted, registry, error)
            return
        raise
    item.ok(ACCESS)
    parsed = oci.parse(data, found.media_type, wanted.name)
    chosen = _chosen(item, parsed, found, wanted, registry)
    item.ok(VERSION, str(found.digest))
    _moved(item, wanted, registry, {found.digest, *(child.digest for child, _ in chosen)})
    for _, image in chosen:
        blobs = [*image.layers, *([image.config] if image.config else [])]
        item.size |= {str(blob.digest): blob.size for blob in blobs}
    _byte(item, repository, [image for _, image in chosen], registry)


def _chosen(
    item: Item, parsed: Parsed, found: Descriptor, wanted: Wanted, registry: Registry
) -> list[tuple[Descriptor, Parsed]]:
    """Return the manifests that would be carried."""
    if not parsed.is_index:
        return [(found, parsed)]
    running = [child for child in parsed.children if child.runs]
    taken = [child for child in running if _wants(wanted.platforms, child.platform)]
    if not taken:
        has = ", ".join(sorted(child.platform for child in running)) or "none"
        raise SourceError(
            f"{wanted.name} has no {', '.join(wanted.platforms)}; it has {has}",
            hint="choose one of those in `platforms`, for this image or for the whole spec",
            case="platform",
        )
    if len(taken) > 1:
        taken = running  # the index is carried whole
    _host, repository, _ = wanted.parts
    chosen = []
    for child in taken:
        _, data = registry.manifest(repository, child.descriptor.digest)
        inner = oci.parse(data, child.descriptor.media_type, wanted.name)
        chosen.append((child.descriptor, inner))
    return chosen


def _wants(platforms: tuple[str, ...], platform: str) -> bool:
    return not platforms or any(platform == p or platform.startswith(p + "/") for p in platforms)


def _gone(item: Item, wanted: Wanted, registry: Registry, error: NotFound) -> None:
    """Tell a tag that is gone, and whether what the lock pins is still there."""
    _host, repository, reference = wanted.parts
    pinned = wanted.locked.get(wanted.name)
    if pinned is None or pinned == reference:
        item.fail(VERSION, error)
        return
    if registry.has_manifest(repository, pinned):
        item.warn(
            VERSION,
            f"{error.message}; the lock has {pinned}, which is still there",
            f"export goes on; for later, write @{pinned} in the spec. {error.hint}",
            case="gone",
        )
        return
    message = f"{error.message}; the lock has {pinned}, which is gone as well"
    item.fail(VERSION, NotFound(message, hint=error.hint, case="gone"))


def _moved(item: Item, wanted: Wanted, registry: Registry, there: set[Digest]) -> None:
    _host, repository, _ = wanted.parts
    pinned = wanted.locked.get(wanted.name)
    if pinned is None or pinned in there:
        return
    if registry.has_manifest(repository, pinned):
        note = f"the tag has moved since the lock, which has {pinned}: that is still there"
        item.warn(VERSION, note, "dray lock --update takes the new one", case="moved")
        return
    raise NotFound(
        f"{wanted.name} has moved, and {pinned} of the lock is gone upstream",
        hint="an older bundle has it; or take the new one: dray lock --update",
        case="gone",
    )


def _byte(item: Item, repository: str, images: list[Parsed], registry: Registry) -> None:
    """Read the first byte of the largest layer, from wherever the registry redirects to."""
    blobs = [layer for image in images for layer in image.layers]
    if not blobs:
        item.skip(BYTES, "it has no layers")
        return
    blob = max(blobs, key=lambda layer: layer.size)
    http, what = registry.http, f"blob {blob.digest.short}"

    def first() -> int:
        with ExitStack() as stack:
            access = registry.api.access(what, repository)
            url = registry.api.url(repository, f"blobs/{blob.digest}")
            opened = stack.enter_context(http.stream(url, offset=0, end=1, access=access))
            return sum(len(block) for block in opened)

    try:
        if http.persist(first) != 1 and blob.size:
            raise SourceError(f"{what} of {registry.host}/{repository} is empty there")
    except DrayError as error:
        item.fail(BYTES, error)
        return
    item.ok(BYTES)
