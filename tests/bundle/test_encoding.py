"""Stored bytes become the blob's, or are refused: damaged, too large, or greedy for memory."""

from __future__ import annotations

import hashlib
import tracemalloc

import pytest
import zstandard

from bundle.encoding import FRAME, WINDOW, decode
from bundle.errors import VerificationError

DATA = b"".join(b"%d and on " % number for number in range(200_000))
FRAMES = [DATA[start : start + 300_000] for start in range(0, len(DATA), 300_000)]


def compressed(*frames: bytes) -> bytes:
    maker = zstandard.ZstdCompressor(level=1, write_checksum=True)
    return b"".join(maker.compress(frame) for frame in frames)


def streamed(data: bytes, *, window_log: int) -> bytes:
    """Return one frame that was begun before its size was known: its window is as asked."""
    parameters = zstandard.ZstdCompressionParameters(window_log=window_log)
    maker = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    return maker.compress(data) + maker.flush()


def decoded(stored: bytes, size: int, step: int = 1 << 20) -> bytes:
    blocks = (stored[start : start + step] for start in range(0, len(stored), step))
    return b"".join(decode(blocks, "zstd", size=size, what="it"))


def test_identity_passes_blocks_on() -> None:
    assert list(decode([b"a", b"", b"b"], "identity", size=1, what="it")) == [b"a", b"", b"b"]


@pytest.mark.parametrize("step", [1, 7, 1 << 20])
def test_frames_are_joined_however_the_blocks_are_cut(step: int) -> None:
    small = [frame[:2000] for frame in FRAMES]
    assert decoded(compressed(*small), 2000 * len(small), step) == b"".join(small)


def test_a_block_larger_than_what_is_read_at_once_is_read_on() -> None:
    noise = hashlib.shake_128(b"noise").digest(1 << 20)
    assert decoded(compressed(noise), len(noise), step=4 << 20) == noise


def test_an_empty_blob_is_an_empty_frame_or_none() -> None:
    assert decoded(b"", 0) == decoded(compressed(b""), 0) == b""


def test_what_decodes_to_more_than_was_signed_is_refused() -> None:
    stored = compressed(*FRAMES)
    assert decoded(stored, len(DATA)) == DATA
    with pytest.raises(VerificationError, match=f"more than the {len(DATA) - 1} bytes signed"):
        decoded(stored, len(DATA) - 1)


def test_a_bomb_is_refused_in_flat_memory() -> None:
    stored = compressed(*[bytes(FRAME)] * 50)
    tracemalloc.start()
    try:
        with pytest.raises(VerificationError, match="more than the 100 bytes signed"):
            decoded(stored, 100)
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


def test_a_window_beyond_the_limit_is_refused() -> None:
    assert WINDOW == 1 << 23
    assert decoded(streamed(DATA, window_log=23), len(DATA)) == DATA
    with pytest.raises(VerificationError, match="no valid Zstandard stream"):
        decoded(streamed(DATA, window_log=24), len(DATA))


@pytest.mark.parametrize("place", [0, 3, 4, 2000, -1])
def test_a_changed_byte_is_refused(place: int) -> None:
    stored = bytearray(compressed(FRAMES[0]))
    stored[place] ^= 0x5A
    with pytest.raises(VerificationError, match=r"no valid Zstandard stream|bytes signed"):
        decoded(bytes(stored), len(FRAMES[0]))


@pytest.mark.parametrize("told", [0, 1, FRAME, (1 << 63) - 1])
@pytest.mark.parametrize("checksum", [True, False])
def test_a_frame_that_lies_about_its_size_is_refused_in_flat_memory(
    told: int, checksum: bool
) -> None:
    parameters = zstandard.ZstdCompressionParameters(
        window_log=20, write_content_size=True, write_checksum=checksum
    )
    data = hashlib.shake_128(b"noise").digest(2 << 20)
    frame = bytearray(zstandard.ZstdCompressor(compression_params=parameters).compress(data))
    assert (frame[4] >> 6, frame[4] >> 5 & 1) == (2, 0), (
        "its size is in four bytes, a window before"
    )
    frame[4] |= 0xC0  # RFC 8878, 3.1.1.1.1: now in eight
    frame[6:10] = told.to_bytes(8, "little")
    tracemalloc.start()
    try:
        with pytest.raises(VerificationError, match="no valid Zstandard stream"):
            decoded(bytes(frame), len(data))
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


def test_garbage_behind_the_last_frame_is_refused() -> None:
    with pytest.raises(VerificationError, match="no valid Zstandard stream"):
        decoded(compressed(FRAMES[0]) + b"garbage", len(FRAMES[0]))


def test_a_frame_that_ends_early_gives_fewer_bytes() -> None:
    """Whoever reads compares the number of bytes and their digest."""
    stored = compressed(*FRAMES)
    assert len(decoded(stored[:-1], len(DATA))) <= len(DATA)
    assert len(decoded(stored[: len(stored) // 2], len(DATA))) < len(DATA)
