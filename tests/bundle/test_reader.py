"""Blobs are read from any offset, and no byte that is not as signed gets past the reader."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from bundle import reader as module
from bundle import ustar
from bundle.chunks import Part, StoredBlob
from bundle.digest import Digest
from bundle.errors import MediaIncomplete, VerificationError
from bundle.media import Media
from bundle.reader import Reader
from tests import factory

if TYPE_CHECKING:
    from pathlib import Path

    from bundle.manifest import Manifest
    from bundle.reader import MediumBlob
    from tests.factory import Bundle

WEIGHTS = factory.noise("sample weights", 40_000)


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return factory.build(tmp_path)


def open_(bundle: Bundle, manifest: Manifest | None = None) -> Reader:
    return Reader(manifest or bundle.manifest, Media.find(bundle.folders))


def cut(reader: Reader) -> MediumBlob:
    """Return the blob that lies in several parts."""
    return next(reader.blob(blob.digest) for blob in reader.manifest.blobs if len(blob.parts) > 1)


def flip(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


def test_every_blob_is_read_as_it_was(bundle: Bundle) -> None:
    reader = open_(bundle)
    for blob in bundle.manifest.blobs:
        data = b"".join(reader.blob(blob.digest).blocks())
        assert (len(data), hashlib.sha256(data).hexdigest()) == (blob.size, blob.digest.hex)
        assert reader.blob(blob.digest).size == blob.size


def from_offset(blob: MediumBlob, data: bytes, offset: int) -> bytes:
    return b"".join(blob.blocks(offset=offset, sha=hashlib.sha256(data[:offset])))


def test_a_cut_blob_is_read_from_any_offset(bundle: Bundle) -> None:
    blob = cut(open_(bundle))
    edge = blob.stored.parts[0].size
    for offset in (0, 1, edge - 1, edge, edge + 1, 2 * edge, 39_999, 40_000):
        assert from_offset(blob, WEIGHTS, offset) == WEIGHTS[offset:]


def test_an_encoded_blob_is_read_from_any_offset(tmp_path: Path) -> None:
    bundle = factory.build(tmp_path, factory.packable, compress=True)
    (stored,) = (blob for blob in bundle.manifest.blobs if blob.encoding == "zstd")
    blob = open_(bundle).blob(stored.digest)
    data = b"".join(blob.blocks())
    assert len(stored.parts) > 1
    for offset in (1, 1 << 20, len(data) - 1, len(data)):
        assert from_offset(blob, data, offset) == data[offset:]


def test_a_blob_with_empty_parts_is_read_from_any_offset(tmp_path: Path) -> None:
    """No writer of ours makes them, and the format does not forbid them."""
    data = b"0123456789"
    digest, empty = Digest.of(data), Digest.of(b"")
    pieces = [b"", data[:4], b"", data[4:], b""]
    parts, chunk = [], bytearray()
    for number, piece in enumerate(pieces):
        chunk += ustar.member(f"parts/sha256/{digest.hex}/{number:05d}", piece)
        offset = len(chunk) - ustar.span(len(piece)) + ustar.RECORD
        parts.append(Part(1, offset, len(piece), Digest.of(piece)))
    stored = StoredBlob(digest, len(data), "identity", tuple(parts))
    bundle = factory.build(tmp_path)
    bundle.chunk(1).write_bytes(chunk)
    made = replace(bundle.manifest, blobs=(stored,))
    made.__dict__["users"] = {digest: ("host/a:1",)}
    blob = open_(bundle, made).blob(digest)
    assert empty in {part.digest for part in parts}
    for offset in range(len(data) + 1):
        assert from_offset(blob, data, offset) == data[offset:]


def test_another_state_of_the_hash_is_refused(bundle: Bundle) -> None:
    blob = cut(open_(bundle))
    with pytest.raises(VerificationError, match="has other bytes than"):
        list(blob.blocks(offset=5, sha=hashlib.sha256(b"other")))


def test_fewer_bytes_than_signed_come_out_of_a_bad_blob(bundle: Bundle) -> None:
    blob = cut(open_(bundle))
    part = blob.stored.parts[-1]
    flip(bundle.chunk(part.chunk), part.offset + part.size - 1)
    got = 0
    with pytest.raises(VerificationError) as caught:
        for block in blob.blocks():
            got += len(block)
    assert got < blob.size
    last = part.offset + part.size - 1
    name = bundle.chunk(part.chunk).name
    assert f"{name}: bytes {part.offset}-{last}: other bytes" in caught.value.message


@pytest.mark.parametrize("place", [0, 99, 155, 511])
def test_a_changed_header_is_refused_before_a_byte_is_read(bundle: Bundle, place: int) -> None:
    blob = cut(open_(bundle))
    flip(bundle.chunk(blob.stored.parts[0].chunk), blob.stored.parts[0].offset - 512 + place)
    with pytest.raises(VerificationError, match="its tar header is not the one that was signed"):
        next(iter(blob.blocks()))


def test_a_changed_padding_is_refused(bundle: Bundle) -> None:
    reader = open_(bundle)
    stored = next(b for b in bundle.manifest.blobs if b.size % 512 and len(b.parts) == 1)
    part = stored.parts[0]
    flip(bundle.chunk(part.chunk), part.offset + part.size)
    with pytest.raises(VerificationError, match="not the padding that was signed"):
        list(reader.blob(stored.digest).blocks())


def test_a_chunk_that_ends_early_is_refused(bundle: Bundle) -> None:
    blob = cut(open_(bundle))
    part = blob.stored.parts[1]
    with bundle.chunk(part.chunk).open("r+b") as file:
        file.truncate(part.offset + 10)
    with pytest.raises(VerificationError, match="the file ends there"):
        list(blob.blocks())


def test_a_chunk_that_is_missing_is_named_with_its_medium(bundle: Bundle) -> None:
    blob = cut(open_(bundle))
    path = bundle.chunk(blob.stored.parts[1].chunk)
    path.unlink()
    reader = Reader(bundle.manifest, Media.find(bundle.folders))
    with pytest.raises(MediaIncomplete) as caught:
        list(reader.blob(blob.digest).blocks())
    assert path.name in caught.value.message
    assert caught.value.hint == "it belongs on medium 1 of 1"


def test_a_chunk_on_no_medium_has_no_hint(bundle: Bundle) -> None:
    assert open_(bundle).missing_hint(999) == ""


def test_a_chunk_that_vanishes_while_it_is_read_is_missing(bundle: Bundle) -> None:
    blob = cut(open_(bundle))
    bundle.chunk(blob.stored.parts[1].chunk).unlink()
    with pytest.raises(MediaIncomplete, match="is gone"):
        list(blob.blocks())


def test_the_first_of_several_copies_is_read(bundle: Bundle, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in bundle.folder.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    reader = Reader(bundle.manifest, Media.find([copy, bundle.folder]))
    assert reader.chunk_path(1).parent == copy
    assert b"".join(cut(reader).blocks()) == WEIGHTS


def test_a_manifest_is_read_whole_and_nothing_large_is(bundle: Bundle) -> None:
    reader = open_(bundle)
    (root, *_) = (artifact.root for artifact in bundle.manifest.artifacts)
    assert hashlib.sha256(reader.blob(root).read()).hexdigest() == root.hex
    large = StoredBlob(root, module.MANIFEST_LIMIT + 1, "identity", ())
    with pytest.raises(VerificationError, match="too large for a manifest"):
        module.MediumBlob(reader, large).read()


def test_what_is_stored_well_and_decodes_to_others_is_refused(tmp_path: Path) -> None:
    """Then no part is bad: the low side has signed parts that are not of the blob."""
    bundle = factory.build(tmp_path, factory.packable, compress=True)
    (stored,) = (blob for blob in bundle.manifest.blobs if blob.encoding == "zstd")
    other = Digest.of(b"other")
    made = replace(bundle.manifest, blobs=(replace(stored, digest=other),))
    made.__dict__["users"] = {other: ("host/a:1",)}
    blob = open_(bundle, made).blob(other)
    with pytest.raises(VerificationError):
        list(blob.blocks())


def test_a_good_part_is_checked_alone(bundle: Bundle) -> None:
    reader = open_(bundle)
    blob = cut(reader).stored
    for number in range(len(blob.parts)):
        reader.check_part(blob, number)
    flip(bundle.chunk(blob.parts[1].chunk), blob.parts[1].offset)
    reader.check_part(blob, 0)
    with pytest.raises(VerificationError, match="other bytes than were signed"):
        reader.check_part(blob, 1)
