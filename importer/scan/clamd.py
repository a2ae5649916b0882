"""The protocol of clamd: one command or stream for each connection, all of it with a time limit.

Source: clamd(8), "COMMANDS", INSTREAM: lengths of four bytes, big-endian, and a zero at the end.
"""

from __future__ import annotations

import select
import socket
import struct
from contextlib import suppress
from typing import TYPE_CHECKING

from bundle.errors import ScannerError
from importer.scan import reply

if TYPE_CHECKING:
    from collections.abc import Iterable

    from importer.scan.address import Address
    from importer.scan.reply import Reply, Version

CONNECT = 10.0
"""Seconds for a connection."""
PATIENCE = 300.0
"""Seconds without a byte either way: clamd's MaxScanTime is 120 by default."""
CHUNK = 256 << 10
"""Bytes of one chunk of a stream; clamd reads each into a buffer of its own."""


class Clamd:
    """A clamd at an address; safe for several threads."""

    def __init__(self, address: Address, patience: float = PATIENCE) -> None:
        self.address = address
        self._patience = patience

    def version(self) -> Version:
        """Ask for engine and signatures; raise :class:`ScannerError`."""
        with self._connected() as wire:
            self._send(wire, b"zVERSION\0")
            return reply.version(self._answer(wire))

    def scan(self, blocks: Iterable[bytes]) -> Reply:
        """Have one stream scanned; raise :class:`ScannerError` when there is no verdict.

        ``blocks`` is left unread from where clamd wanted no more of it.
        """
        with self._connected() as wire:
            self._send(wire, b"zINSTREAM\0")
            for block in blocks:
                if not self._feed(wire, block):
                    break
            else:
                # It may have closed by now: what it said before counts.
                with suppress(ConnectionError):
                    wire.sendall(bytes(4))
            return reply.verdict(self._answer(wire))

    def _feed(self, wire: socket.socket, block: bytes) -> bool:
        """Send a block; return whether clamd still wants more."""
        view = memoryview(block)
        while view:
            if select.select([wire], [], [], 0)[0]:
                return False  # it speaks before the end only to refuse the rest
            part, view = view[:CHUNK], view[CHUNK:]
            try:
                wire.sendall(struct.pack("!I", len(part)))
                wire.sendall(part)
            except ConnectionError:
                return False
            except OSError as error:
                raise self._failed(error) from None
        return True

    def _connected(self) -> socket.socket:
        place = self.address
        try:
            if place.path:
                wire = socket.socket(socket.AF_UNIX)
                wire.settimeout(CONNECT)
                try:
                    wire.connect(place.path)
                except BaseException:
                    wire.close()
                    raise
            else:
                wire = socket.create_connection((place.host, place.port), CONNECT)
        except OSError as error:
            raise self._failed(error) from None
        wire.settimeout(self._patience)
        return wire

    def _send(self, wire: socket.socket, data: bytes) -> None:
        try:
            wire.sendall(data)
        except OSError as error:
            raise self._failed(error) from None

    def _answer(self, wire: socket.socket) -> bytes:
        data = b""
        try:
            while len(data) < reply.LIMIT and not data.endswith(b"\0"):
                if not (more := wire.recv(reply.LIMIT - len(data))):
                    break
                data += more
        except OSError as error:
            raise self._failed(error) from None
        return data

    def _failed(self, error: OSError) -> ScannerError:
        reason = "no answer in time" if isinstance(error, TimeoutError) else error.strerror
        return ScannerError(
            f"clamd at {self.address}: {(reason or 'the connection failed').lower()}",
            hint="is clamd running there, and may this user speak to it? "
            "then run the same command again",
        )
