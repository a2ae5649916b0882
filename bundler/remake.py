"""Makes single chunks of a bundle again, out of its manifest and lock: the same bytes, or none."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from bundle.digest import BLOCK
from bundle.durable import sync_folder
from bundle.errors import DrayError, SourceError, VerificationError
from bundle.lockfile import held
from bundle.rebuild import Rebuild, cut, start_of
from bundle.transfer import resume
from bundler import encode
from bundler.chunkfile import ChunkFile, MediumError, medium_errors
from bundler.fetch import Stop, check, pause
from bundler.memberfile import write_all
from bundler.readback import reading_back

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from bundle.chunks import Part, StoredBlob
    from bundle.digest import Digest
    from bundle.manifest import Manifest
    from bundle.rebuild import Offer, Offers
    from bundle.shelf import Shelf
    from bundler.lock import Lock, LockedArtifact, LockedContent
    from bundler.sources.base import OpenAt

    Opener = Callable[[LockedArtifact, LockedContent], OpenAt]

WORKERS = 4


@dataclass
class Upstream:
    """Where the lock says that blobs are, as a place where parts of them may be had.

    ``genuine`` are the blobs of which the upstream had the right bytes, and whose Zstandard frames
    came out otherwise.
    """

    lock: Lock
    opener: Opener
    stop: threading.Event
    genuine: set[Digest] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Find the artifacts that have each blob."""
        self._users: dict[Digest, list[tuple[LockedArtifact, LockedContent]]] = {}
        for locked in self.lock.artifacts:
            for content in locked.contents:
                self._users.setdefault(content.content.digest, []).append((locked, content))

    def offers(self, blob: StoredBlob, number: int) -> Iterator[Offer]:
        """Yield the artifacts that have the blob, and how to get a part of it there."""
        for locked, content in self._users.get(blob.digest, ()):
            yield locked.artifact.name, partial(self._part, locked, content, blob, number)

    def _part(
        self, locked: LockedArtifact, content: LockedContent, blob: StoredBlob, number: int
    ) -> Iterator[bytes]:
        start, size = start_of(blob, number), blob.parts[number].size
        if not size:
            return
        if content.text is not None:
            yield content.text.encode()[start : start + size]
            return
        what = f"{locked.artifact.name}: {blob.digest.short}"
        open_at = self.opener(locked, content)
        if blob.encoding == "identity":
            yield from self._stream(open_at, blob, start, size, what)
        else:
            plain = self._stream(open_at, blob, 0, blob.size, what)
            yield from encoded(plain, blob, start, size, self.genuine)

    def _stream(
        self, open_at: OpenAt, blob: StoredBlob, start: int, size: int, what: str
    ) -> Iterator[bytes]:
        stream = resume(open_at, size=blob.size, start=start, what=what, sleep=pause(self.stop))
        try:
            for block in cut(stream, 0, size):
                check(self.stop)
                yield block
        finally:
            stream.close()  # lets the connection go


def encoded(
    plain: Iterator[bytes], blob: StoredBlob, start: int, size: int, genuine: set[Digest]
) -> Iterator[bytes]:
    """Yield stored bytes of a blob out of its own; note in ``genuine`` that these were right."""
    sha = hashlib.sha256()

    def hashed() -> Iterator[bytes]:
        for block in plain:
            sha.update(block)
            yield block

    frames = encode.frames(hashed())
    yield from cut((encode.compress(frame) for frame in frames), start, size)
    for _frame in frames:  # to the end: whose fault it is when the bytes are others is worth it
        pass
    if sha.hexdigest() == blob.digest.hex:
        genuine.add(blob.digest)


@dataclass
class Remake:
    """Chunks of one bundle, to be made again in ``folder``, which may hold what a run left."""

    manifest: Manifest
    folder: Path
    upstream: Upstream
    shelf: Shelf | None
    on_bytes: Callable[[int], object] = lambda _count: None

    @property
    def stop(self) -> threading.Event:
        """What ends the run."""
        return self.upstream.stop

    def run(self, numbers: Sequence[int]) -> dict[int, DrayError]:
        """Make the chunks; return those that failed, with the reasons."""
        failures: dict[int, DrayError] = {}
        with medium_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        with held(self.folder), ThreadPoolExecutor(WORKERS, "remake") as pool:
            running = {number: pool.submit(self._make, number) for number in numbers}
            for number, future in running.items():
                try:
                    future.result()
                except Stop:
                    self.stop.set()
                except MediumError:
                    self.stop.set()
                    raise
                except DrayError as error:
                    failures[number] = error
        check(self.stop)
        return failures

    def _make(self, number: int) -> None:
        check(self.stop)
        chunk = self.manifest.chunks[number - 1]
        file = ChunkFile(self.folder / chunk.name)
        if file.path.is_file() and _digest(file.path) == chunk.digest.hex:
            self.on_bytes(chunk.size)
            return
        with file.writing() as handle:
            offers = self._with_own(file.partial)

            def write(offset: int, data: bytes) -> None:
                check(self.stop)
                with medium_errors(file.path):
                    write_all(handle, data, offset)
                self.on_bytes(len(data))

            try:
                Rebuild(self.manifest, number, offers, write).run()
            except VerificationError as error:
                raise self._explained(error, number) from None
            with medium_errors(file.path):
                os.ftruncate(handle, chunk.size)
                os.fsync(handle)
        with medium_errors(file.path):
            if _digest(file.partial) != chunk.digest.hex:
                message = f"{chunk.name} on the medium has other bytes than were written"
                raise MediumError(message, hint="run again; if it stays so, the medium is faulty")
            file.partial.rename(file.path)
            sync_folder(self.folder)

    def _with_own(self, partial_file: Path) -> Offers:
        def offers(blob: StoredBlob, number: int) -> Iterator[Offer]:
            if _reaches(partial_file, blob.parts[number]):
                yield partial_file.name, partial(_present, partial_file, blob, number)
            if self.shelf:
                yield from self.shelf.offers(blob, number)
            yield from self.upstream.offers(blob, number)

        return offers

    def _explained(self, error: VerificationError, number: int) -> DrayError:
        mine = {blob.digest for blob, _, _ in self.manifest.parts_of(number)}
        if mine & self.upstream.genuine:
            import zstandard  # noqa: PLC0415  (only bundles with compressed blobs need it)

            version = ".".join(map(str, zstandard.ZSTD_VERSION))
            name = self.manifest.chunks[number - 1].name
            return VerificationError(
                f"{name}: Zstandard {version} compresses it to other bytes than the export's did",
                hint="run this where the bundle was exported; or export anew, with --new",
            )
        return error


def _reaches(path: Path, part: Part) -> bool:
    with medium_errors(path):
        return path.stat().st_size >= part.offset + part.size


def _present(path: Path, blob: StoredBlob, number: int) -> Iterator[bytes]:
    """Yield what a run that was killed has written of a part."""
    part, done = blob.parts[number], 0
    with medium_errors(path), path.open("rb") as file:
        while done < part.size:
            block = os.pread(file.fileno(), min(BLOCK, part.size - done), part.offset + done)
            if not block:
                return
            done += len(block)
            yield block


def _digest(path: Path) -> str:
    sha = hashlib.sha256()
    with ExitStack() as stack:
        for block in stack.enter_context(reading_back(path)):
            sha.update(block)
    return sha.hexdigest()


def failed(failures: dict[int, DrayError], manifest: Manifest) -> SourceError:
    """Return the error that names every chunk that could not be made."""
    rows = [
        f"  {manifest.chunks[number - 1].name}: {error.message}"
        for number, error in failures.items()
    ]
    hints = [error.hint for error in failures.values() if error.hint]
    message = f"{len(failures)} of the chunks were not made\n" + "\n".join(rows)
    return SourceError(message, hint=hints[0] if hints else "other bundles may help: --from DIR")
