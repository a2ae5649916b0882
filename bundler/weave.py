"""Reads the chunks of a group in step, once, and makes of them parity files and block hashes."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING

from bundle import stripe
from bundle.digest import Digest
from bundle.durable import sync_folder
from bundle.parity import BLOCK, DIGEST
from bundler.chunkfile import ChunkFile, MediumError, medium_errors
from bundler.memberfile import write_all
from bundler.readback import BUFFER, reading_back

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence
    from pathlib import Path

    from bundler.chunkfile import Sealed

    Reading = Generator[memoryview, None, Sealed]

MEMORY = 16 << 20
"""Bytes that the buffers of one group may take together."""


def window(members: int) -> int:
    """Return the bytes that are read of each member at once: whole blocks."""
    return max(BLOCK, min(BUFFER, MEMORY // members // BLOCK * BLOCK))


class Rows:
    """The block hashes of all files of an export, in one file with room for the largest of each."""

    def __init__(self, path: Path, largest: int) -> None:
        self.path = path
        self._stride = DIGEST * (-(-largest // BLOCK))
        with medium_errors(path):
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            self._handle = os.open(path, flags, 0o644)

    def write(self, file: int, block: int, rows: bytes) -> None:
        """Keep the rows of file number ``file`` from block number ``block`` on, both from 0."""
        with medium_errors(self.path):
            write_all(self._handle, rows, file * self._stride + block * DIGEST)

    def read(self, file: int, size: int) -> bytes:
        """Return the rows of a file of ``size`` bytes."""
        count = DIGEST * (-(-size // BLOCK))
        with medium_errors(self.path):
            return os.pread(self._handle, count, file * self._stride)

    def sync(self) -> None:
        """Make what was written durable."""
        with medium_errors(self.path):
            os.fsync(self._handle)

    def close(self) -> None:
        """Let the file go."""
        os.close(self._handle)


class Member:
    """One chunk of a group while it is read: its hashes go to ``rows`` as file number ``slot``."""

    def __init__(self, reading: Reading, rows: Rows, slot: int) -> None:
        self._reading, self._rows, self._slot = reading, rows, slot
        self._block = 0
        self.sealed: Sealed | None = None

    def step(self) -> memoryview | None:
        """Return the next stretch, or None at the end: then ``sealed`` is what came of it."""
        try:
            data = next(self._reading)
        except StopIteration as end:
            self.sealed = end.value
            return None
        self._rows.write(self._slot, self._block, hashes(data))
        self._block += -(-len(data) // BLOCK)
        return data

    def close(self) -> None:
        """Stop reading."""
        self._reading.close()


def hashes(data: memoryview | bytes) -> bytes:
    """Return the SHA-256 of each block of ``data``, one after another."""
    view = memoryview(data)
    return b"".join(
        hashlib.sha256(view[start : start + BLOCK]).digest() for start in range(0, len(view), BLOCK)
    )


def weave(
    members: Sequence[Member],
    files: Sequence[ParityWriter],
    *,
    on_bytes: Callable[[int], object],
) -> list[Sealed]:
    """Read the members to their ends, and write parities over them; return what each one is."""
    with ExitStack() as stack:
        for member in members:
            stack.callback(member.close)
        pool = stack.enter_context(ThreadPoolExecutor(2, "weave"))
        for file in files:
            stack.enter_context(file)
        while True:
            stretches = list(pool.map(Member.step, members))
            blocks = [data if data is not None else b"" for data in stretches]
            if not (size := max(map(len, blocks))):
                break
            for number, file in enumerate(files):
                file.write(stripe.parity(number, blocks, size))
            on_bytes(sum(map(len, blocks)))
    return [member.sealed for member in members if member.sealed]


class ParityWriter:
    """Writes one parity file, reads it back, and gives it its name."""

    def __init__(self, path: Path, rows: Rows, slot: int) -> None:
        self.path, self._rows, self._slot = path, rows, slot
        self._file = ChunkFile(path)
        self._sha = hashlib.sha256()
        self.size = 0

    def __enter__(self) -> None:
        self._stack = ExitStack()
        self._handle = self._stack.enter_context(self._file.writing())

    def __exit__(self, *_exc: object) -> None:
        self._stack.close()

    def write(self, data: bytes) -> None:
        """Append."""
        with medium_errors(self.path):
            write_all(self._handle, data, self.size)
        self._rows.write(self._slot, self.size // BLOCK, hashes(data))
        self._sha.update(data)
        self.size += len(data)

    def finish(self) -> Digest:
        """Make the file durable, compare what the medium returns, and rename it."""
        with self._file.writing() as handle:
            os.ftruncate(handle, self.size)
            os.fsync(handle)
        found = hashlib.sha256()
        with medium_errors(self.path):
            with reading_back(self._file.partial) as blocks:
                for block in blocks:
                    found.update(block)
            if found.digest() != self._sha.digest():
                message = f"{self.path.name} on the medium has other bytes than were written"
                raise MediumError(message, hint="run again; if it stays so, the medium is faulty")
            self._file.partial.rename(self.path)
            sync_folder(self.path.parent)
        return Digest("sha256:" + self._sha.hexdigest())
