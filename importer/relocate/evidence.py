"""What signed receipts say is where. Of several, the last word on a name counts."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bundle.errors import UsageError, VerificationError
from bundle.receipt import unseal
from importer.relocate.world import Stored, Tree
from importer.targets.naming import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from bundle.digest import Digest
    from bundle.receipt import Entry, Signed
    from bundle.signature import PublicKey

_FOLDER = "oci:"
_S3 = "s3://"
_HOST = r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::[0-9]{1,5})?|\[[0-9a-f:]+\](?::[0-9]{1,5})?"


@dataclass
class Evidence:
    """What is where, sorted by name; ``left`` is what nobody can pull, each with the reason."""

    receipts: list[tuple[str, Digest]] = field(default_factory=list)
    stored: list[Stored] = field(default_factory=list)
    trees: list[Tree] = field(default_factory=list)
    left: list[str] = field(default_factory=list)


def read(files: Mapping[str, bytes], keys: Mapping[str, PublicKey]) -> list[Signed]:
    """Return the receipts, oldest first; raise :class:`bundle.errors.NotTrusted` for any other.

    ``files`` are their bytes by name.
    """
    found = [unseal(data, keys, what=name) for name, data in files.items()]
    found = list({one.digest: one for one in found}.values())
    return sorted(found, key=lambda one: (one.receipt.ended, one.digest))


def gather(receipts: Sequence[Signed], targets: Iterable[str]) -> Evidence:
    """Return what the receipts say is there; with ``targets``, what is at those alone.

    Raises :class:`UsageError` where one name has two places, and for a target that is in no
    receipt.
    """
    wanted = frozenset(targets)
    _check_targets(receipts, wanted)
    last: dict[str, Entry] = {}
    waiting: dict[str, Entry] = {}
    for signed in receipts:
        for entry in signed.receipt.held:
            if not wanted or entry.target in wanted:
                # What is in quarantine leaves what was promoted before in its place.
                (waiting if entry.quarantine else last)[entry.artifact.name] = entry
    found = Evidence([(one.receipt.bundle.name, one.digest) for one in receipts])
    found.left += [
        f"{name} lies in the quarantine {entry.quarantine}: no cluster is told of it before"
        " dray promote has moved it"
        for name, entry in sorted(waiting.items())
        if name not in last
    ]
    for _name, entry in sorted(last.items()):
        _place(entry, found)
    _check_places(found.stored)
    return found


def _check_targets(receipts: Sequence[Signed], wanted: frozenset[str]) -> None:
    known = {target for one in receipts for target in one.receipt.targets}
    if strange := sorted(wanted - known):
        raise UsageError(
            f"no receipt speaks of the target {strange[0]}",
            hint="they know " + (", ".join(sorted(known)) or "none"),
        )


def _place(entry: Entry, found: Evidence) -> None:
    artifact = entry.artifact
    if entry.quarantine:
        found.left.append(
            f"{artifact.name} lies in the quarantine {entry.quarantine}: nothing is led there;"
            " dray promote moves what passes, and its receipt names the place"
        )
    elif entry.place.startswith(_FOLDER):
        found.left.append(
            f"{artifact.name} lies in the folder {entry.target}: no node can pull from there;"
            " import it into a registry"
        )
    elif entry.place.startswith(_S3):
        found.trees.append(Tree(artifact, entry.target, entry.place))
    elif (stored := _stored(entry)) is not None:
        found.stored.append(stored)
    elif artifact.kind in {"image", "chart"}:
        raise VerificationError(
            f"the receipt has {artifact.name} at {entry.place[:200]!r}, which no registry has",
            hint="it was written by another version of dray, or its key was used for something"
            " else: import the bundle again",
        )
    else:
        found.trees.append(Tree(artifact, entry.target, entry.place))


def _stored(entry: Entry) -> Stored | None:
    """Return where in a registry it is: ``host/repository`` and the first tag, or the digest."""
    root = next(c for c in entry.artifact.manifests if c.digest == entry.artifact.root)
    ending = f":{root.tags[0]}" if root.tags else f"@{entry.artifact.root}"
    host, _, path = entry.place.removesuffix(ending).partition("/")
    whole = entry.place.endswith(ending) and re.fullmatch(_HOST, host)
    return Stored(entry.artifact, host, path) if whole and re.fullmatch(REPOSITORY, path) else None


def _check_places(stored: Iterable[Stored]) -> None:
    seen: dict[tuple[str, str], str] = {}
    for one in stored:
        kind, target = one.artifact.kind, one.target
        if seen.setdefault((kind, one.source), target) != target:
            raise UsageError(
                f"{one.source} is at {seen[kind, one.source]} and at {target}",
                hint="say with --target which of the targets the clusters use",
            )
