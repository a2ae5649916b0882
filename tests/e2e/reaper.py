"""Runs dray and kills it, with no warning, at the N-th time that it is about to touch a folder.

    python -m tests.e2e.reaper FOLDER NUMBER ARGUMENTS...

Python's audit hooks tell of every open, rename, truncation and removal before it happens; writes at
an offset and syncs are counted too, and of a write that is the last one only half gets through. So
the same number is the same instant in every run with one worker, and about the same with more; the
program under test is unchanged. A run that is not killed, because NUMBER is 0 or did not come,
writes the count to standard error at the end.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

_EVENTS = {"open", "os.rename", "os.truncate", "os.remove", "os.mkdir", "os.rmdir"}


class Reaper:
    """Counts what happens in ``folder`` and kills this process at the N-th time."""

    def __init__(self, folder: str, number: int) -> None:
        self.folder, self.number, self.count = folder, number, 0
        self._lock = threading.Lock()

    def arm(self) -> None:
        """Begin to count."""
        sys.addaudithook(self._audit)
        self._wrap_write("pwrite")
        self._wrap_write("write")
        sync = os.fsync

        def fsync(handle: int) -> None:
            if self._inside(handle):
                self._step()
            sync(handle)

        os.fsync = fsync  # type: ignore[assignment]

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in _EVENTS and self._mine(arguments[0]):
            self._step()

    def _mine(self, path: object) -> bool:
        if isinstance(path, int):
            return self._inside(path)
        return isinstance(path, str | bytes | os.PathLike) and (
            os.fsdecode(path).startswith(self.folder)
        )

    def _inside(self, handle: int) -> bool:
        try:
            return str(Path(f"/proc/self/fd/{handle}").readlink()).startswith(self.folder)
        except OSError:
            return False

    def _step(self) -> None:
        with self._lock:
            self.count += 1
            if self.count == self.number:
                os.kill(os.getpid(), signal.SIGKILL)

    def _wrap_write(self, name: str) -> None:
        real = getattr(os, name)

        def write(handle: int, data: Any, *offset: int) -> int:
            if self._inside(handle):
                if self.count + 1 == self.number:
                    real(handle, bytes(data)[: len(data) // 2], *offset)
                self._step()
            return int(real(handle, data, *offset))

        setattr(os, name, write)


def main() -> None:
    """Run ``dray`` with the arguments that follow."""
    folder, number, *arguments = sys.argv[1:]
    reaper = Reaper(os.path.realpath(folder), int(number))
    sys.argv = ["dray", *arguments]
    from bundle.cli import main as dray

    reaper.arm()
    try:
        dray()
    finally:
        sys.stderr.write(f"\n{reaper.count}\n")


if __name__ == "__main__":
    main()
