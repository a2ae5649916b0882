"""A clamd of ours, for what the real one cannot be made to do: lie, die, be old. Held to it by
``test_clamd.py``, which says the same of both.
"""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
import tempfile
import threading
import zipfile
import zlib
from contextlib import contextmanager, suppress
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingMixIn, UnixStreamServer
from typing import TYPE_CHECKING

from importer.scan.engine import test_file as eicar
from tests.servers.clamd import STREAM, WORD, Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Fake(ThreadingMixIn, UnixStreamServer):
    """``version`` is what it says of itself; ``spoil`` gets each stream's number and bytes, and
    returns what is answered instead, or None for the truth. ``streams`` are the bytes it got.
    """

    daemon_threads = True

    def __init__(self, path: Path) -> None:
        super().__init__(str(path), _Handler)
        self.version = b"ClamAV 1.4.6"
        self.spoil: Callable[[int, bytes], bytes | None] = lambda _number, _data: None
        self.streams: list[bytes] = []
        self.lock = threading.Lock()

    def handle_error(self, _request: object, _address: object) -> None:
        """Say nothing: whoever was cut off knows."""


class _Handler(StreamRequestHandler):
    server: Fake

    def handle(self) -> None:
        command = b""
        while not command.endswith(b"\0") and (letter := self.rfile.read(1)):
            command += letter
        if command == b"zVERSION\0":
            self.wfile.write(self.server.version + b"\0")
        elif command == b"zINSTREAM\0":
            self.wfile.write(self._stream())
        else:
            self.wfile.write(b"UNKNOWN COMMAND\0")

    def _stream(self) -> bytes:
        data = b""
        while count := struct.unpack("!I", self.rfile.read(4))[0]:
            data += self.rfile.read(count)
            if len(data) > STREAM:
                return b"INSTREAM size limit exceeded. ERROR\0"
        with self.server.lock:
            self.server.streams.append(data)
            number = len(self.server.streams)
        spoilt = self.server.spoil(number, data)
        return b"stream: " + _judge(data, 17) + b"\0" if spoilt is None else spoilt


def _judge(data: bytes, depth: int) -> bytes:
    if not depth:
        return b"Heuristics.Limits.Exceeded.MaxRecursion FOUND"
    if data == eicar():
        return b"Dray.Test.Eicar.UNOFFICIAL FOUND"
    if WORD in data:
        return b"Dray.Test.Word.UNOFFICIAL FOUND"
    if _is_locked(data):
        return b"Heuristics.Encrypted.Zip FOUND"
    said = (_judge(part, depth - 1) for part in _parts(data))
    return next((one for one in said if one != b"OK"), b"OK")


def _parts(data: bytes) -> Iterator[bytes]:
    if data.startswith(b"\x1f\x8b"):
        with suppress(OSError, EOFError, zlib.error):
            yield gzip.decompress(data)
        return
    with suppress(tarfile.TarError), tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
        for member in archive:
            if member.isreg() and (file := archive.extractfile(member)):
                yield file.read()


def _is_locked(data: bytes) -> bool:
    if data.startswith(b"PK\3\4"):
        with suppress(zipfile.BadZipFile), zipfile.ZipFile(io.BytesIO(data)) as packed:
            return any(info.flag_bits & 1 for info in packed.infolist())
    return False


@contextmanager
def running() -> Iterator[tuple[Server, Fake]]:
    """Run one."""
    with tempfile.TemporaryDirectory(prefix="clamd-") as folder:
        path = Path(folder) / "s"
        with Fake(path) as server:
            thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
            thread.start()
            try:
                yield Server(path, 0, 0), server
            finally:
                server.shutdown()
                thread.join()
