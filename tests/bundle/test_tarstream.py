"""Bombs in tars: each of them is refused in all three places that read foreign archives."""

from __future__ import annotations

import gzip
import io
import resource
import tarfile
from typing import TYPE_CHECKING

import pytest

from bundle.charts import archive as charts
from bundle.digest import Descriptor, Digest
from bundle.tarstream import Passing
from bundler.sources import chartfile, layers
from importer.scan.inside import Inside
from tests.fuzz.scantargets import _Counts

if TYPE_CHECKING:
    from collections.abc import Callable, Generator


def header(kind: bytes = tarfile.REGTYPE, size: int = 0, name: str = "x/a") -> bytes:
    made = tarfile.TarInfo(name)
    made.type, made.size = kind, size
    return made.tobuf(tarfile.GNU_FORMAT)


def extended(data: bytes, kind: bytes = tarfile.XHDTYPE) -> bytes:
    return header(kind, len(data)) + data.ljust(-(-len(data) // 512) * 512, b"\0")


def record(key: str, value: str) -> bytes:
    for length in range(4, 1 << 20):
        made = f"{length} {key}={value}\n".encode()
        if len(made) == length:
            return made
    raise AssertionError


def sparse_map(blocks: int) -> bytes:
    first = bytearray(header(tarfile.GNUTYPE_SPARSE))
    first[482] = 1  # the map goes on in the next block (GNU tar, "Old GNU Format")
    first[148:156] = b" " * 8
    first[148:156] = b"%06o\0 " % sum(first)
    return bytes(first) + (b"00000000001\0" * 42 + b"\1".ljust(8, b"\0")) * blocks


def globals_(count: int) -> bytes:
    each = (extended(record(f"k{n}", "v"), tarfile.XGLTYPE) for n in range(count))
    return b"".join(one + header(name=f"x/{n}") for n, one in enumerate(each))


SPARSE = record("GNU.sparse.major", "1") + record("GNU.sparse.minor", "0")
BOMBS: dict[str, tuple[Callable[[], bytes], str]] = {
    "a sparse map of GNU without end": (lambda: sparse_map(4000), "sparse file"),
    "a sparse map that is cut off": (lambda: sparse_map(0), "sparse file"),
    "a sparse map of pax": (
        lambda: extended(SPARSE) + header(size=1 << 20) + b"999999999\n" + b"0\n" * 500_000,
        "sparse file",
    ),
    "a sparse map in a header": (
        lambda: extended(record("GNU.sparse.map", "1,1," * 9000 + "1")) + header(),
        "sparse file",
    ),
    "a pax header of 1 GiB": (lambda: header(tarfile.XHDTYPE, 1 << 30) + bytes(4096), "more than"),
    "a global header of 1 GiB": (
        lambda: header(tarfile.XGLTYPE, 1 << 30) + bytes(4096),
        "more than",
    ),
    "a name of 1 GiB": (
        lambda: header(tarfile.GNUTYPE_LONGNAME, 1 << 30) + bytes(4096),
        "more than",
    ),
    "headers of headers": (lambda: extended(record("a", "b")) * 20 + header(), "8 headers"),
    "global headers without end": (lambda: globals_(120), "global headers"),
    "records that take quadratic time": (
        lambda: extended(b"2 " * 500_000 + b"=") + header(),
        "damaged",
    ),
    "a record that is longer than its header": (
        lambda: extended(b"99 a=b\n") + header(),
        "damaged",
    ),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_wherever_archives_are_read(name: str) -> None:
    make, words = BOMBS[name]
    data = make() + bytes(1024)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    with pytest.raises(ValueError, match=words):
        chartfile.metadata(gzip.compress(data, 1))
    with pytest.raises(ValueError, match=words):
        charts.files(gzip.compress(data, 1))
    with pytest.raises(ValueError, match=words):
        found(data)
    gaps = Inside(_Counts()).scan(iter([data])).gaps  # type: ignore[arg-type]
    assert any(words in reason for reason in gaps.values()), gaps
    assert resource.getrusage(resource.RUSAGE_SELF).ru_utime - before < 5


def found(data: bytes) -> bytes | None:
    layer = Descriptor("application/vnd.oci.image.layer.v1.tar", Digest.of(b"a"), 1)

    def opened(_descriptor: Descriptor) -> Generator[bytes, None, None]:
        yield data

    return layers.find([layer], "opt/nim/manifest.yaml", opened)


def test_a_tar_of_a_million_members_is_forgotten_as_it_is_read() -> None:
    members = header() * 2_000  # of as many as there may be none is kept
    with Passing.open(fileobj=io.BytesIO(members), mode="r|") as archive:
        assert sum(1 for _ in archive) == 2_000
        assert len(vars(archive)["members"]) == 0


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_an_honest_tar_with_long_names_is_read(form: int) -> None:
    made = io.BytesIO()
    names = ["x/" + "é" * 150 + f"/{number}" for number in range(3)]
    with tarfile.open(
        fileobj=made, mode="w", format=form, pax_headers={"comment": "c" * 40}
    ) as out:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size, member.mtime = 3, 1.5 if form == tarfile.PAX_FORMAT else 1
            out.addfile(member, io.BytesIO(b"abc"))
    made.seek(0)
    with Passing.open(fileobj=made, mode="r|") as archive:
        read = [(member.name, archive.extractfile(member)) for member in archive]
    assert [name for name, _ in read] == names


def test_a_chart_of_very_many_members_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chartfile, "MEMBERS", 3)
    with pytest.raises(ValueError, match="more than 3 members"):
        chartfile.metadata(gzip.compress(header() * 4, 1))
