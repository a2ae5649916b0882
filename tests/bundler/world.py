"""A lock of made content, an upstream in memory that can be told to fail, and exports of them."""

from __future__ import annotations

import json
import random
import tarfile
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bundle.artifact import Artifact, Content
from bundle.digest import Digest
from bundle.errors import NotFound, SourceError
from bundle.whole import Unranged
from bundler.export import Export, Outcome
from bundler.journal import Journal
from bundler.lock import Lock, LockedArtifact, LockedContent, Origin
from bundler.plan import Options, Plan, make

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from bundle.transfer import OpenRange

    Blocks = Callable[[bytes, int], Iterator[bytes]]

MIB = 1 << 20
BUNDLE = "prod-000001"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
PLAIN = "application/vnd.oci.image.layer.v1.tar"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
SPEC = Digest.of(b"spec")


def noise(seed: str, size: int) -> bytes:
    """Return bytes that no compression shrinks."""
    return random.Random(seed).randbytes(size)


def text(seed: str, size: int) -> bytes:
    """Return bytes that compression shrinks."""
    line = f"{seed} of many lines that all look much the same\n".encode()
    numbered = (b"%08d " % number + line for number in range(size // len(line) + 1))
    return b"".join(numbered)[:size]


def in_blocks(data: bytes, offset: int, size: int = 64 << 10) -> Iterator[bytes]:
    """Yield ``data`` from ``offset`` on, as a good upstream does."""
    for start in range(offset, len(data), size):
        yield data[start : start + size]


def locked(name: str, *blobs: bytes, media_type: str = LAYER) -> LockedArtifact:
    """Return an image of these layers; its one manifest is made up."""
    layers = [Content("layer", media_type, Digest.of(blob), len(blob)) for blob in blobs]
    data = json.dumps({"name": name, "layers": [str(layer.digest) for layer in layers]}).encode()
    root = Content("manifest", MANIFEST, Digest.of(data), len(data), tags=("1.0",))
    contents = (*layers, root)
    artifact = Artifact(
        "image", f"up.example/{name}:1.0", f"up.example/{name}", "1.0", root.digest, contents
    )
    origin = Origin("registry", {"host": "up.example", "repository": name})
    texts = {root.digest: data.decode()}
    return LockedArtifact(
        artifact, origin, tuple(LockedContent(c, text=texts.get(c.digest)) for c in contents)
    )


def lock(*artifacts: LockedArtifact) -> Lock:
    """Return a lock of the artifacts."""
    return Lock("prod", SPEC, artifacts)


@dataclass
class Upstream:
    """Blobs in memory. ``faults`` replaces how an artifact's blob is sent, by name and digest."""

    blobs: dict[Digest, bytes] = field(default_factory=dict)
    faults: dict[tuple[str, Digest], Blocks] = field(default_factory=dict)
    opened: list[tuple[str, Digest, int]] = field(default_factory=list)
    ranges: list[tuple[int, int | None]] = field(default_factory=list)
    unranged: bool = False
    """Answers a range with the whole."""

    @classmethod
    def of(cls, *blobs: bytes) -> Upstream:
        return cls({Digest.of(blob): blob for blob in blobs})

    def fail(self, name: str, blob: bytes, blocks: Blocks) -> None:
        self.faults[f"up.example/{name}:1.0", Digest.of(blob)] = blocks

    def opener(self, artifact: LockedArtifact, content: LockedContent) -> OpenRange:
        name, digest = artifact.artifact.name, content.content.digest

        @contextmanager
        def open_at(offset: int, end: int | None = None) -> Iterator[Iterator[bytes]]:
            self.opened.append((name, digest, offset))
            self.ranges.append((offset, end))
            if digest not in self.blobs:
                raise NotFound(f"{name} has no {digest.short}")
            if end is not None and self.unranged:
                raise Unranged
            blocks = self.faults.get((name, digest), in_blocks)
            data = self.blobs[digest]
            yield blocks(data if end is None else data[:end], offset)

        return open_at

    def bytes_asked(self) -> int:
        return sum(len(self.blobs[digest]) - offset for _name, digest, offset in self.opened)


def refuses(_data: bytes, _offset: int) -> Iterator[bytes]:
    """Fail as an upstream that says no."""
    raise SourceError("the upstream says no")


def other(data: bytes, offset: int) -> Iterator[bytes]:
    """Send other bytes of the same length."""
    return in_blocks(bytes(255 - data[0] for _ in range(1)) + data[1:], offset)


def longer(data: bytes, offset: int) -> Iterator[bytes]:
    """Send more than is pinned."""
    return in_blocks(data + b"more", offset)


class Shuffled:
    """An upstream's pace: of the blobs asked for at once, a random one is sent first."""

    def __init__(self, seed: int, workers: int, blobs: int) -> None:
        self._random, self._workers, self._left = random.Random(seed), workers, blobs
        self._waiting: set[bytes] = set()
        self._released: set[bytes] = set()
        self._changed = threading.Condition()

    def __call__(self, data: bytes, offset: int) -> Iterator[bytes]:
        with self._changed:
            self._waiting.add(data)
            if len(self._waiting) >= min(self._workers, self._left):
                self._released.add(self._random.choice(sorted(self._waiting)))
                self._changed.notify_all()
            assert self._changed.wait_for(lambda: data in self._released, timeout=20)
            self._waiting.discard(data)
            self._left -= 1
            if self._waiting and len(self._waiting) >= self._left:
                self._released.add(self._random.choice(sorted(self._waiting)))
                self._changed.notify_all()
        yield from in_blocks(data, offset)


def plan(made: Lock, *folders: Path, chunk_size: int = MIB, **options: object) -> Plan:
    """Return the plan of an export into the folders."""
    return make(made, Options(folders, chunk_size, **options))  # type: ignore[arg-type]


def journal(made: Plan) -> Journal:
    """Open the journal of an export."""
    path = made.folder(0, BUNDLE) / f"{BUNDLE}.journal"
    created = "2026-06-01T12:00:00Z"
    return Journal.open(path, plan=made.digest, created=created, placed=made.placed)


def export(
    made: Plan,
    upstream: Upstream,
    *,
    workers: int = 2,
    stop: threading.Event | None = None,
    on_bytes: Callable[[int], object] = lambda _count: None,
) -> Outcome:
    """Run an export, as the command does, up to the sealed chunks."""
    opened = journal(made)
    try:
        return Export(
            made,
            BUNDLE,
            opened,
            upstream.opener,
            stop=stop or threading.Event(),
            on_bytes=on_bytes,
            connections=(workers, workers),
        ).run()
    finally:
        opened.close()


def chunks(folder: Path) -> dict[str, Digest]:
    """Return the digest of every chunk below a folder, by name."""
    return {path.name: Digest.of(path.read_bytes()) for path in sorted(folder.rglob("*.tar"))}


def leftovers(folder: Path) -> list[str]:
    """Return the partial files below a folder."""
    return sorted(path.name for path in folder.rglob("*.partial"))


def members(folder: Path) -> dict[str, bytes]:
    """Return what ``tar`` finds in all chunks below a folder, by name."""
    found: dict[str, bytes] = {}
    for path in sorted(folder.rglob("*.tar")):
        with tarfile.open(path) as archive:
            for member in archive:
                taken = archive.extractfile(member)
                assert taken is not None
                found[member.name] = taken.read()
    return found


def content(folder: Path) -> dict[Digest, bytes]:
    """Return every blob in the chunks below a folder, cut ones joined; encoded ones left out."""
    found = members(folder)
    whole = {
        Digest("sha256:" + name.rsplit("/", 1)[1]): data
        for name, data in found.items()
        if name.startswith("blobs/sha256/")
    }
    parts: dict[Digest, bytes] = {}
    for name in sorted(found):
        if name.startswith("parts/sha256/"):
            digest = Digest("sha256:" + name.split("/")[2])
            parts[digest] = parts.get(digest, b"") + found[name]
    return whole | parts
