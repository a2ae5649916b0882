"""Builds small, real bundles in milliseconds: contents in memory, the product's own code, a key.

What is built can be told lies about: :meth:`Bundle.lie` changes the manifest and signs it again, as
somebody would who holds the key.
"""

from __future__ import annotations

import hashlib
import json
import threading
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from unittest import mock

from bundle import instant
from bundle.artifact import Artifact, Content
from bundle.decode import compact_json, dump_json
from bundle.digest import Digest
from bundle.manifest import Manifest, bundle_name
from bundle.quorum import Stream
from bundler import chunkkeys, packing, spread
from bundler.export import Export
from bundler.finish import finish
from bundler.journal import Journal
from bundler.lock import Lock, LockedArtifact, LockedContent, Origin
from bundler.paritystage import unlink_rows
from bundler.plan import Options, make
from bundler.sources import fileset
from tests import keys

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from bundle.signature import PublicKey
    from bundler.delta import Delta
    from bundler.signing import Signer
    from bundler.sources.base import OpenAt

STREAM = "prod"
CHUNK = 16 << 10
"""Bytes of a chunk: small, so that a few kilobytes of content are cut."""
SIGNER = "dray"
SECOND = "second"
STRANGER = "stranger"
YEAR = timedelta(days=365)
_EXPIRES = instant.now() + YEAR
"""When trust files expire: of the same signers all have the same bytes, as one that is copied."""
_LAYER = "application/vnd.oci.image.layer.v1.tar"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"


class Contents(dict[Digest, bytes]):
    """Bytes by digest."""

    def add(self, data: bytes) -> Digest:
        """Keep ``data`` and return its digest."""
        digest = Digest.of(data)
        self[digest] = data
        return digest

    def opener(self, _artifact: LockedArtifact, content: LockedContent) -> OpenAt:
        """Open a content at an offset."""
        data = self[content.content.digest]
        return lambda offset, end=None: nullcontext(iter([data[offset:end]]))


def noise(seed: str, size: int) -> bytes:
    """Return incompressible bytes that ``seed`` determines."""
    return hashlib.shake_128(seed.encode()).digest(size)


def image(kept: Contents, name: str, layers: Sequence[bytes]) -> LockedArtifact:
    """Return an image of these layers; ``name`` is ``host/path:tag``."""
    config = compact_json({"architecture": "amd64", "os": "linux", "for": name})
    blobs = [("config", _CONFIG, config), *(("layer", _LAYER, layer) for layer in layers)]
    rows = [
        {"mediaType": kind, "digest": str(kept.add(data)), "size": len(data)}
        for _role, kind, data in blobs
    ]
    document = {"schemaVersion": 2, "mediaType": _MANIFEST, "config": rows[0], "layers": rows[1:]}
    root = compact_json(document)
    contents = [Content(role, kind, Digest.of(data), len(data)) for role, kind, data in blobs]
    repository, _, tag = name.rpartition(":")
    contents.append(Content("manifest", _MANIFEST, kept.add(root), len(root), tags=(tag,)))
    artifact = Artifact("image", name, repository, tag, Digest.of(root), tuple(contents))
    host, _, path = repository.partition("/")
    locked = tuple(LockedContent(content) for content in contents)
    return LockedArtifact(artifact, Origin("registry", {"host": host, "repository": path}), locked)


def model(kept: Contents, name: str, version: str, files: dict[str, bytes]) -> LockedArtifact:
    """Return an NGC model of these files."""
    identity = fileset.Identity("model", f"{name}:{version}", f"ngc/{name}", version)
    listed = [fileset.File(path, len(data), kept.add(data)) for path, data in files.items()]
    org, _, rest = name.partition("/")
    where = {"org": org, "name": rest, "version": version, "type": "models"}
    return fileset.build(identity, listed, origin=Origin("ngc", where), notes={})


def sample(kept: Contents, *, seed: str = "sample") -> tuple[LockedArtifact, ...]:
    """Return two images that share a layer, and a model with a file that no chunk holds whole."""
    shared = noise(f"{seed} shared", 5000)
    return (
        image(kept, "nvcr.io/nvidia/cuda:12.6", [shared, noise(f"{seed} cuda", 3001)]),
        image(kept, "nvcr.io/nvidia/pytorch:24.12", [shared, noise(f"{seed} torch", 9000)]),
        model(
            kept,
            "nvidia/riva",
            "1.0",
            {
                "weights/model.bin": noise(f"{seed} weights", 40_000),
                "config.json": b"{}\n",
                "README.md": f"{seed}\n".encode(),
            },
        ),
    )


def packable(kept: Contents) -> tuple[LockedArtifact, ...]:
    """Return a model whose one file is stored as Zstandard, in parts, when that is asked for."""
    text = b"".join(noise(f"row {n % 7}", 40) + b"%d\n" % n for n in range(20_000))
    return (model(kept, "nvidia/text", "1.0", {"corpus.txt": text}),)


@dataclass(frozen=True)
class Bundle:
    """A bundle in one folder or several, and the trust file that trusts its signers."""

    name: str
    folders: tuple[Path, ...]
    trust: Path

    @property
    def folder(self) -> Path:
        """The first medium's folder."""
        return self.folders[0]

    def path(self, ending: str) -> Path:
        """Return the file ``<name>.<ending>`` on the first medium."""
        return self.folder / f"{self.name}.{ending}"

    def chunk(self, number: int) -> Path:
        """Return a chunk, on whichever medium it is."""
        return next(self.folder.parent.rglob(f"{self.name}.chunk-{number:05d}.tar*"))

    @property
    def manifest(self) -> Manifest:
        """The manifest as it stands there."""
        return Manifest.from_bytes(self.path("manifest.json").read_bytes())

    def lie(self, change: Callable[[dict[str, Any]], object], *signers: str) -> None:
        """Change the manifest's document and sign the result."""
        body = json.loads(self.path("manifest.json").read_bytes())
        change(body)
        self.sign(dump_json(body), *signers)

    def sign(self, data: bytes, *signers: str) -> None:
        """Put other bytes in the place of the manifest, signed by ``signers`` alone."""
        document = f"{self.name}.manifest.json"
        for folder in self.folders:
            for old in folder.glob(f"{document}.*"):
                old.unlink()
            (folder / document).write_bytes(data)
            for name in signers or (SIGNER,):
                for file, content in keys.signer(name).files(document, data).items():
                    (folder / file).write_bytes(content)


def trust_file(path: Path, *signers: str, threshold: int = 1) -> Path:
    """Write a trust file in which ``signers`` may sign for the stream."""
    names = signers or (SIGNER,)
    stream = Stream.of(names, threshold)
    made = keys.trust(*map(keys.signer, names), streams={STREAM: stream}, expires=_EXPIRES)
    path.write_bytes(made.to_bytes())
    return path


def build(
    folder: Path,
    artifacts: Callable[[Contents], tuple[LockedArtifact, ...]] = sample,
    *,
    sequence: int = 1,
    media: tuple[int, ...] = (),
    compress: bool = False,
    parity: str = "",
    signers: Sequence[Signer] = (),
    lifetime: timedelta = YEAR,
    spec: bytes = b"spec",
    chunk_size: int = CHUNK,
    recipients: Sequence[PublicKey] = (),
    delta: Delta | None = None,
) -> Bundle:
    """Export ``artifacts`` into ``folder/<name>``, and write ``folder/trust.json``.

    With ``recipients`` the chunks are encrypted to them.
    """
    kept = Contents()
    lock = Lock(STREAM, Digest.of(spec), artifacts(kept))
    name = bundle_name(STREAM, sequence)
    with mock.patch.object(packing, "MIN_CHUNK", 1), mock.patch("os.fsync"):
        wanted = spread.parse(parity) if parity else None
        options = Options((folder,), chunk_size, media, compress, wanted, tuple(recipients), delta)
        plan = make(lock, options)
        created = instant.spell(instant.now())
        journal = Journal.open(
            plan.folder(0, name) / f"{name}.journal", plan=plan.digest, created=created
        )
        try:
            export = Export(
                plan, name, journal, kept.opener, stop=threading.Event(), on_bytes=lambda _n: None
            )
            outcome = export.run()
            assert not outcome.failures, outcome.failures
            done = finish(
                plan,
                outcome,
                signers or (keys.signer(SIGNER),),
                sequence=sequence,
                created=created,
                lifetime=lifetime,
                previous=None,
                name=name,
            )
            unlink_rows(plan, name)
            chunkkeys.discard(journal.keys)
            journal.remove()
        finally:
            journal.close()
    return Bundle(name, done.folders, trust_file(folder / "trust.json"))
