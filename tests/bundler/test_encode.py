"""Encoded blobs on the tape: gone on with after every frame, and the same bytes every time."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
import zstandard

from bundle import ustar
from bundle.digest import Digest
from bundle.encoding import decode
from bundle.errors import SourceError
from bundler import encode as module
from bundler.chunkfile import ChunkFile
from bundler.encode import Encoder, spans
from bundler.fetch import OtherBytes, Stop
from bundler.geometry import PLAIN
from bundler.journal import Journal
from bundler.tape import Mark, Tape
from tests.bundler.world import Upstream, in_blocks, locked, noise, text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bundle.chunks import Part

FRAME = 100_000
START, END = 2048, 2048 + 256 * 1024
SOFT, HARD = text("soft", 2_050_000), noise("hard", 700_000)
MIXED = SOFT[:FRAME] + HARD[: 5 * FRAME] + SOFT[: FRAME // 2]


class Reel:
    """A tape of small chunks in a folder, with a journal, for one run."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.stop, self.counted = folder, threading.Event(), 0
        self.journal = Journal.open(folder / "x.journal", plan="p", created="now")
        self.tape = Tape(
            lambda number: ChunkFile(folder / f"{number}.tar"), 1, START, END - START, PLAIN
        )
        self.upstream = Upstream.of(SOFT, HARD, MIXED)

    def encode(self, *blobs: bytes) -> None:
        encoder = Encoder(self.tape, self.journal, self.stop, self.count)
        for blob in blobs:
            one = locked("one", blob)
            opener = self.upstream.opener(one, one.contents[0])
            encoder.encode(Digest.of(blob), len(blob), opener, "one")

    def count(self, number: int) -> None:
        self.counted += number

    def parts(self, blob: bytes) -> tuple[Part, ...]:
        return self.journal.encoded[Digest.of(blob)][1]

    def stored(self, blob: bytes) -> bytes:
        return b"".join(
            (self.folder / f"{part.chunk}.tar.partial").read_bytes()[
                part.offset : part.offset + part.size
            ]
            for part in self.parts(blob)
        )

    def plain(self, blob: bytes) -> bytes:
        encoding = self.journal.encoded[Digest.of(blob)][0]
        return b"".join(decode([self.stored(blob)], encoding, size=len(blob), what="it"))

    def files(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in sorted(self.folder.glob("*.partial"))}


@pytest.fixture(autouse=True)
def small_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FRAME", FRAME)
    monkeypatch.setattr("bundle.transfer.backoff", lambda _failures, _after: 0)


@pytest.fixture
def reel(tmp_path: Path) -> Iterator[Reel]:
    made = Reel(tmp_path)
    yield made
    made.journal.close()


def again(reel: Reel) -> Reel:
    """Return the reel of the next run."""
    reel.journal.close()
    return Reel(reel.folder)


def test_what_is_decoded_is_the_blob(reel: Reel) -> None:
    reel.encode(SOFT, MIXED, HARD)
    for blob in (SOFT, MIXED, HARD):
        assert reel.plain(blob) == blob
    encodings = [reel.journal.encoded[Digest.of(blob)][0] for blob in (SOFT, MIXED, HARD)]
    assert encodings == ["zstd", "zstd", "identity"]
    assert reel.counted == len(SOFT) + len(MIXED) + len(HARD)


def test_what_does_not_shrink_is_stored_as_it_is(reel: Reel) -> None:
    reel.encode(HARD)
    assert reel.stored(HARD) == HARD


def test_frames_stand_alone_and_say_their_size(reel: Reel) -> None:
    reel.encode(SOFT)
    stored, sizes = reel.stored(SOFT), []
    while stored:
        decoder = zstandard.ZstdDecompressor().decompressobj()
        sizes.append(len(decoder.decompress(stored)))
        stored = decoder.unused_data
    assert sizes == [FRAME] * 20 + [50_000]


def test_every_piece_has_its_header_its_digest_and_zeros_after_it(reel: Reel) -> None:
    reel.encode(HARD, SOFT)
    files = reel.files()
    assert len(reel.parts(HARD)) == 3
    for number, members in spans(reel.journal.encoded).items():
        data, position = files[f"{number}.tar.partial"], START
        for span in members:
            assert data[position : position + 512] == ustar.header(span.name, span.size)
            assert Digest.of(data[span.offset : span.offset + span.size]) == span.digest
            position += ustar.span(span.size)
            assert not any(data[span.offset + span.size : position])
        assert position <= END


def test_a_tape_ends_its_chunks_with_no_room_wasted_and_none_exceeded(reel: Reel) -> None:
    reel.encode(HARD)
    first = reel.parts(HARD)[0]
    assert (first.offset, first.size) == (START + 512, END - START - 512)
    assert [part.chunk for part in reel.parts(HARD)] == [1, 2, 3]


@pytest.mark.parametrize("left", [0, 512, 1024, 1536])
def test_a_blob_begins_in_a_chunk_only_where_a_header_and_a_byte_fit(reel: Reel, left: int) -> None:
    reel.tape.reset(Mark(1, END - left, END - START - left, 0))
    reel.tape.begin()
    stands = reel.tape.mark()
    assert (stands.number, stands.position) == ((1, END - left) if left >= 1024 else (2, START))


def test_after_every_frame_a_stopped_run_goes_on(tmp_path: Path) -> None:
    whole = Reel(tmp_path / "whole")
    whole.encode(SOFT, MIXED)
    whole.journal.close()
    expected = whole.files()
    for count in range(1, 21):
        reel = Reel(tmp_path / str(count))
        frames = [0]

        def stopping(number: int, reel: Reel = reel, frames: list[int] = frames) -> None:
            frames[0] += number > 0
            if frames[0] == count:  # noqa: B023  (used within this turn of the loop)
                reel.stop.set()

        reel.count = stopping  # type: ignore[method-assign]
        with pytest.raises(Stop):
            reel.encode(SOFT, MIXED)
        reel = again(reel)
        reel.encode(SOFT, MIXED)
        # Nothing that is stored was fetched again: frames are counted, the first in one step.
        assert reel.upstream.opened[0][2] >= (count - 1) * FRAME
        reel.journal.close()
        assert reel.files() == expected


def test_a_run_killed_in_the_middle_of_a_frame_goes_on_after_the_last_whole_one(
    reel: Reel,
) -> None:
    def cut(data: bytes, offset: int) -> Iterator[bytes]:
        yield data[offset:850_000]
        raise SourceError("cut")

    reel.upstream.fail("one", SOFT, cut)
    with pytest.raises(SourceError):
        reel.encode(SOFT)
    _encoding, plain, stored = reel.journal.frames[Digest.of(SOFT)]
    assert plain > 0
    with (reel.folder / "1.tar.partial").open("r+b") as file:
        file.seek(START + 512 + stored)
        file.write(b"half a frame")
    other = again(reel)
    other.encode(SOFT)
    assert other.upstream.opened == [("up.example/one:1.0", Digest.of(SOFT), plain)]
    assert other.plain(SOFT) == SOFT
    other.journal.close()


@pytest.mark.parametrize("damage", ["flip", "short", "gone"])
def test_what_a_power_cut_took_is_encoded_anew(reel: Reel, damage: str) -> None:
    def cut(data: bytes, offset: int) -> Iterator[bytes]:
        yield data[offset:950_000]
        raise SourceError("cut")

    reel.upstream.fail("one", SOFT, cut)
    with pytest.raises(SourceError):
        reel.encode(SOFT)
    path = reel.folder / "1.tar.partial"
    if damage == "gone":
        path.unlink()
    else:
        data = bytearray(path.read_bytes())
        data[START + 600] ^= 1
        path.write_bytes(bytes(data) if damage == "flip" else bytes(data[: START + 700]))
    other = again(reel)
    other.encode(SOFT)
    assert other.plain(SOFT) == SOFT
    other.journal.close()


def test_a_resumed_blob_with_other_bytes_is_encoded_from_its_beginning(reel: Reel) -> None:
    """What another upstream left is read back well, and is not the blob."""

    def lies_and_leaves(data: bytes, offset: int) -> Iterator[bytes]:
        yield text("lies", 850_000)[offset:]
        raise SourceError("cut")

    reel.upstream.fail("one", SOFT, lies_and_leaves)
    with pytest.raises(SourceError):
        reel.encode(SOFT)
    other = again(reel)
    other.encode(SOFT)
    assert [at for _n, _d, at in other.upstream.opened][1:] == [0]
    assert other.plain(SOFT) == SOFT
    assert other.counted == len(SOFT)
    other.journal.close()


@pytest.mark.parametrize("lie", ["other", "longer"])
def test_other_bytes_are_the_upstreams_fault_and_the_tape_stands_where_it_stood(
    reel: Reel, lie: str
) -> None:
    reel.encode(HARD)
    before = reel.tape.mark()
    sent = bytes(len(SOFT)) if lie == "other" else SOFT + b"more"
    reel.upstream.fail("one", SOFT, lambda _data, at: in_blocks(sent, at))
    with pytest.raises(OtherBytes):
        reel.encode(SOFT)
    assert reel.tape.mark() == before
    assert reel.counted == len(HARD)
    reel.upstream.faults.clear()
    reel.encode(SOFT)
    assert reel.plain(SOFT) == SOFT


def test_a_tape_goes_on_behind_what_was_written_before(reel: Reel) -> None:
    reel.encode(HARD)
    stood = reel.tape.mark()
    other = again(reel)
    other.tape.seek(other.parts(HARD))
    assert other.tape.mark() == stood
    other.encode(SOFT)
    assert other.plain(SOFT) == SOFT
    assert other.stored(HARD) == HARD
    other.journal.close()
