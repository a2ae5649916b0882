"""A chunk counts when all of it was read back from the medium, and not before."""

from __future__ import annotations

import errno
import os
import tarfile
import zlib
from typing import TYPE_CHECKING

import pytest

from bundle import ustar
from bundle.chunks import prefix
from bundle.digest import Digest
from bundler.chunkfile import ChunkFile, MediumError, ReadBackError, Span, medium_errors
from bundler.memberfile import write_all
from tests.bundler.medium import Flips, damage

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PREFIX = prefix(b"{}")
BLOBS = [b"first" * 1000, b"", b"x" * 512, b"last" * 700_000]


def written(
    path: Path, *, cut: bool = False, by_digest: bool = False
) -> tuple[ChunkFile, list[Span]]:
    """Write the blobs into a chunk as export does; return it and its spans."""

    chunk, spans, position = ChunkFile(path / "b.chunk-00001.tar"), [], len(PREFIX)
    with chunk.writing() as handle:
        for blob in BLOBS:
            digest = Digest.of(blob)
            offset = position + ustar.RECORD
            write_all(handle, ustar.member(f"blobs/sha256/{digest.hex}", blob), position)
            crc = None if by_digest else zlib.crc32(blob)
            known = None if cut else digest
            name = f"blobs/sha256/{digest.hex}"
            spans.append(Span(name, offset, len(blob), crc, known, digest))
            position += ustar.span(len(blob))
    return chunk, spans


@pytest.mark.parametrize(("cut", "by_digest"), [(False, False), (True, False), (False, True)])
def test_a_sealed_chunk_is_a_tar_with_its_digest(
    tmp_path: Path, cut: bool, by_digest: bool
) -> None:
    chunk, spans = written(tmp_path, cut=cut, by_digest=by_digest)
    counted: list[int] = []
    sealed = chunk.seal(PREFIX, spans, counted.append)
    data = chunk.path.read_bytes()
    assert sealed.digest == Digest.of(data)
    assert sealed.parts == tuple(Digest.of(blob) for blob in BLOBS)
    assert sum(counted) == len(data)
    assert not chunk.partial.exists()
    with tarfile.open(chunk.path) as archive:
        names = archive.getnames()
    assert names == ["oci-layout", "index.json", *(span.name for span in spans)]


def test_what_an_earlier_attempt_left_behind_the_end_is_cut_off(tmp_path: Path) -> None:
    chunk, spans = written(tmp_path)
    with chunk.writing() as handle:
        os.pwrite(handle, b"rest", 10 << 20)
    chunk.seal(PREFIX, spans)
    last = spans[-1]
    end = last.offset + last.size + ustar.padding(last.size) + len(ustar.TRAILER)
    assert chunk.path.stat().st_size == end


@pytest.mark.parametrize("by_digest", [False, True])
@pytest.mark.parametrize("number", [0, 2, 3])
@pytest.mark.parametrize("where", ["header", "first byte", "last byte"])
def test_a_byte_that_comes_back_other_than_written_names_its_blob(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, where: str, by_digest: bool
) -> None:
    chunk, spans = written(tmp_path, by_digest=by_digest)
    span = spans[number]
    at = {"header": -300, "first byte": 0, "last byte": span.size - 1}[where]
    damage(monkeypatch, Flips("chunk-00001", span.offset + at))
    with pytest.raises(ReadBackError, match=r"b\.chunk-00001\.tar on the medium") as caught:
        chunk.seal(PREFIX, spans)
    assert caught.value.digests == (span.blob,)
    assert caught.value.exit_code == 6
    assert chunk.partial.exists()
    assert not chunk.path.exists()


def test_padding_belongs_to_the_blob_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chunk, spans = written(tmp_path)
    damage(monkeypatch, Flips("chunk-00001", spans[0].offset + spans[0].size))
    with pytest.raises(ReadBackError) as caught:
        chunk.seal(PREFIX, spans)
    assert caught.value.digests == (spans[0].blob,)


@pytest.mark.parametrize("at", [0, -1])
def test_prefix_and_trailer_are_everybodys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    chunk, spans = written(tmp_path)
    last = spans[-1]
    end = last.offset + last.size + ustar.padding(last.size) + len(ustar.TRAILER)
    damage(monkeypatch, Flips("chunk-00001", at % end))
    with pytest.raises(ReadBackError) as caught:
        chunk.seal(PREFIX, spans)
    assert set(caught.value.digests) == {span.blob for span in spans}


def test_a_medium_that_loses_the_end_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chunk, spans = written(tmp_path)
    real = os.preadv
    monkeypatch.setattr(
        os, "preadv", lambda h, b, offset: 0 if offset >= 2 << 20 else real(h, b, offset)
    )
    with pytest.raises(ReadBackError) as caught:
        chunk.seal(PREFIX, spans)
    assert caught.value.digests == (spans[-1].blob,)


@pytest.mark.parametrize(
    ("number", "message", "hint"),
    [
        (errno.ENOSPC, "No space left on device", "free some space and run again"),
        (errno.EROFS, "Read-only file system", "mounted read-only"),
        (errno.EFBIG, "File too large", "--chunk-size fat32"),
        (errno.EIO, "Input/output error", "check the medium"),
    ],
)
@pytest.mark.parametrize("call", ["pwrite", "fsync", "ftruncate", "preadv", "open"])
def test_a_medium_that_fails_is_named_with_the_reason_and_what_to_do(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
    number: int,
    message: str,
    hint: str,
) -> None:
    chunk, spans = written(tmp_path)

    def failing(*_arguments: object, **_more: object) -> None:
        raise OSError(number, "not what the person sees")

    with monkeypatch.context() as patch:
        patch.setattr(os, call, failing)
        with pytest.raises(MediumError) as caught:
            chunk.seal(PREFIX, spans)
    assert caught.value.message == f"{chunk.path} cannot be written: {message}"
    assert hint in caught.value.hint
    assert (caught.value.exit_code, caught.value.side) == (6, "low side")
    assert chunk.seal(PREFIX, spans).parts


def test_a_reading_back_that_is_stopped_raises_what_stopped_it(tmp_path: Path) -> None:
    chunk, spans = written(tmp_path)

    def stop(_count: int) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        chunk.seal(PREFIX, spans, stop)
    assert chunk.partial.exists()


def test_a_chunk_is_taken_back_to_writing(tmp_path: Path) -> None:
    chunk, spans = written(tmp_path)
    sealed = chunk.seal(PREFIX, spans)
    chunk.reopen()
    assert (chunk.path.exists(), chunk.partial.exists()) == (False, True)
    assert chunk.seal(PREFIX, spans) == sealed


def test_a_chunk_that_was_renamed_unnoticed_is_recalled_but_never_over_a_partial_one(
    tmp_path: Path,
) -> None:
    chunk, spans = written(tmp_path)
    chunk.recall()
    assert chunk.partial.exists()
    chunk.seal(PREFIX, spans)
    chunk.recall()
    assert (chunk.path.exists(), chunk.partial.exists()) == (False, True)
    chunk.path.write_bytes(b"old")
    chunk.recall()
    assert chunk.path.read_bytes() == b"old"
    assert chunk.partial.stat().st_size > 1000


def test_a_write_that_takes_a_part_is_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real: Callable[..., int] = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda handle, data, at: real(handle, data[:1000], at))
    chunk, spans = written(tmp_path)
    assert chunk.seal(PREFIX, spans).parts[3] == Digest.of(BLOBS[3])


def test_what_is_no_error_of_the_medium_passes_through(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), medium_errors(tmp_path):
        raise ZeroDivisionError
