"""Any blobs, any chunk size: every byte is packed once, and comes out of the chunks again."""

from __future__ import annotations

import hashlib
import re
import tarfile
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bundle import ustar
from bundle.chunks import prefix
from bundle.digest import Digest
from bundle.errors import UsageError
from bundle.media import Media
from bundle.verify import Report, verify
from bundler import packing
from bundler.packing import Packing, pack, place, room
from tests import factory

if TYPE_CHECKING:
    from bundler.lock import LockedArtifact
    from tests.factory import Bundle, Contents

PREFIX = 2560
DIGESTS = st.binary(min_size=32, max_size=32).map(lambda raw: Digest("sha256:" + raw.hex()))
SMALL = st.integers(0, 5000)
EDGES = st.sampled_from([0, 1, 511, 512, 513, 1023, 1024, 1025])
BLOBS = st.dictionaries(DIGESTS, SMALL | EDGES | st.integers(0, 40_000), max_size=40)
CHUNK_SIZES = st.integers(PREFIX + 1024 + 1024, 20_000)


@pytest.fixture(autouse=True, scope="module")
def tiny() -> object:
    """Let chunks be as small as the geometry allows."""
    with mock.patch.object(packing, "MIN_CHUNK", 1):
        yield


def packed(blobs: dict[Digest, int], chunk_size: int) -> Packing:
    return pack(blobs, chunk_size=chunk_size, prefix=PREFIX)


@settings(deadline=None, max_examples=100)
@given(BLOBS, CHUNK_SIZES)
def test_every_byte_of_every_blob_is_packed_exactly_once(
    blobs: dict[Digest, int], chunk_size: int
) -> None:
    pieces = packed(blobs, chunk_size).pieces()
    assert pieces.keys() == blobs.keys()
    for digest, found in pieces.items():
        position = 0
        for piece in found:
            assert piece.start == position
            position += piece.size
        assert position == blobs[digest]


@settings(deadline=None, max_examples=100)
@given(BLOBS, CHUNK_SIZES)
def test_chunks_are_filled_without_gaps_and_never_beyond_their_size(
    blobs: dict[Digest, int], chunk_size: int
) -> None:
    made = packed(blobs, chunk_size)
    for number, (pieces, size) in enumerate(zip(made.chunks, made.sizes, strict=True), start=1):
        position = PREFIX
        for piece in pieces:
            assert (piece.chunk, piece.offset) == (number, position + ustar.RECORD)
            position += ustar.span(piece.size)
        assert size == position + len(ustar.TRAILER) <= chunk_size
        assert pieces, "a chunk is opened for a blob"


@settings(deadline=None, max_examples=100)
@given(BLOBS, CHUNK_SIZES)
def test_only_a_blob_that_fits_no_chunk_is_cut(blobs: dict[Digest, int], chunk_size: int) -> None:
    free = room(chunk_size, PREFIX)
    for digest, found in packed(blobs, chunk_size).pieces().items():
        if ustar.span(blobs[digest]) <= free:
            assert [piece.part for piece in found] == [None]
            continue
        assert [piece.part for piece in found] == list(range(len(found)))
        assert all(later.chunk == first.chunk + 1 for first, later in pairwise(found))
        assert all(ustar.span(piece.size) == free for piece in found[:-1])
        assert all(piece.offset == PREFIX + ustar.RECORD for piece in found)
        assert 0 < found[-1].size <= free - ustar.RECORD


@settings(deadline=None)
@given(BLOBS, CHUNK_SIZES, st.randoms(use_true_random=False))
def test_the_order_in_which_blobs_are_given_changes_nothing(
    blobs: dict[Digest, int], chunk_size: int, random: object
) -> None:
    rows = list(blobs.items())
    random.shuffle(rows)  # type: ignore[attr-defined]
    assert packed(dict(rows), chunk_size) == packed(blobs, chunk_size)


def by_the_book(blobs: dict[Digest, int], chunk_size: int) -> list[list[tuple[Digest, int]]]:
    """Do what schemas/README.md says, in the plainest way: first fit, decreasing."""
    free = (chunk_size - PREFIX - 1024) // 512 * 512
    chunks: list[list[tuple[Digest, int]]] = []
    left: list[int] = []
    for digest, size in sorted(blobs.items(), key=lambda item: (-item[1], item[0])):
        if 512 + -(-size // 512) * 512 > free:
            for start in range(0, size, free - 512):
                part = min(free - 512, size - start)
                chunks.append([(digest, part)])
                left.append(free - 512 - -(-part // 512) * 512)
            continue
        need = 512 + -(-size // 512) * 512
        where = next((n for n, there in enumerate(left) if there >= need), len(chunks))
        if where == len(chunks):
            chunks.append([])
            left.append(free)
        chunks[where].append((digest, size))
        left[where] -= need
    return chunks


@settings(deadline=None, max_examples=100)
@given(BLOBS, CHUNK_SIZES)
def test_the_packing_is_the_one_of_the_format(blobs: dict[Digest, int], chunk_size: int) -> None:
    made = packed(blobs, chunk_size)
    found = [[(piece.digest, piece.size) for piece in pieces] for pieces in made.chunks]
    assert found == by_the_book(blobs, chunk_size)


@given(st.integers(0, 10_000), st.integers(0, 20_000))
def test_a_chunk_that_holds_nothing_is_refused_with_the_least_size(
    prefix_size: int, chunk_size: int
) -> None:
    try:
        free = room(chunk_size, prefix_size)
    except UsageError as error:
        least = re.search(r"is (\d+) bytes at least", error.hint)
        assert least
        assert int(least[1]) > chunk_size
        assert room(int(least[1]), prefix_size) >= 1024
    else:
        assert free % 512 == 0
        assert prefix_size + free + 1024 <= chunk_size < prefix_size + free + 1024 + 512


def test_more_parts_than_can_be_numbered_are_refused() -> None:
    free = room(PREFIX + 2048, PREFIX)
    most = (free - 512) * packing.MAX_PARTS
    made = packed({Digest.of(b"x"): most}, PREFIX + 2048)
    assert len(made.chunks) == packing.MAX_PARTS
    with pytest.raises(UsageError, match="more than 99999 parts"):
        packed({Digest.of(b"x"): most + 1}, PREFIX + 2048)


@given(
    st.lists(st.integers(1, 100), max_size=20),
    st.lists(st.integers(0, 500), min_size=1, max_size=5),
    st.integers(0, 50),
)
def test_media_take_no_more_than_they_hold(
    sizes: list[int], capacities: list[int], reserve: int
) -> None:
    try:
        placed = place(sizes, capacities, reserve)
    except UsageError:
        assert 0 not in capacities
        return
    assert len(placed) == len(sizes)
    for number, capacity in enumerate(capacities):
        there = sum(s for s, at in zip(sizes, placed, strict=True) if at == number)
        assert not there or not capacity or there + reserve <= capacity


# -- bytes ----------------------------------------------------------------------------------------


def noise(size: int) -> bytes:
    return hashlib.shake_128(str(size).encode()).digest(size)


FILES = st.lists(
    st.binary(max_size=40) | EDGES.map(bytes) | st.integers(0, 30_000).map(noise),
    min_size=1,
    max_size=8,
)
BUNDLES = st.tuples(FILES, st.integers(6000, 20_000), st.booleans())


def build(folder: Path, made: tuple[list[bytes], int, bool]) -> Bundle:
    files, chunk_size, compress = made

    def artifacts(kept: Contents) -> tuple[LockedArtifact, ...]:
        named = {f"file-{number}": data for number, data in enumerate(files)}
        rows = b"".join(b"row %d of many\n" % number for number in range(6000))
        if compress:
            named["rows.txt"] = rows
        return (factory.model(kept, "org/name", "1", named),)

    return factory.build(folder, artifacts, compress=compress, chunk_size=chunk_size)


def joined(bundle: Bundle) -> dict[str, bytes]:
    """Open the bundle without dray: extract every chunk, join the parts, decode what is encoded."""
    members: dict[str, bytes] = {}
    for path in sorted(bundle.folder.glob("*.tar")):
        with tarfile.open(path, "r:") as tar:
            names = tar.getnames()
            assert names[:2] == ["oci-layout", "index.json"]
            assert len(set(names)) == len(names)
            assert not set(names[2:]) & members.keys()
            for item in tar:
                members[item.name] = tar.extractfile(item).read()  # type: ignore[union-attr]
    blobs: dict[str, bytes] = {}
    for name in sorted(members):
        match name.split("/"):
            case ["blobs", "sha256", digest]:
                blobs[digest] = members[name]
            case ["parts", kind, digest, _number]:
                blobs[f"{kind}/{digest}"] = blobs.get(f"{kind}/{digest}", b"") + members[name]
            case ["encoded", "zstd", digest]:
                blobs[f"zstd/{digest}"] = members[name]
            case _:
                assert name in {"oci-layout", "index.json"}
    return {name.rpartition("/")[2]: plain(name, data) for name, data in blobs.items()}


def plain(name: str, data: bytes) -> bytes:
    import zstandard

    if not name.startswith("zstd/"):
        return data
    reader = zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True)
    return reader.read()


def check(bundle: Bundle) -> Report:
    return verify(bundle.manifest, Media.find(bundle.folders), workers=1)


@settings(deadline=None, max_examples=25)
@given(BUNDLES)
def test_what_was_exported_comes_out_of_the_chunks_without_dray(
    made: tuple[list[bytes], int, bool],
) -> None:
    with TemporaryDirectory() as folder:
        bundle = build(Path(folder), made)
        blobs = joined(bundle)
        assert blobs.keys() == {blob.digest.hex for blob in bundle.manifest.blobs}
        assert all(hashlib.sha256(data).hexdigest() == name for name, data in blobs.items())
        assert {hashlib.sha256(data).hexdigest() for data in made[0]} <= blobs.keys()
        for chunk in bundle.manifest.chunks:
            data = bundle.chunk(chunk.number).read_bytes()
            assert (len(data), hashlib.sha256(data).hexdigest()) == (chunk.size, chunk.digest.hex)
            assert data.startswith(prefix(bundle.manifest.index))
            assert len(data) <= made[1]
        report = check(bundle)
        assert (report.bad, report.missing, report.notes) == ([], [], [])


def laid_out(stored: list[int], start: int, end: int) -> list[list[tuple[int, int, int]]]:
    """Do what schemas/README.md says of encoded blobs: chunk from 0, offset, size of each part."""
    chunk, position = 0, start
    blobs = []
    for length in stored:
        left, parts = length, list[tuple[int, int, int]]()
        while left or not parts:
            if position + 1024 > end:
                chunk, position = chunk + 1, start
            size = min(left, end - position - 512)
            parts.append((chunk, position + 512, size))
            position += 512 + -(-size // 512) * 512
            left -= size
        blobs.append(parts)
    return blobs


@settings(deadline=None, max_examples=10)
@given(st.lists(st.integers(65_530, 120_000), min_size=1, max_size=4), st.integers(6000, 40_000))
def test_blobs_of_unknown_length_lie_where_the_format_says(
    sizes: list[int], chunk_size: int
) -> None:
    rows = [b"".join(b"%d row %d\n" % (n, row) for row in range(9000)) for n in range(4)]
    texts = [rows[n][:size] if n % 2 else noise(size + n) for n, size in enumerate(sizes)]
    with TemporaryDirectory() as folder:
        made = build(Path(folder), (texts, chunk_size, True)).manifest
    start = len(prefix(made.index))
    files = {c.digest for a in made.artifacts for c in a.files if c.size >= 65_536}
    found = sorted((blob for blob in made.blobs if blob.digest in files), key=lambda b: b.digest)
    others = [blob for blob in made.blobs if blob.digest not in files]
    first = max(part.chunk for blob in others for part in blob.parts) + 1
    end = start + (chunk_size - start - 1024) // 512 * 512
    assert [
        [(part.chunk - first, part.offset, part.size) for part in blob.parts] for blob in found
    ] == laid_out([blob.stored_size for blob in found], start, end)
    assert "zstd" in {blob.encoding for blob in found}


@settings(deadline=None, max_examples=10)
@given(BUNDLES)
def test_the_same_content_gives_the_same_chunks(made: tuple[list[bytes], int, bool]) -> None:
    with TemporaryDirectory() as one, TemporaryDirectory() as other:
        first, second = build(Path(one), made).manifest, build(Path(other), made).manifest
    assert first.chunks == second.chunks


@settings(deadline=None, max_examples=25)
@given(BUNDLES, st.data())
def test_any_changed_byte_of_any_chunk_is_found_and_the_file_named(
    made: tuple[list[bytes], int, bool], data: st.DataObject
) -> None:
    with TemporaryDirectory() as folder:
        bundle = build(Path(folder), made)
        number = data.draw(st.integers(1, len(bundle.manifest.chunks)))
        path = bundle.chunk(number)
        changed = bytearray(path.read_bytes())
        places = st.integers(0, len(changed) - 1) | st.sampled_from([0, 124, 511, len(changed) - 1])
        changed[data.draw(places)] ^= data.draw(st.integers(1, 255))
        path.write_bytes(changed)
        report = check(bundle)
        assert {Path(finding.file) for finding in report.bad} == {path}
        assert report.missing == []


@settings(deadline=None, max_examples=15)
@given(BUNDLES, st.data())
def test_a_chunk_of_another_length_is_found(
    made: tuple[list[bytes], int, bool], data: st.DataObject
) -> None:
    with TemporaryDirectory() as folder:
        bundle = build(Path(folder), made)
        number = data.draw(st.integers(1, len(bundle.manifest.chunks)))
        path = bundle.chunk(number)
        whole = path.read_bytes()
        length = data.draw(st.integers(0, len(whole) + 2000).filter(lambda n: n != len(whole)))
        path.write_bytes(whole[:length].ljust(length, b"\0"))
        assert {Path(finding.file) for finding in check(bundle).bad} == {path}
