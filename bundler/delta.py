"""What the next bundle may leave out: blobs that receipts say the high side has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bundle.artifact import MANIFEST_ROLES
from bundle.errors import UsageError
from bundle.required import SMALLEST, Base, BaseBundle

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from bundle.artifact import Artifact, Content
    from bundle.digest import Digest
    from bundle.receipt import Signed
    from bundle.receiptkeys import ReceiptKeys
    from bundler.lock import Lock


@dataclass(frozen=True)
class Delta:
    """The blobs to leave out, each with where the high side has it; and the imports behind that."""

    omitted: Mapping[Digest, tuple[Base, ...]]
    bases: tuple[BaseBundle, ...]


def make(lock: Lock, receipts: Sequence[Signed], known: ReceiptKeys | None = None) -> Delta:
    """Return what ``lock`` need not bring: pure data, the same for the same lock and receipts.

    A blob is left out only when for each kind of artifact that needs it an artifact of that kind
    has it: kinds go to targets of their own. With receipts of several sites, each of them has to
    have it, for one bundle goes to all; ``known`` says which site a key is of. Manifests always
    travel, for they are what is signed upstream; so does what is small, and what no target stores
    (the OCI frame around files). Raises :class:`UsageError` for the receipt of another stream.
    """
    for found in receipts:
        if (stream := found.receipt.bundle.stream) != lock.stream:
            raise UsageError(
                f"the receipt of {found.receipt.bundle.name} is of the stream {stream}, "
                f"and this spec's is {lock.stream}",
                hint="take one of the last import of this stream",
            )
        if not found.receipt.held:
            raise UsageError(
                f"the receipt of {found.receipt.bundle.name} says that nothing was loaded "
                f"({found.receipt.outcome})",
                hint="take one of an import that was done: dray receipt list on the high side",
            )
    sites = [_held(found) for found in _by_site(receipts, known)]
    omitted: dict[Digest, tuple[Base, ...]] = {}
    for digest, kinds in _needed(locked.artifact for locked in lock.artifacts).items():
        if all((kind, digest) in held for held in sites for kind in kinds):
            bases = [held[kind, digest] for kind in sorted(kinds) for held in sites]
            omitted[digest] = tuple(dict.fromkeys(bases))
    used = {base.bundle for bases in omitted.values() for base in bases}
    return Delta(omitted, tuple(dict.fromkeys(_bundles(receipts, used))))


def _by_site(receipts: Sequence[Signed], known: ReceiptKeys | None) -> list[list[Signed]]:
    """Return the receipts of each site: whose key signed them, or which host claims to have."""
    found: dict[str, list[Signed]] = {}
    for signed in receipts:
        site = f"host {signed.receipt.by.get('host', '')}"
        if signed.key:
            site = (known.site(signed.key) if known else "") or str(signed.key.fingerprint)
        found.setdefault(site, []).append(signed)
    return [sites for _site, sites in sorted(found.items())]


def _held(receipts: Sequence[Signed]) -> dict[tuple[str, Digest], Base]:
    """Return where one site has each blob; by the newest receipt, then by name.

    What a newer receipt has at the same place has taken the place of what an older one had there.
    """
    found: dict[tuple[str, Digest], Base] = {}
    taken: dict[tuple[str, str], Digest] = {}
    for signed in sorted(receipts, key=_newest_first):
        name = signed.receipt.bundle.name
        for entry in sorted(signed.receipt.held, key=lambda entry: entry.artifact.name):
            root = entry.artifact.root
            if taken.setdefault((entry.target, entry.place), root) != root:
                continue
            for content in _stored(entry.artifact):
                base = _base(entry.artifact, content.path, name)
                found.setdefault((entry.artifact.kind, content.digest), base)
    return found


def _base(artifact: Artifact, path: str, bundle: str) -> Base:
    return Base(
        artifact.name, artifact.kind, artifact.repository, artifact.version, path, bundle=bundle
    )


def _newest_first(signed: Signed) -> tuple[float, int, int, str]:
    one = signed.receipt.bundle
    return (-signed.receipt.ended.timestamp(), -one.epoch, -one.sequence, signed.digest)


def _needed(artifacts: Iterable[Artifact]) -> dict[Digest, set[str]]:
    """Return the kinds that need each blob that could be left out."""
    found: dict[Digest, set[str]] = {}
    never: set[Digest] = set()
    for artifact in artifacts:
        may = {content.digest for content in _stored(artifact)}
        for content in artifact.contents:
            if content.digest in may:
                found.setdefault(content.digest, set()).add(artifact.kind)
            else:
                never.add(content.digest)
    return {digest: kinds for digest, kinds in sorted(found.items()) if digest not in never}


def _stored(artifact: Artifact) -> Iterator[Content]:
    """Yield what every target of the artifact's kind stores, and is worth leaving out."""
    has_files = any(artifact.files)
    for content in artifact.contents:
        if content.role in MANIFEST_ROLES or content.size < SMALLEST:
            continue
        if not has_files or content.role == "file":
            yield content


def _bundles(receipts: Sequence[Signed], used: set[str]) -> Iterator[BaseBundle]:
    for signed in sorted(receipts, key=_newest_first):
        one = signed.receipt.bundle
        if one.name in used:
            yield BaseBundle(one.name, one.manifest, signed.digest)
