"""Reading a file back: all of it, in order, past the page cache where that can be had."""

from __future__ import annotations

import errno
import os
import random
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bundler.readback import BUFFER, reading_back

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SIZES = [0, 1, 511, 512, 513, 4096, BUFFER - 512, BUFFER, BUFFER + 1, 2 * BUFFER + 700]


def read(path: Path) -> bytes:
    with reading_back(path) as blocks:
        return b"".join(bytes(block) for block in blocks)


def made(folder: Path, size: int) -> tuple[Path, bytes]:
    data = random.Random(size).randbytes(size)
    path = folder / "file"
    path.write_bytes(data)
    return path, data


@pytest.mark.parametrize("size", SIZES)
def test_a_file_of_any_length_is_read_whole(tmp_path: Path, size: int) -> None:
    path, data = made(tmp_path, size)
    assert read(path) == data


@pytest.mark.parametrize("size", SIZES)
def test_a_file_system_that_opens_no_file_for_direct_reads_is_read_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    path, data = made(tmp_path, size)
    real: Callable[..., int] = os.open

    def opened(name: Path, flags: int, *more: int) -> int:
        if flags & os.O_DIRECT:
            raise OSError(errno.EINVAL, "no direct reads")
        return real(name, flags, *more)

    monkeypatch.setattr(os, "open", opened)
    assert read(path) == data


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("after", [0, 1])
def test_a_file_system_that_refuses_a_direct_read_is_read_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, after: int
) -> None:
    import fcntl

    path, data = made(tmp_path, size)
    real, count = os.preadv, [0]

    def preadv(handle: int, buffers: Sequence[memoryview], offset: int) -> int:
        count[0] += 1
        if count[0] > after and fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_DIRECT:
            raise OSError(errno.EINVAL, "not aligned")
        return real(handle, buffers, offset)

    monkeypatch.setattr(os, "preadv", preadv)
    assert read(path) == data


def test_short_reads_lose_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, data = made(tmp_path, 3 * 4096 + 100)
    real = os.preadv
    monkeypatch.setattr(os, "preadv", lambda h, b, offset: real(h, [b[0][:4096]], offset))
    assert read(path) == data


def test_an_error_of_the_medium_comes_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, _data = made(tmp_path, 5000)

    def preadv(*_arguments: object) -> int:
        raise OSError(errno.EIO, "bad sector")

    monkeypatch.setattr(os, "preadv", preadv)
    with pytest.raises(OSError, match="bad sector"):
        read(path)


def test_a_reader_that_stops_early_leaves_nothing_open(tmp_path: Path) -> None:
    path, data = made(tmp_path, 2 * BUFFER)
    before = len(list(Path("/proc/self/fd").iterdir()))
    with reading_back(path) as blocks:
        assert bytes(next(blocks)) == data[:BUFFER]
    assert len(list(Path("/proc/self/fd").iterdir())) == before
