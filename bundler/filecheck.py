"""Compares the files that a lock pins with what their upstream lists today; reads none of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from bundle.digest import Digest
from bundle.errors import UsageError
from bundler.sources.ngc_api import Item

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bundler.lock import LockedArtifact
    from bundler.resolve import Upstreams

OK: Final = "ok"


@dataclass(frozen=True, slots=True)
class Found:
    """What became of an artifact; ``why`` is a sentence, ``now`` the digest there is today."""

    status: str = OK
    why: str = ""
    now: str = ""


class _Listed(Protocol):
    @property
    def path(self) -> str: ...
    @property
    def size(self) -> int: ...


def check_ngc(locked: LockedArtifact, upstreams: Upstreams) -> Found:
    """Compare a version of a model or resource with NGC's list of its files.

    Raises what NGC's refusal means (:class:`bundle.errors.NotFound` when it is gone).
    """
    item = Item.of(locked.origin)
    listed = upstreams.ngc.files(item)
    digests = {file.path: file.digest for file in listed if file.digest}
    whole = "partial" not in locked.artifact.notes
    found = _compared(locked, listed, digests, whole=whole)
    return found if found.status != OK else _signature(locked, item, upstreams)


def _signature(locked: LockedArtifact, item: Item, upstreams: Upstreams) -> Found:
    """Compare the publisher's signature, of a few kilobytes, with the one that is pinned."""
    pinned = locked.artifact.signature
    if not upstreams.ngc.is_signed(item):
        return Found("vanished", "it is not signed any more") if pinned else Found()
    if pinned is None:
        return Found("moved", "it is signed now, and the lock has no signature of it")
    now = Digest.of(upstreams.ngc.signature(item))
    if now != pinned.digest:
        return Found("moved", "it was signed anew: its signature has other bytes now", str(now))
    return Found()


def check_hub(locked: LockedArtifact, upstreams: Upstreams) -> Found:
    """Compare a commit with the hub's list of its files."""
    where = locked.origin.where
    listed = upstreams.huggingface.files(where["repo"], where["commit"])
    digests = {file.path: file.sha256 for file in listed if file.sha256}
    whole = "partial" not in locked.artifact.notes
    return _compared(locked, listed, digests, whole=whole)


def check_https(locked: LockedArtifact, upstreams: Upstreams) -> Found:
    """Ask a web server whether it still has files of these sizes.

    A digest is only to be had by reading the file, which the export does.
    """
    for source in locked.contents:
        if not source.url:
            continue
        size = upstreams.https.size(source.url)
        if size != source.content.size:
            return Found("moved", f"it has {size} bytes now, and {source.content.size} are locked")
    return Found()


def _compared(
    locked: LockedArtifact,
    listed: Sequence[_Listed],
    digests: Mapping[str, Digest],
    *,
    whole: bool,
) -> Found:
    pinned = {c.path: c for c in locked.artifact.contents if c.path}
    if not pinned:
        raise UsageError(f"{locked.artifact.name}: the lock has no files of it")
    there = {file.path: file for file in listed}
    if gone := sorted(pinned.keys() - there.keys()):
        return Found("vanished", f"the same version has no {gone[0]} any more")
    for path, content in pinned.items():
        digest = digests.get(path, content.digest)
        if there[path].size != content.size or digest != content.digest:
            return Found("moved", f"{path} has other bytes in the same version now", str(digest))
    if whole and (more := sorted(there.keys() - pinned.keys())):
        return Found("moved", f"the same version has a file more now: {more[0]}")
    return Found()
