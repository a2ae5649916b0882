"""clamd of ClamAV with signatures of our own: for the EICAR test file, and for a harmless word."""

from __future__ import annotations

import hashlib
import shutil
import socket
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from importer.scan.engine import test_file as eicar
from tests.servers import process, programs

if TYPE_CHECKING:
    from collections.abc import Iterator

WORD = b"dray-test-marker-that-is-no-malware"
"""Content in which the running clamd finds ``Dray.Test.Word.UNOFFICIAL``."""
STREAM = 1 << 20
"""Bytes of a stream that it takes unless told otherwise: little, so that tests get beyond it."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running clamd: by its socket, and by its port."""

    socket: Path
    port: int
    pid: int


@contextmanager
def running(*, reports: bool = True, known: bool = True, stream: int = STREAM) -> Iterator[Server]:
    """Run a clamd; without ``reports`` it keeps quiet about what it did not look into, as Debian's
    does; without ``known`` it knows no test file.
    """
    program = programs.require("clamd")
    folder = Path(tempfile.mkdtemp(prefix="clamd-"))  # a socket's path has 108 letters at most
    try:
        (port,) = process.free_ports(1)
        config = _configure(folder, port, reports=reports, known=known, stream=stream)
        log = folder / "log"
        with process.running([program, "-c", config], log=log, patience=0) as server:
            _wait(server, folder / "s", log)
            yield Server(folder / "s", port, server.pid)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _configure(folder: Path, port: int, *, reports: bool, known: bool, stream: int) -> Path:
    database, config = folder / "db", folder / "clamd.conf"
    database.mkdir()
    test = eicar() if known else b"another"
    line = f"{hashlib.md5(test, usedforsecurity=False).hexdigest()}:{len(test)}:Dray.Test.Eicar\n"
    (database / "dray.hdb").write_text(line)
    (database / "dray.ndb").write_text(f"Dray.Test.Word:0:*:{WORD.hex()}\n")
    yes = "yes" if reports else "no"
    config.write_text(
        f"LocalSocket {folder / 's'}\nTCPSocket {port}\nTCPAddr 127.0.0.1\nForeground yes\n"
        f"DatabaseDirectory {database}\nTemporaryDirectory {folder}\nSelfCheck 0\n"
        f"StreamMaxLength {stream}\nAlertExceedsMax {yes}\nAlertEncrypted {yes}\n"
    )
    return config


def _wait(server: object, path: Path, log: Path) -> None:
    deadline = time.monotonic() + process.START_TIMEOUT
    while not _listens(path):
        if server.poll() is not None or time.monotonic() > deadline:  # type: ignore[attr-defined]
            raise process.StartError(log.read_text(errors="replace")[-2000:])
        time.sleep(0.02)


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return path.exists() and probe.connect_ex(str(path)) == 0
