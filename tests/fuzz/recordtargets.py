"""The fuzz targets of what the high side writes and reads back: receipts, notes; repair's media."""

from __future__ import annotations

import atexit
import shutil
import tempfile
import threading
from base64 import b64encode
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from bundle import dsse, instant, receipt
from bundle.digest import Digest
from bundle.errors import NotTrusted
from bundle.keycommand import Command
from bundle.media import Media
from bundle.parity import list_name
from bundle.trust import load
from bundle.unseal import opened, readable
from importer.decryptor import SHARED, Decryptor
from importer.repair import places
from importer.repair.papers import Papers
from importer.repair.run import Repair
from importer.status import seen
from tests import factory, keys

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bundle.receipt import Receipt


_SMALL = 1 << 20
"""Bytes up to which a document is also read a second time, as the product never does with one."""


def receipt_envelope(data: bytes) -> None:
    """A receipt: nobody's is believed, and what is read of it reads back from what it writes."""
    if len(data) <= _SMALL:
        _stranger(data)
    found = receipt.unproved(data, what="it")
    assert found.digest == Digest.of(data)
    _reads_back(found.receipt, data)


def _stranger(data: bytes) -> None:
    stranger = {"nobody": keys.signer("nobody").public_key}
    try:
        receipt.unseal(data, stranger, what="it")
        raise AssertionError
    except NotTrusted:
        pass


def receipt_statement(data: bytes) -> None:
    """What the right key signed: whatever is read reads back, and never says more than it holds."""
    known = {"ops": keys.signer("ops").public_key}
    found = receipt.unseal(sealed(data), known, what="it").receipt
    _reads_back(found, data)
    assert {entry.result for entry in found.held} <= receipt.HELD
    assert not (found.complete and found.ending)


def _reads_back(found: Receipt, data: bytes) -> None:
    assert len(data) > _SMALL or receipt.parse(found.to_bytes()) == found


@lru_cache(1)
def sealed(payload: bytes) -> bytes:
    """Return an envelope around any payload, signed by the host that imports."""
    made = dsse.sign(receipt.PAYLOAD_TYPE, payload, "ops", keys.signer("ops").sign)
    return made.to_bytes()


def seen_note(data: bytes) -> None:
    """A note of a bundle that was verified."""
    found = seen.read(data)
    assert seen.read(seen.dump(found)) == found


def decryptor_answer(data: bytes) -> None:
    """What a command that agrees prints: 32 bytes, bare or in base64, and nothing else."""
    ops = keys.recipient("ops")
    token = _Token(answers=iter((ops.point[1 : 1 + SHARED], data)))
    found = Decryptor(token, ops.public_key)
    agreed = found.agree(keys.recipient("somebody").point)
    assert len(agreed) == SHARED
    assert agreed == data or b64encode(agreed) == b"".join(data.split())


@dataclass(frozen=True)
class _Token(Command):
    """A command that passes its trial and answers anything after it."""

    words: tuple[str, ...] = ("token",)
    answers: Iterator[bytes] = field(default_factory=lambda: iter(()))

    def ask(self, what: str, data: bytes) -> bytes:
        """Answer the next question."""
        del what, data
        return self.whole([next(self.answers)])


def repair_input(data: bytes) -> None:
    """A parity file, block list or chunk of any bytes: what is repaired is as signed, or nothing.

    The first byte chooses the file; one chunk is lost meanwhile.
    """
    drive = _drive()
    drive.reset()
    name = drive.names[data[0] % len(drive.names)] if data else drive.names[0]
    (drive.folder / name).write_bytes(data[1:])
    drive.lost.unlink(missing_ok=True)
    media = Media.find([drive.folder])
    copies, signatures = readable(media)
    found = opened(media, drive.trust, copies, signatures)
    found.require(drive.trust, instant.now())
    where = places.find(found.manifest, media, (), None, list(media.folders))
    papers = Papers(found, media, signatures)
    stop = threading.Event()
    run = Repair(found.manifest, media, papers, where, shelf=None, stop=stop)
    run.look(lambda _count: None)
    outcome = run.run(lambda _count: None)
    for mended in outcome.mended:
        assert mended.path.read_bytes() == drive.good[mended.path.name]
    if drive.lost.exists():
        assert drive.lost.read_bytes() == drive.good[drive.lost.name]
    if outcome.failed:
        raise next(iter(outcome.failed.values()))


class _Drive:
    """A bundle with parity in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        made = factory.build(folder, parity="2")
        self.folder, self.trust = made.folder, load(made.trust)
        self.good = {path.name: path.read_bytes() for path in made.folder.iterdir()}
        spare = [file.name for group in made.manifest.parity for file in group.files]
        chunks = [chunk.name for chunk in made.manifest.chunks]
        self.lost = made.folder / chunks[1]
        others = [name for name in chunks if name != self.lost.name]
        self.names = [list_name(made.manifest.name), *spare, *others]

    def reset(self) -> None:
        """Put every file back as it was."""
        for path in self.folder.iterdir():
            if path.name not in self.good:
                path.unlink()
        for name, data in self.good.items():
            path = self.folder / name
            if not path.is_file() or path.read_bytes() != data:
                path.write_bytes(data)


@cache
def _drive() -> _Drive:
    folder = Path(tempfile.mkdtemp(prefix="dray-fuzz-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return _Drive(folder)


TARGETS: dict[str, Callable[[bytes], object]] = {
    "receipt": receipt_envelope,
    "receipt-statement": receipt_statement,
    "seen-note": seen_note,
    "decryptor-answer": decryptor_answer,
    "repair": repair_input,
}
