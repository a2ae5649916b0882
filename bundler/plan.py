"""The export's plan: every chunk, offset and medium, known before a byte is read."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from bundle import ustar
from bundle.chunks import StoredBlob, chunk_name, index_json, prefix
from bundle.decode import compact_json
from bundle.errors import UsageError
from bundle.manifest import FORMAT, Medium
from bundle.parity import DIGEST, blocks_of, parity_name
from bundle.required import REQUIRED
from bundler import spread
from bundler.geometry import ENCRYPTED, PLAIN
from bundler.packing import Packing, pack, place, room

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from bundle.digest import Digest
    from bundle.required import BaseBundle
    from bundle.signature import PublicKey
    from bundler.delta import Delta
    from bundler.geometry import Geometry
    from bundler.lock import Lock
    from bundler.spread import Parity

COMPRESSED = ("gzip", "zstd", "bzip2", "xz")


@dataclass(frozen=True)
class Options:
    """What the user chose: chunk size and capacities in bytes, folders, compression, and so on."""

    folders: tuple[Path, ...]
    chunk_size: int
    media: tuple[int, ...] = ()
    compress: bool = False
    parity: Parity | None = None
    recipients: tuple[PublicKey, ...] = ()
    delta: Delta | None = None


@dataclass(frozen=True)
class Plan:
    """Where everything goes. Pure data: computed from lock and options, reading nothing."""

    lock: Lock
    options: Options
    packing: Packing
    encode: tuple[Digest, ...]
    placed: tuple[int, ...]
    parity_placed: tuple[int, ...] = ()

    @property
    def digest(self) -> str:
        """Identifies lock and options: a journal of another plan is not gone on with."""
        identity = [FORMAT, self.lock.digest, self.options.chunk_size, list(self.options.media)]
        identity += [len(self.options.folders), self.options.compress]
        identity += [str(self.options.parity)] if self.options.parity else []
        identity += [key.fingerprint for key in self.options.recipients]
        identity += sorted(self.options.delta.omitted) if self.options.delta else []
        return hashlib.sha256(compact_json(identity)).hexdigest()

    @property
    def geometry(self) -> Geometry:
        """What members cost in a chunk's file."""
        return geometry_of(self.options)

    def chunk_name(self, bundle: str, number: int) -> str:
        """Return a chunk's file name."""
        return chunk_name(bundle, number, encrypted=bool(self.options.recipients))

    @cached_property
    def prefix(self) -> bytes:
        """The bytes at the start of every chunk."""
        return prefix(index_json(locked.artifact for locked in self.lock.artifacts))

    @property
    def blob_bytes(self) -> int:
        """Bytes of all blobs that are carried, each once."""
        return sum(self.blobs.values())

    @cached_property
    def blobs(self) -> dict[Digest, int]:
        """The sizes of the blobs that are carried."""
        return carried(self.lock, self.options)

    @property
    def bases(self) -> tuple[BaseBundle, ...]:
        """The imports that have what is left out; none when nothing is."""
        return self.options.delta.bases if self.required and self.options.delta else ()

    @property
    def required(self) -> tuple[StoredBlob, ...]:
        """The blobs that are left out, by digest."""
        delta = self.options.delta
        if delta is None:
            return ()
        rows = sorted(delta.omitted.items())
        return tuple(StoredBlob(d, self.lock.blobs[d], REQUIRED, (), bases) for d, bases in rows)

    @property
    def sizes(self) -> tuple[int, ...]:
        """The size of every chunk; of those whose size is not known, the most that it can be."""
        return (*self.packing.sizes, *self.tape_sizes)

    @property
    def parity_sizes(self) -> tuple[int, ...]:
        """The size of every parity file, or the most that it can be."""
        parity = self.options.parity
        return tuple(spread.parity_sizes(self.sizes, parity)) if parity else ()

    @property
    def spread(self) -> spread.Spread:
        """The medium of each chunk and parity file."""
        return spread.Spread(self.placed, self.parity_placed)

    @property
    def most_bytes(self) -> int:
        """Bytes of all chunks and parities; with compression, the most that they can be."""
        return sum(self.sizes) + sum(self.parity_sizes)

    @cached_property
    def tape_sizes(self) -> tuple[int, ...]:
        """The most that the chunks of encoded blobs can be: nothing shrinks, and all is cut."""
        if not self.encode:
            return ()
        cost = self.geometry.cost
        total = sum(cost(_most(self.lock.blobs[digest])) for digest in self.encode)
        free = room(self.options.chunk_size, len(self.prefix), self.geometry) - 4 * cost(0)
        overhead = self.options.chunk_size - free
        return tuple(min(free, total - at) + overhead for at in range(0, total, free))

    def folder(self, medium: int, bundle: str) -> Path:
        """Return the folder of a medium, counted from 0."""
        if len(self.options.folders) > 1:
            return self.options.folders[medium] / bundle
        base = self.options.folders[0] / bundle
        return base / f"medium-{medium + 1}" if len(self.options.media) > 1 else base

    def files(self, bundle: str) -> Iterator[tuple[str, int, int]]:
        """Yield name, size and medium, from 0, of each chunk and parity file."""
        for number, (size, medium) in enumerate(zip(self.sizes, self.placed, strict=True), start=1):
            yield self.chunk_name(bundle, number), size, medium
        for name, size, medium in self._parities(bundle):
            yield name, size, medium - 1

    def media(self, placed: Sequence[int]) -> tuple[Medium, ...]:
        """Return the manifest's list of media, given the medium of each chunk."""
        capacities = self.options.media or (0,) * max(1, len(self.options.folders))
        found: list[list[int]] = [[] for _ in capacities]
        for chunk, medium in enumerate(placed, start=1):
            found[medium].append(chunk)
        return tuple(
            Medium(number, capacity, tuple(chunks))
            for number, (capacity, chunks) in enumerate(
                zip(capacities, found, strict=True), start=1
            )
        )

    def to_dict(self, bundle: str) -> dict[str, Any]:
        """Return the plan as ``--plan --json`` prints it."""
        sizes, parities = self.sizes, self._parities(bundle)
        media = [
            {
                "medium": medium.number,
                "capacity": medium.capacity,
                "folder": str(self.folder(medium.number - 1, bundle)),
                "chunks": [self.chunk_name(bundle, number) for number in medium.chunks],
                "bytes": sum(sizes[number - 1] for number in medium.chunks)
                + sum(size for _name, size, home in parities if home == medium.number),
                "parity": [name for name, _size, home in parities if home == medium.number],
            }
            for medium in self.media(self.placed)
        ]
        body: dict[str, Any] = {"bundle": bundle, "lock": str(self.lock.digest)}
        body |= {"artifacts": len(self.lock.artifacts), "blobs": len(self.blobs)}
        body |= {"bytes": self.blob_bytes, "chunkBytes": self.most_bytes, "chunks": len(sizes)}
        body |= {"compressed": len(self.encode), **self._protection(), "media": media}
        if self.required:
            left = sum(blob.size for blob in self.required)
            body["leftOut"] = {"blobs": len(self.required), "bytes": left}
        if self.options.recipients:
            body["recipients"] = [str(key.fingerprint) for key in self.options.recipients]
        return body

    def _parities(self, bundle: str) -> list[tuple[str, int, int]]:
        """Return name, size and medium, from 1, of each parity file."""
        pairs = zip(self.parity_sizes, self.parity_placed, strict=True)
        return [
            (parity_name(bundle, number), size, medium + 1)
            for number, (size, medium) in enumerate(pairs, start=1)
        ]

    def _protection(self) -> dict[str, Any]:
        if (parity := self.options.parity) is None:
            return {}
        body: dict[str, Any] = {"chunks": parity.chunks, "files": parity.files}
        body["groups"] = len(spread.groups(len(self.sizes), parity))
        body["bytes"] = sum(self.parity_sizes)
        body["lostMedium"] = spread.is_medium_covered(self.spread, parity)
        return {"parity": body}


def make(lock: Lock, options: Options) -> Plan:
    """Plan an export; raise :class:`UsageError` when chunks or media cannot hold it."""
    sizes = carried(lock, options)
    encode = tuple(sorted(_gaining(lock) & sizes.keys())) if options.compress else ()
    start = len(prefix(index_json(locked.artifact for locked in lock.artifacts)))
    encoded = set(encode)
    whole = {digest: size for digest, size in sizes.items() if digest not in encoded}
    packing = pack(
        whole, chunk_size=options.chunk_size, prefix=start, geometry=geometry_of(options)
    )
    capacities = list(options.media) or [0] * len(options.folders)
    if len(options.folders) > 1 and not options.media:
        capacities = [_room(folder, lock.stream, options) for folder in options.folders]
    if len(options.folders) > 1 and len(capacities) != len(options.folders):
        message = f"{len(options.folders)} folders but {len(capacities)} media sizes"
        raise UsageError(message, hint="give one --media size for each --to, or none")
    plan = Plan(lock, options, packing, encode, ())
    if parity := options.parity:
        found = spread.spread(plan.sizes, parity, capacities, reserve(lock) + list_bytes(plan))
        return replace(plan, placed=found.chunks, parity_placed=found.files)
    placed = place(plan.sizes, capacities, reserve(lock))
    return replace(plan, placed=tuple(placed))


def carried(lock: Lock, options: Options) -> dict[Digest, int]:
    """Return the sizes of the blobs that are not left out."""
    omitted = options.delta.omitted if options.delta else {}
    return {digest: size for digest, size in lock.blobs.items() if digest not in omitted}


def geometry_of(options: Options) -> Geometry:
    """Return what these options make of members."""
    return ENCRYPTED if options.recipients else PLAIN


def _most(size: int) -> int:
    # Frames that do not shrink grow by a few bytes each; a header and padding for each piece.
    return size + size // 1000 + (64 << 10) + ustar.RECORD


def reserve(lock: Lock) -> int:
    """Return the bytes kept on every medium for what each of them carries: a generous estimate."""
    contents = sum(len(locked.contents) for locked in lock.artifacts)
    return (1 << 16) + 2 * len(lock.text) + 1200 * contents


def list_bytes(plan: Plan) -> int:
    """Return the bytes of a block list, twice: while an export lasts, its rows lie there too."""
    return 2 * DIGEST * sum(blocks_of(size) for size in (*plan.sizes, *plan.parity_sizes))


def _gaining(lock: Lock) -> set[Digest]:
    """Return the blobs that may shrink: no manifests, nothing small, nothing compressed already."""
    found: set[Digest] = set()
    for locked in lock.artifacts:
        for content in locked.artifact.contents:
            packed = any(word in content.media_type for word in COMPRESSED)
            if content.role in {"layer", "file"} and not packed and content.size >= 64 << 10:
                found.add(content.digest)
    return found


def _room(folder: Path, stream: str, options: Options) -> int:
    """Return the bytes that an export may fill: what is free, and what an unfinished one has."""
    try:
        state = os.statvfs(_existing(folder))
        mine = 0
        for journal in options.folders[0].glob(f"{stream}-[0-9]*/*.journal"):
            mine += sum(
                path.stat().st_blocks * 512
                for kind in ("chunk", "parity")
                for path in (folder / journal.parent.name).glob(f"*.{kind}-*")
            )
    except OSError as error:
        raise UsageError(f"{folder} cannot be read: {os.strerror(error.errno or 0)}") from None
    return max(1, state.f_bavail * state.f_frsize + mine)  # 0 would mean no limit


def check_space(plan: Plan, bundle: str) -> None:
    """Compare what is still to be written with the free space of each file system."""
    needed: dict[int, int] = {}
    where: dict[int, Path] = {}
    for name, size, medium in plan.files(bundle):
        folder = plan.folder(medium, bundle)
        device, present = _device(folder), _present(folder / name)
        needed[device] = needed.get(device, 0) + max(0, size - present)
        where.setdefault(device, folder)
    small = reserve(plan.lock) + (list_bytes(plan) if plan.options.parity else 0)
    for device, count in needed.items():
        state = os.statvfs(_existing(where[device]))
        free = state.f_bavail * state.f_frsize
        if count + small > free:
            lack = count + small - free
            message = f"{where[device]} has {free} bytes free, {lack} fewer than the export needs"
            raise UsageError(
                message, hint="free some space, or spread it with --media or more --to"
            )


def _present(path: Path) -> int:
    for candidate in (path, path.with_name(path.name + ".partial")):
        if candidate.exists():
            return candidate.stat().st_blocks * 512
    return 0


def _existing(folder: Path) -> Path:
    while not folder.exists():
        folder = folder.parent
    return folder


def _device(folder: Path) -> int:
    return _existing(folder).stat().st_dev
