"""Where copies of ledgers lie in a target: small named files in a folder, a bucket, a registry.

Each host writes only files of its own name, so that two hosts never write the same one. Nothing on
a shelf is proved: whoever may write to the target may write there.
"""

from __future__ import annotations

import os
import re
from functools import partial
from typing import TYPE_CHECKING, Protocol

from bundle.decode import compact_json, parse_json
from bundle.digest import Descriptor, Digest, verified
from bundle.errors import TargetError, VerificationError
from importer.targets.tree import AbsentError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from bundle.registry import Registry
    from importer.targets.bucket import Bucket, Version
    from importer.targets.tree import Tree

PLACE = ".dray/ledger"
REPOSITORY = "dray/ledger"
FILE = r"[0-9a-f]{32}\.(?:json|jsonl)"
MOST = 2000
"""Files that are listed at most: two for each host."""
EARLIER = 8
"""Earlier versions of a file that are read: one that was put back has the true one behind it."""
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_EMPTY = "application/vnd.oci.empty.v1+json"
_TYPE = "application/vnd.dray.ledger.v1"


class Shelf(Protocol):
    """Small files by name, which matches :data:`FILE`. Failures are :class:`TargetError`."""

    label: str

    def names(self) -> list[str]:
        """Return the names that are there, sorted; nothing where there never was a ledger."""
        ...

    def read(self, name: str, limit: int) -> bytes | None:
        """Return a file of at most ``limit`` bytes, or None when it is not there."""
        ...

    def write(self, name: str, data: bytes) -> None:
        """Write a file whole, replacing one."""
        ...

    def earlier(self, name: str, limit: int) -> list[tuple[str, bytes]]:
        """Return what a file was before, the latest first: what the store calls it, and its bytes.

        Nothing where no versions are kept, or they may not be read; no more than :data:`EARLIER`.
        """
        ...


def _sorted(names: Iterable[str], label: str) -> list[str]:
    found = sorted(name for name in names if re.fullmatch(FILE, name))
    if len(found) > MOST:
        raise TargetError(
            f"{label} holds {len(found)} files of ledgers", hint="remove those of hosts long gone"
        )
    return found


class _Unversioned:
    def earlier(self, _name: str, _limit: int) -> list[tuple[str, bytes]]:
        """Return nothing: what was replaced is gone."""
        return []


class FolderShelf(_Unversioned):
    """Files in ``.dray/ledger`` of a folder; satisfies :class:`Shelf`."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self.label = str(tree.root / PLACE)

    def names(self) -> list[str]:
        """Return the names."""
        if not self._tree.root.is_dir():
            return []
        try:
            with self._tree.folder(PLACE) as handle:
                return _sorted(os.listdir(handle), self.label)  # noqa: PTH208  (of a handle)
        except AbsentError:
            return []

    def read(self, name: str, limit: int) -> bytes | None:
        """Return a file."""
        return self._tree.read(f"{PLACE}/{name}", limit)

    def write(self, name: str, data: bytes) -> None:
        """Write a file."""
        self._tree.write(f"{PLACE}/{name}", data, through=f".dray/partial/{name}")


class BucketShelf:
    """Objects below ``.dray/ledger/``; satisfies :class:`Shelf`."""

    def __init__(self, bucket: Bucket, prefix: str) -> None:
        self._bucket = bucket
        self._prefix = f"{prefix}/{PLACE}/".lstrip("/")
        self.label = f"s3://{bucket.store.bucket}/{self._prefix}".rstrip("/")

    def names(self) -> list[str]:
        """Return the names, also of what a delete marker hides."""
        found = set(self._bucket.keys(self._prefix, MOST + 1))
        found |= {version.key for version in self._versions(self._prefix, 2 * MOST)}
        return _sorted((key.removeprefix(self._prefix) for key in found), self.label)

    def earlier(self, name: str, limit: int) -> list[tuple[str, bytes]]:
        """Return versions of an object that are no longer the one that is read."""
        found: list[tuple[str, bytes]] = []
        for version in self._versions(self._prefix + name, EARLIER):
            if version.key != self._prefix + name or version.latest or version.deleted:
                continue
            data = self._bucket.read(version.key, limit, version.id)
            if data is not None:
                found.append((version.id, data))
        return found[:EARLIER]

    def _versions(self, prefix: str, most: int) -> list[Version]:
        try:
            return [one for one in self._bucket.versions(prefix, most) if one.id != "null"]
        except TargetError as error:
            if error.case in {"denied", "NotImplemented", "MethodNotAllowed"}:
                return []
            raise

    def read(self, name: str, limit: int) -> bytes | None:
        """Return an object."""
        return self._bucket.read(self._prefix + name, limit)

    def write(self, name: str, data: bytes) -> None:
        """Write an object; a legal hold would keep every copy for ever, so there is none on it."""
        self._bucket.write(self._prefix + name, data, hold=False)


class RegistryShelf(_Unversioned):
    """Tags of the repository ``dray/ledger``, one artifact of one layer each; a :class:`Shelf`."""

    def __init__(self, registry: Registry, prefix: str) -> None:
        self._registry = registry
        self._repository = f"{prefix}/{REPOSITORY}".lstrip("/")
        self.label = f"{registry.host}/{self._repository}"

    def names(self) -> list[str]:
        """Return the tags."""
        if not self._registry.has_tags(self._repository):
            return []
        return _sorted(self._registry.tags(self._repository), self.label)

    def read(self, name: str, limit: int) -> bytes | None:
        """Return the layer of a tag's artifact."""
        if self._registry.has_manifest(self._repository, name) is None:
            return None
        try:
            _descriptor, manifest = self._registry.manifest(self._repository, name)
            layer = self._layer(manifest, name, limit)
            return self._registry.http.persist(partial(self._bytes, name, layer))
        except VerificationError as error:
            raise TargetError(error.message, hint=error.hint) from None

    def _bytes(self, name: str, layer: Descriptor) -> bytes:
        with self._registry.opener(self._repository, layer)(0) as blocks:
            what = f"{self.label}:{name}"
            return b"".join(verified(blocks, digest=layer.digest, size=layer.size, what=what))

    def _layer(self, manifest: bytes, name: str, limit: int) -> Descriptor:
        try:
            document = parse_json(manifest, limit=1 << 20)
            (layer,) = document["layers"]  # type: ignore[index]
            digest, size = Digest(layer["digest"]), int(layer["size"])
        except (ValueError, TypeError, LookupError):
            raise TargetError(f"{self.label}:{name} is no copy of a ledger") from None
        if not 0 <= size <= limit:
            raise TargetError(f"{self.label}:{name} is longer than {limit} bytes")
        return Descriptor(_TYPE, digest, size)

    def write(self, name: str, data: bytes) -> None:
        """Push the artifact, then its tag."""
        config = Descriptor(_EMPTY, Digest.of(b"{}"), 2)
        layer = Descriptor(_TYPE, Digest.of(data), len(data))
        for descriptor, content in ((config, b"{}"), (layer, data)):
            if not self._registry.has_blob(self._repository, descriptor.digest):
                self._registry.put_blob(self._repository, descriptor, partial(_blocks, content))
        document = {"schemaVersion": 2, "mediaType": _MANIFEST, "artifactType": _TYPE}
        rows = [
            {"mediaType": d.media_type, "digest": str(d.digest), "size": d.size}
            for d in (config, layer)
        ]
        manifest = compact_json({**document, "config": rows[0], "layers": rows[1:]})
        self._registry.put_manifest(self._repository, name, manifest, _MANIFEST)


def _blocks(data: bytes) -> Iterator[bytes]:
    return iter((data,))
