"""The fuzz targets of scanners: what a daemon answers, and what is in a blob that is scanned."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from bundle.errors import ScannerError
from importer.scan import reply
from importer.scan.inside import Inside

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def clamd_reply(data: bytes) -> None:
    """An answer: clean for the one that says so, and for no other."""
    clean = False
    with suppress(ScannerError):
        clean = reply.verdict(data).kind == "clean"
    assert clean == (data == b"stream: OK\0")
    if not clean:
        reply.version(data) if data.startswith(b"ClamAV") else reply.verdict(data)


class _Counts:
    """Stands for clamd, and finds nothing."""

    def scan(self, blocks: Iterable[bytes]) -> reply.Reply:
        for _block in blocks:
            pass
        return reply.Reply("clean")


def scanned_blob(data: bytes) -> None:
    """A blob of any bytes has a verdict, and is read to its end."""
    blocks = iter([data[:700], data[700:]])
    Inside(_Counts()).scan(blocks)  # type: ignore[arg-type]
    assert next(blocks, None) is None


TARGETS: dict[str, Callable[[bytes], object]] = {
    "clamd-reply": clamd_reply,
    "scanned-blob": scanned_blob,
}
