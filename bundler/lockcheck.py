"""Asks the upstreams whether they still have what a lock pins; nothing is fetched or written."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bundle.artifact import MANIFEST_ROLES
from bundle.errors import DrayError, NotFound, SourceError, UsageError
from bundle.progress import counted
from bundler import oci
from bundler.filecheck import OK, Found, check_https, check_hub, check_ngc
from bundler.ngcnames import LATEST
from bundler.sources.ngc_api import Item
from bundler.tagpattern import TagPattern

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bundle.digest import Digest
    from bundler.entries import ImageEntry, NgcEntry
    from bundler.lock import Lock, LockedArtifact
    from bundler.resolve import Upstreams
    from bundler.spec import Spec

NEWS: Final = ("moved", "newer", "deprecated")
"""The lock still holds, and there is something else to be had."""
BAD: Final = ("vanished", "unknown")
"""The lock may not be exported any more, or nobody knows."""
PARALLEL: Final = 8


@dataclass(frozen=True, slots=True)
class Row:
    """What became of an artifact; ``why`` is a sentence, and ``now`` the digest there is today."""

    kind: str
    name: str
    status: str
    why: str = ""
    now: str = ""

    def to_dict(self) -> dict[str, str]:
        """Return the row as ``--json`` prints it."""
        body = {"kind": self.kind, "artifact": self.name, "status": self.status}
        return body | {key: text for key, text in (("why", self.why), ("now", self.now)) if text}


def check(lock: Lock, spec: Spec, upstreams: Upstreams) -> list[Row]:
    """Return a row for each artifact of the lock, and for each new tag that a pattern takes.

    Everything is tried; what cannot be asked is a row too.
    """
    known = {locked.artifact.name for locked in lock.artifacts}
    patterns = [entry for entry in spec.images if entry.tags]
    labels = [e for e in (*spec.models, *spec.resources) if e.version == LATEST]
    upstreams.ready()
    with ThreadPoolExecutor(PARALLEL, "check") as pool:
        rows = list(pool.map(lambda locked: _row(locked, upstreams), lock.artifacts))
        newer = pool.map(lambda entry: _newer(entry, known, upstreams), patterns)
        labelled = pool.map(lambda entry: _label(entry, known, upstreams), labels)
        return rows + [row for found in (*newer, *labelled) for row in found]


def failure(rows: Sequence[Row], *, strict: bool) -> DrayError | None:
    """Return the error that the command ends with, if any; ``strict`` counts news as well."""
    bad = [row for row in rows if row.status in (BAD + NEWS if strict else BAD)]
    if not bad:
        return None
    counts = {status: sum(row.status == status for row in bad) for status in BAD + NEWS}
    said = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
    hint = "nothing was changed; dray lock --update resolves the spec anew"
    if counts["vanished"]:
        hint = "what has vanished is only in the bundles that hold it; name another version"
    elif counts["unknown"]:
        hint = "the rows say why; run again when the upstreams answer"
    return SourceError(f"upstream is not as the lock says: {said}", hint=hint)


def describe(rows: Sequence[Row]) -> list[str]:
    """Return the rows as a table, those that are not ok with their reason."""
    lines = []
    for row in rows:
        why = f"  ({row.why})" if row.why else ""
        lines.append(f"{row.status:11}{row.kind:9}{row.name}{why}")
    good = sum(row.status == OK for row in rows)
    return [*lines, f"{counted(len(rows), 'row')}, {good} ok"]


def _row(locked: LockedArtifact, upstreams: Upstreams) -> Row:
    artifact, kind = locked.artifact, locked.origin.type
    ways: dict[str, Callable[[], Found]] = {
        "registry": lambda: _registry(locked, upstreams),
        "helm": lambda: _helm(locked, upstreams),
        "ngc": lambda: check_ngc(locked, upstreams),
        "https": lambda: check_https(locked, upstreams),
        "huggingface": lambda: check_hub(locked, upstreams),
    }
    try:
        found = ways[kind]()
    except DrayError as error:
        found = _failed(error)
    return Row(artifact.kind, artifact.name, found.status, found.why, found.now)


def _failed(error: DrayError) -> Found:
    why = f"{error.message}; {error.hint}" if error.hint else error.message
    return Found("vanished" if isinstance(error, NotFound) else "unknown", why)


def _newer(entry: ImageEntry, known: set[str], upstreams: Upstreams) -> list[Row]:
    host, _, repository = entry.name.partition("/")
    try:
        tags = TagPattern.parse(entry.tags).select(upstreams.registries.tags(host, repository))
    except DrayError as error:
        # The repository's own tags have rows: this one is about the question that got no answer.
        return [Row("image", f"{entry.name} {entry.tags}", "unknown", _failed(error).why)]
    names = [f"{entry.name}:{tag}" for tag in tags]
    why = f"matches {entry.tags!r} and is not in the lock"
    return [Row("image", name, "newer", why) for name in names if name not in known]


def _label(entry: NgcEntry, known: set[str], upstreams: Upstreams) -> list[Row]:
    """Return a row when NGC calls another version the latest than the one in the lock."""
    try:
        now = upstreams.ngc.exact(Item.named(entry))
    except DrayError as error:
        return [Row(entry.kind, f"ngc/{entry}", "unknown", _failed(error).why)]
    name = f"ngc/{now.address}:{now.version}"
    why = f"is what {LATEST!r} stands for now"
    return [] if name in known else [Row(entry.kind, name, "newer", why)]


# -- images and charts in registries --------------------------------------------------------------


def _registry(locked: LockedArtifact, upstreams: Upstreams) -> Found:
    """Compare the tag's digest, and ask for every manifest that is pinned by its digest."""
    artifact, where = locked.artifact, locked.origin.where
    registry, repository = upstreams.registry(where["host"]), where["repository"]
    for source in locked.contents:
        content = source.content
        if content.role not in MANIFEST_ROLES or source.text is not None:
            continue  # evidence is in the lock: it was never there
        if registry.has_manifest(repository, content.digest) is None:
            what = "its digest" if content.digest == artifact.root else f"{content.digest} of it"
            return Found("vanished", f"{what} is gone: the locked bytes cannot be had there")
    tags = next(c.tags for c in artifact.contents if c.digest == artifact.root)
    if not tags or "@" in artifact.name:
        return Found()  # pinned by its digest: what a tag does is of no concern
    try:
        now = registry.resolve(repository, tags[0])
    except NotFound:
        return Found("vanished", f"the tag {tags[0]} is gone; the locked digest is still there")
    if now.digest == artifact.root or _inside(artifact.root, now.digest, locked, upstreams):
        return Found()
    return Found("moved", f"the tag {tags[0]} names other bytes now", str(now.digest))


def _inside(root: Digest, index: Digest, locked: LockedArtifact, upstreams: Upstreams) -> bool:
    """Whether the lock carries one child, bare, of the index that the tag names."""
    where = locked.origin.where
    registry = upstreams.registry(where["host"])
    found, data = registry.manifest(where["repository"], index)
    parsed = oci.parse(data, found.media_type, locked.artifact.name)
    return any(child.descriptor.digest == root for child in parsed.children)


# -- charts of classic repositories ---------------------------------------------------------------


def _helm(locked: LockedArtifact, upstreams: Upstreams) -> Found:
    """Compare the index with the archive that is pinned."""
    where, version = locked.origin.where, locked.artifact.version
    release = upstreams.helm.release(where["repo"], where["chart"], version)
    archive = next((item for item in locked.contents if item.content.role == "layer"), None)
    if archive is None:
        raise UsageError(f"{locked.artifact.name}: the lock has no archive of it")
    if release.digest and release.digest != archive.content.digest:
        return Found("moved", "the same version has other bytes now", str(release.digest))
    upstreams.helm.probe(release, where["repo"])
    if release.deprecated:
        return Found("deprecated", "its repository marks this version as deprecated")
    if not release.digest:
        return Found(why="the index gives no digest: only that it is there was looked at")
    return Found()
