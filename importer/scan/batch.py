"""Small files in one stream: a tar of our own, with names of our own, which clamd takes apart.

A stream for each file costs clamd a connection, a thread and a file. When there is anything in a
tar, its files are sent again one by one, from memory: so the file is named, and an honest file in
bad company is cleared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bundle import ustar

if TYPE_CHECKING:
    from collections.abc import Callable

    from importer.scan.clamd import Clamd
    from importer.scan.reply import Reply

FILES = 400
"""Files of one tar: far below clamd's MaxFiles, 10000 by default."""
SIZE = 2 << 20
"""Bytes of one tar: below the least of clamd's limits that anybody sets, and small in memory."""


class Batch:
    """Files that wait for each other; ``report`` hears of those that are not clean."""

    def __init__(self, clamd: Clamd, report: Callable[[str, Reply], object]) -> None:
        self._clamd, self._report = clamd, report
        self._files: list[tuple[str, bytes]] = []
        self._size = 0

    def add(self, name: str, data: bytes) -> None:
        """Take one small file; raise :class:`bundle.errors.ScannerError`."""
        if self._size + ustar.span(len(data)) > SIZE or len(self._files) >= FILES:
            self.flush()
        self._files.append((name, data))
        self._size += ustar.span(len(data))

    def flush(self) -> None:
        """Have what waits scanned; raise :class:`bundle.errors.ScannerError`."""
        files, self._files, self._size = self._files, [], 0
        if not files:
            return
        if len(files) == 1:
            self._alone(*files[0])
            return
        members = (ustar.member(f"{n:06d}", data) for n, (_name, data) in enumerate(files))
        together = self._clamd.scan([*members, ustar.TRAILER])
        if together.kind == "clean":
            return
        # Every one of them: the first finding is not the last.
        if not sum(self._alone(name, data) for name, data in files):
            self._report(f"{files[0][0]} … {files[-1][0]}", together)

    def _alone(self, name: str, data: bytes) -> bool:
        found = self._clamd.scan([data])
        if found.kind != "clean":
            self._report(name, found)
        return found.kind != "clean"
