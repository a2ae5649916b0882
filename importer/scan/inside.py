"""A blob's bytes as the files in it, for clamd: so that its limits count for a file, not a layer.

clamd takes gzip and tar apart itself, but says no file's name, and gives up at MaxFiles and
MaxScanSize. Zstandard it does not know, and calls clean. Here a stream is unpacked as far as it is
gzip, Zstandard or tar. Whatever of a tar is no header goes to clamd, what follows its end as well:
another reader of the same tar may see files there.
"""

from __future__ import annotations

import io
import tarfile
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bundle.options import shown
from bundle.tarstream import Blocks, Passing
from importer.scan.batch import SIZE, Batch
from importer.scan.forward import BLOCK, Forward, Part, gunzip, unzstd

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from importer.scan.clamd import Clamd
    from importer.scan.forward import Readable
    from importer.scan.reply import Reply

SMALL = SIZE // 4
"""Bytes of a file that waits for others."""
UNPACKED = 1 << 40
"""Bytes that one blob may unpack to."""
RATIO, FREE = 100, 256 << 20
"""How many times its size, beside what any blob may: a layer of programs comes to ten at most."""
EACH, ENTRIES = 200, 20_000
"""Bytes of a blob for each entry of the archive in it, beside those that any blob may have."""
DEPTH = 4
"""Compressions around a file that are taken off here."""
MOST = 100
"""Findings, and gaps, of one blob that are kept."""
_ZSTD = (b"\x28\xb5\x2f\xfd", *(bytes([0x50 + n]) + b"\x2a\x4d\x18" for n in range(16)))
_TAIL = "(what follows the end of the archive)"


@dataclass
class Verdict:
    """What a scan says of one blob. Both maps have the file in it, empty for the blob itself.

    ``found`` maps files to signatures, ``gaps`` to the reasons why nobody looked into them.
    """

    files: int = 0
    size: int = 0
    found: dict[str, str] = field(default_factory=dict)
    gaps: dict[str, str] = field(default_factory=dict)

    @property
    def is_clean(self) -> bool:
        """Whether all of it was looked at, and nothing found."""
        return not self.found and not self.gaps


class Inside:
    """Scans one blob after the other; for one thread."""

    def __init__(self, clamd: Clamd) -> None:
        self._clamd = clamd
        self._verdict = Verdict()
        self._batch = Batch(clamd, self._note)
        self._unpacked = self._taken = self._entries = 0

    def scan(self, blocks: Iterable[bytes]) -> Verdict:
        """Have everything in a blob scanned; raise :class:`bundle.errors.ScannerError`.

        What is damaged, or unpacks to too much, is a gap. All of ``blocks`` is read.
        """
        self._verdict = Verdict()
        self._unpacked = self._taken = self._entries = 0
        stream = io.BufferedReader(Blocks(map(self._took, blocks)), BLOCK)
        self._open("", stream, DEPTH)
        self._batch.flush()
        while stream.read(BLOCK):  # whoever feeds this waits for it
            pass
        return self._verdict

    def _open(self, name: str, stream: Readable, depth: int) -> None:
        forward = Forward(stream, self._count)
        head = forward.read(512)
        forward.push(head)
        try:
            if depth and head.startswith(b"\x1f\x8b") and not name:
                self._open(name, io.BufferedReader(Blocks(gunzip(forward)), BLOCK), depth - 1)
            elif depth and head.startswith(_ZSTD):
                self._raw(name, forward)
                self._open(name, io.BufferedReader(Blocks(unzstd(forward)), BLOCK), depth - 1)
            elif depth and not name and _is_tar(head):
                self._tar(forward)
            else:
                self._leaf(name, forward)
        except _damage() as error:
            self._gap(name, f"cannot be unpacked: {_reason(error)}")

    def _tar(self, stream: Forward) -> None:
        archive = Passing(fileobj=stream, mode="r")
        # Made with the first header read; next() gives that one first.
        while (member := archive.next()) is not None:
            self._count_entry()
            here = archive.offset - member.offset_data
            size = min(member.size, here) if member.isreg() and not member.issparse() else here
            if size > 0:
                stream.seek(member.offset_data)
                part = Part(stream, size)
                self._open(_named(member), part, 1)
                part.skip()
        stream.rewind()
        if rest := stream.strip():
            stream.push(rest)
            self._leaf(_TAIL, stream)

    def _raw(self, name: str, stream: Forward) -> None:
        """Have the beginning of a packed file scanned as it is: frames may be skipped, not it."""
        if name:
            head = stream.read(SMALL)
            stream.push(head)
            self._batch.add(name, head)

    def _leaf(self, name: str, stream: Readable) -> None:
        head = stream.read(SMALL)
        if not head:
            return
        if head.startswith(_ZSTD):
            self._gap(name, "compressed with Zstandard more than once")
        self._verdict.files += 1
        self._verdict.size += len(head)
        if len(head) < SMALL:
            self._batch.add(name, head)
            return
        reply = self._clamd.scan(self._rest(head, stream))
        if reply.kind != "clean":
            self._note(name, reply)

    def _rest(self, head: bytes, stream: Readable) -> Iterator[bytes]:
        yield head
        while block := stream.read(BLOCK):
            self._verdict.size += len(block)
            yield block

    def _count(self, count: int) -> None:
        self._unpacked += count
        if self._unpacked > UNPACKED:
            raise ValueError(f"it unpacks to more than {UNPACKED} bytes")
        if self._unpacked > FREE + RATIO * self._taken:
            raise ValueError(f"it unpacks to more than {RATIO} times its size")

    def _count_entry(self) -> None:
        self._entries += 1
        if self._entries > ENTRIES + self._taken // EACH:
            raise ValueError("it has far more files than an archive of its size")

    def _took(self, block: bytes) -> bytes:
        self._taken += len(block)
        return block

    def _note(self, name: str, reply: Reply) -> None:
        if reply.kind == "found":
            if len(self._verdict.found) < MOST:
                self._verdict.found[name] = reply.signature
        else:
            self._gap(name, f"{reply.kind}: {reply.signature}")

    def _gap(self, name: str, reason: str) -> None:
        if len(self._verdict.gaps) < MOST:
            self._verdict.gaps.setdefault(name, reason)


def _is_tar(head: bytes) -> bool:
    try:
        tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape")
    except tarfile.TarError:
        return False
    return True


def _named(member: tarfile.TarInfo) -> str:
    text = member.name.encode("utf-8", "backslashreplace").decode("utf-8")
    return shown(text.replace("\n", "\\n"))[:500] or "(without a name)"


def _damage() -> tuple[type[Exception], ...]:
    import zstandard  # noqa: PLC0415  (start-up time)

    return (
        tarfile.TarError,
        zlib.error,
        zstandard.ZstdError,
        EOFError,
        ValueError,
        RecursionError,
        OverflowError,
    )


def _reason(error: Exception) -> str:
    return ascii(str(error))[1:-1][:200] or type(error).__name__
