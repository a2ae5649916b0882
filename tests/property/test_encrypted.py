"""Encrypted chunks under any change: nothing comes out of a segment that is not authentic."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bundle import segments
from bundle.chunks import prefix
from bundle.errors import VerificationError
from bundle.media import Media
from bundle.reader import Reader
from bundle.segments import Cuts
from bundle.verify import verify
from tests import factory, keys

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bundle.digest import Digest
    from tests.factory import Bundle

SEGMENT = 1024
MINE = keys.recipient("mine")


@dataclass(frozen=True)
class Good:
    """A good bundle, all its chunks, and what each blob is."""

    bundle: Bundle
    chunks: dict[int, bytes]
    cuts: dict[int, Cuts]
    blobs: dict[Digest, bytes]


@pytest.fixture(scope="module", autouse=True)
def small() -> Iterator[None]:
    with mock.patch.object(segments, "SEGMENT", SEGMENT):
        yield


@pytest.fixture(scope="module", params=[False, True], ids=["as it is", "compressed"])
def good(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, small: None
) -> Good:
    artifacts = factory.packable if request.param else factory.sample
    folder = tmp_path_factory.mktemp("good")
    recipients = (MINE.public_key,)
    bundle = factory.build(folder, artifacts, compress=request.param, recipients=recipients)
    manifest, media = bundle.manifest, Media.find(bundle.folders)
    start = len(prefix(manifest.index))
    cuts = {
        chunk.number: Cuts(start, [(p.offset, p.size) for *_, p in manifest.parts_of(chunk.number)])
        for chunk in manifest.chunks
    }
    reader = Reader(manifest, media, MINE)
    blobs = {blob.digest: b"".join(reader.blob(blob.digest).blocks()) for blob in manifest.blobs}
    chunks = {number: bundle.chunk(number).read_bytes() for number in cuts}
    return Good(bundle, chunks, cuts, blobs)


def changed(good: Good, number: int, data: st.DataObject) -> bytes:
    """Return a chunk's file with one thing wrong, in its whole length where that is possible."""
    whole, found = good.chunks[number], list(good.cuts[number])
    here = data.draw(st.sampled_from(found))
    there = data.draw(st.sampled_from(found))
    stored = whole[here.position : here.position + here.stored]
    match data.draw(st.sampled_from(["flip", "cut", "swap", "twice", "drop", "zeros", "more"])):
        case "flip":
            at = data.draw(st.integers(0, len(whole) - 1))
            return whole[:at] + bytes([whole[at] ^ 1 << at % 8]) + whole[at + 1 :]
        case "cut":
            return whole[: here.position]
        case "swap" if here.size == there.size:
            made = bytearray(whole)
            other = whole[there.position : there.position + there.stored]
            made[here.position : here.position + here.stored] = other
            made[there.position : there.position + there.stored] = stored
            return bytes(made)
        case "twice":
            return whole[: here.position] + stored + whole[here.position :]
        case "drop":
            return whole[: here.position] + whole[here.position + here.stored :]
        case "zeros":
            return (
                whole[: here.position] + bytes(here.stored) + whole[here.position + here.stored :]
            )
    return whole + b"\0"


def released(reader: Reader, digest: Digest) -> tuple[bytes, bool]:
    """Return what came out of a blob, and whether it was refused."""
    out = bytearray()
    try:
        for block in reader.blob(digest).blocks():
            out += block
    except VerificationError:
        return bytes(out), True
    return bytes(out), False


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_nothing_wrong_is_ever_released_and_every_change_is_named(
    good: Good, data: st.DataObject
) -> None:
    number = data.draw(st.sampled_from(sorted(good.chunks)))
    wrong = changed(good, number, data)
    with TemporaryDirectory() as folder:
        root = Path(folder) / good.bundle.name
        shutil.copytree(good.bundle.folder, root)
        name = good.bundle.chunk(number).name
        (root / name).write_bytes(wrong)
        manifest, media = good.bundle.manifest, Media.find([root])
        reader = Reader(manifest, media, MINE)
        for digest, plain in good.blobs.items():
            out, refused = released(reader, digest)
            assert plain.startswith(out)
            assert refused or out == plain
        same = wrong == good.chunks[number]
        for recipient in (MINE, None):
            bad = verify(manifest, media, recipient=recipient, workers=1).bad
            assert bool(bad) != same
            assert {Path(finding.file).name for finding in bad} <= {name}


@settings(deadline=None, max_examples=30)
@given(st.data())
def test_a_segment_that_authenticates_nowhere_stops_at_its_own_first_byte(
    good: Good, data: st.DataObject
) -> None:
    """Of a damaged segment not one byte comes out; of those before it, all do."""
    blob = max(good.bundle.manifest.blobs, key=lambda b: b.stored_size)
    part = blob.parts[0]
    first = good.cuts[part.chunk].at(part.offset)
    inside = [s for s in good.cuts[part.chunk] if first.number <= s.number]
    inside = [s for s in inside if s.offset < part.offset + part.size]
    bad = data.draw(st.sampled_from(inside))
    whole = bytearray(good.chunks[part.chunk])
    whole[bad.position + data.draw(st.integers(0, bad.stored - 1))] ^= 1
    with TemporaryDirectory() as folder:
        root = Path(folder) / good.bundle.name
        shutil.copytree(good.bundle.folder, root)
        (root / good.bundle.chunk(part.chunk).name).write_bytes(whole)
        reader = Reader(good.bundle.manifest, Media.find([root]), MINE)
        out = bytearray()
        with pytest.raises(VerificationError, match="not the segment that was encrypted here"):
            for block in reader.part_blocks(blob, 0):
                out += block
        # A read may span segments: what is whole before the bad one is at most one read away.
        assert len(out) <= bad.offset - part.offset
