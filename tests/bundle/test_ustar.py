"""The headers that dray writes are what every tar reads, and each of their bytes is fixed."""

from __future__ import annotations

import io
import subprocess
import tarfile
from typing import TYPE_CHECKING

import pytest

from bundle import ustar
from tests.servers import programs

if TYPE_CHECKING:
    from pathlib import Path

GIB = 1 << 30
SIZES = [0, 1, 511, 512, 513, 8 * GIB - 1, 8 * GIB, 8 * GIB + 1, 9 * GIB, 5000 * GIB, 2**53 - 1]
NAME = "blobs/sha256/" + "0123456789abcdef" * 4


@pytest.mark.parametrize("size", SIZES)
def test_python_reads_every_field_of_a_header(size: int) -> None:
    read = tarfile.TarInfo.frombuf(ustar.header(NAME, size), "utf-8", "strict")
    assert (read.name, read.size, read.mode, read.type) == (NAME, size, 0o644, tarfile.REGTYPE)
    assert (read.uid, read.gid, read.mtime, read.uname, read.gname) == (0, 0, 0, "", "")
    assert (read.linkname, read.devmajor, read.devminor) == ("", 0, 0)


@pytest.mark.parametrize("size", SIZES)
def test_a_header_is_the_one_that_python_writes(size: int) -> None:
    wanted = tarfile.TarInfo(NAME)
    wanted.size, wanted.mode = size, 0o644
    # Python fills the numbers of devices in with zeros, and so do we; GNU format lets sizes grow.
    by_python = bytearray(wanted.tobuf(tarfile.GNU_FORMAT))
    by_python[257:265] = b"ustar\x0000"
    by_python[329:345] = b"0000000\0" * 2
    by_python[148:156] = b" " * 8
    by_python[148:156] = b"%06o\0 " % sum(by_python)
    assert ustar.header(NAME, size) == bytes(by_python)


def test_a_header_has_these_bytes() -> None:
    wanted = bytearray(512)
    wanted[0:10] = b"oci-layout"
    wanted[100:108] = b"0000644\0"
    wanted[108:124] = b"0000000\0" * 2
    wanted[124:136] = b"00000000036\0"
    wanted[136:148] = b"00000000000\0"
    wanted[148:156] = b"011214\0 "
    wanted[156:157] = b"0"
    wanted[257:265] = b"ustar\x0000"
    wanted[329:345] = b"0000000\0" * 2
    assert ustar.header("oci-layout", 30) == bytes(wanted)


def test_eight_gibibytes_are_the_first_size_in_base_256() -> None:
    assert ustar.header("a", 8 * GIB - 1)[124:136] == b"77777777777\0"
    assert ustar.header("a", 8 * GIB)[124:136] == b"\x80" + bytes(6) + b"\x02" + bytes(4)


def test_every_size_gives_another_header() -> None:
    assert len({ustar.header("a", size) for size in SIZES}) == len(SIZES)


@pytest.mark.parametrize("name", ["", "a" * 100, "a" * 200])
def test_a_name_that_does_not_fit_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="1 to 99 ASCII characters"):
        ustar.header(name, 0)


def test_a_name_beyond_ascii_is_refused() -> None:
    with pytest.raises(UnicodeEncodeError):
        ustar.header("é", 0)


def test_a_name_of_99_characters_fits() -> None:
    assert tarfile.TarInfo.frombuf(ustar.header("a" * 99, 0), "utf-8", "strict").name == "a" * 99


@pytest.mark.parametrize(
    ("size", "padding", "span"),
    [(0, 0, 512), (1, 511, 1024), (511, 1, 1024), (512, 0, 1024), (513, 511, 1536)],
)
def test_data_is_padded_to_whole_records(size: int, padding: int, span: int) -> None:
    assert ustar.padding(size) == padding
    assert ustar.span(size) == span == len(ustar.member("a", bytes(size)))


def archive(members: dict[str, bytes]) -> bytes:
    return b"".join(ustar.member(name, data) for name, data in members.items()) + ustar.TRAILER


MEMBERS = {"oci-layout": b"{}", "blobs/sha256/ab": b"x" * 512, "empty": b"", "last": b"y" * 5000}


def test_python_reads_an_archive() -> None:
    with tarfile.open(fileobj=io.BytesIO(archive(MEMBERS)), mode="r:") as tar:
        read = {item.name: tar.extractfile(item).read() for item in tar}  # type: ignore[union-attr]
    assert read == MEMBERS


def program(name: str) -> Path:
    """Return a tar: GNU's is everywhere where these tests run, the other may have to be had."""
    return programs.find(name) or programs.require(name)


@pytest.mark.parametrize("tar", ["tar", pytest.param("bsdtar", marks=pytest.mark.server)])
def test_other_programs_extract_an_archive(tar: str, tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(archive(MEMBERS))
    (tmp_path / "out").mkdir()
    subprocess.run([program(tar), "-xf", "../a.tar"], cwd=tmp_path / "out", check=True)
    found = {
        path.relative_to(tmp_path / "out").as_posix(): path.read_bytes()
        for path in (tmp_path / "out").rglob("*")
        if path.is_file()
    }
    assert found == MEMBERS


@pytest.mark.parametrize("tar", ["tar", pytest.param("bsdtar", marks=pytest.mark.server)])
def test_other_programs_read_members_of_nine_gibibytes(tar: str, tmp_path: Path) -> None:
    size, path = 9 * GIB, tmp_path / "large.tar"
    with path.open("wb") as file:  # sparse: it takes a few kilobytes of disk
        file.write(ustar.header("large", size))
        file.seek(size, 1)
        file.write(ustar.member("after", b"it") + ustar.TRAILER)
    command = [str(program(tar)), "-tvf", str(path)]
    listed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    rows = [line.split() for line in listed.splitlines()]
    assert [row[-1] for row in rows] == ["large", "after"]
    assert str(size) in rows[0]
    with tarfile.open(path, "r:") as opened:
        assert [(item.name, item.size) for item in opened] == [("large", size), ("after", 2)]
