"""Lies in the bytes: any file of a bundle flipped, cut, extended, emptied, or missing."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from bundle import ustar
from tests.refusals.table import IMPORT, VERIFY, VERIFY_FIRST, Lie, check, dray, rows

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.factory import Bundle

    Tell = Callable[[Bundle], object]

FIRST = "chunk-00001.tar"
COPY = "copy this file again from the low side"
OTHER = "has other bytes than were signed"
STRUCTURE = "not the tar structure that was signed"


def edit(path: Path, change: Callable[[bytearray], object]) -> None:
    data = bytearray(path.read_bytes())
    change(data)
    path.write_bytes(data)


def flip_in(path: Path, at: int) -> None:
    def change(data: bytearray) -> None:
        data[at] ^= 1

    edit(path, change)


def flip(ending: str, at: int) -> Tell:
    return lambda bundle: flip_in(bundle.path(ending), at)


def cut(ending: str, count: int = 1) -> Tell:
    return lambda bundle: edit(
        bundle.path(ending), lambda data: data.__delitem__(slice(-count, None))
    )


def extend(ending: str, tail: bytes = b"\0") -> Tell:
    return lambda bundle: edit(bundle.path(ending), lambda data: data.extend(tail))


def empty(ending: str) -> Tell:
    return lambda bundle: bundle.path(ending).write_bytes(b"")


def missing(ending: str) -> Tell:
    return lambda bundle: bundle.path(ending).unlink()


def readme(change: Callable[[Path], object]) -> Tell:
    return lambda bundle: change(bundle.folder / "README.txt")


def in_member(where: str, *, cut_blob: bool = False) -> Tell:
    """Flip a byte of a member of a chunk: its header, the data's begin or end, or the padding."""

    def tell(bundle: Bundle) -> None:
        blob = next(
            blob
            for blob in bundle.manifest.blobs
            if (len(blob.parts) > 1) == cut_blob and ustar.padding(blob.parts[-1].size)
        )
        part = blob.parts[-1]
        places = {
            "name": part.offset - ustar.RECORD,
            "size": part.offset - ustar.RECORD + 130,
            "type": part.offset - ustar.RECORD + 156,
            "link": part.offset - ustar.RECORD + 157,
            "first": part.offset,
            "last": part.offset + part.size - 1,
            "padding": part.offset + part.size,
        }
        flip_in(bundle.chunk(part.chunk), places[where])

    return tell


def last_manifest(bundle: Bundle) -> None:
    """Flip a byte of the second image's manifest: the first image could be published by then."""
    artifact = [item for item in bundle.manifest.artifacts if item.kind == "image"][-1]
    part = bundle.manifest.blob[artifact.root].parts[0]
    flip_in(bundle.chunk(part.chunk), part.offset + 40)


CHUNKS = (
    Lie("a byte of an image's manifest is flipped", last_manifest, 3, OTHER[4:], COPY, inside=True),
    Lie("the first byte of a chunk is flipped", flip(FIRST, 0), 3, STRUCTURE, COPY),
    Lie("a byte of oci-layout is flipped", flip(FIRST, 515), 3, STRUCTURE, COPY),
    Lie("a byte of index.json is flipped", flip(FIRST, 1600), 3, STRUCTURE, COPY),
    Lie("the trailer of a chunk is flipped", flip(FIRST, -1), 3, STRUCTURE, COPY),
    Lie("a member has another name", in_member("name"), 3, "tar", COPY, inside=True),
    Lie("a member has another size", in_member("size"), 3, "tar", COPY, inside=True),
    Lie("a member is a link", in_member("type"), 3, "tar", COPY, inside=True),
    Lie("a member names what it links to", in_member("link"), 3, "tar", COPY, inside=True),
    Lie("the first byte of a blob is flipped", in_member("first"), 3, OTHER[4:], COPY, inside=True),
    Lie("the last byte of a blob is flipped", in_member("last"), 3, OTHER[4:], COPY, inside=True),
    Lie("padding holds something", in_member("padding"), 3, "that was signed", COPY, inside=True),
    Lie(
        "a byte of a part of a cut blob is flipped",
        in_member("first", cut_blob=True),
        3,
        OTHER[4:],
        COPY,
        inside=True,
    ),
    Lie(
        "the last byte of a cut blob is flipped",
        in_member("last", cut_blob=True),
        3,
        OTHER[4:],
        inside=True,
    ),
    Lie(
        "the header of a part is another",
        in_member("name", cut_blob=True),
        3,
        "tar header",
        COPY,
        inside=True,
    ),
    Lie("a chunk is cut by one byte", cut(FIRST), 3, "is 1 bytes short", COPY),
    Lie("a chunk is cut to half", cut(FIRST, 8192), 3, "is 8192 bytes short", COPY),
    Lie("a chunk is extended by one byte", extend(FIRST), 3, "is 1 bytes too long", COPY),
    Lie("a chunk is emptied", empty(FIRST), 3, "bytes short: 0 bytes", COPY),
    Lie("a chunk is missing", missing(FIRST), 4, "is missing", "belongs on medium 1 of 1"),
)

SMALL = (
    Lie("README.txt is flipped", readme(lambda p: flip_in(p, 5)), 3, OTHER, COPY),
    Lie("README.txt is emptied", readme(lambda p: p.write_bytes(b"")), 3, "is 0 bytes long", COPY),
    Lie("README.txt is missing", readme(lambda p: p.unlink()), 4, "README.txt", "copy it again"),
    *(
        lie
        for ending in ("sha256sums", "lock.yaml", "trusted-root.json")
        for lie in (
            Lie(f"a byte of {ending} is flipped", flip(ending, 3), 3, OTHER, COPY),
            Lie(f"{ending} is cut by one byte", cut(ending), 3, "bytes long", COPY),
            Lie(f"{ending} is extended by one byte", extend(ending), 3, "bytes long", COPY),
            Lie(f"{ending} is emptied", empty(ending), 3, "is 0 bytes long", COPY),
            Lie(f"{ending} is missing", missing(ending), 4, ending, "copy it again"),
        )
    ),
)

MANIFEST = "manifest.json"
SIGSTORE = "manifest.json.dray.sigstore.json"
RAW = "manifest.json.dray.sig"
UNSIGNED = "it was made for other bytes"
AGAIN = "copy it and its signature files again"

SIGNED = (
    *(
        Lie(f"byte {at} of the manifest is flipped", flip(MANIFEST, at), 5, UNSIGNED, AGAIN)
        for at in (0, 1, 100, 2000, -2, -1)
    ),
    Lie("the manifest is cut by one byte", cut(MANIFEST), 5, UNSIGNED, AGAIN),
    Lie("the manifest is extended by a space", extend(MANIFEST, b" "), 5, UNSIGNED, AGAIN),
    Lie("the manifest is emptied", empty(MANIFEST), 5, UNSIGNED, AGAIN),
    Lie("the manifest is missing", missing(MANIFEST), 4, "manifest.json is on none of the media"),
    Lie("the signature file is missing", missing(SIGSTORE), 5, "no signature file is here"),
    Lie("the signature file is emptied", empty(SIGSTORE), 5, "is not strict JSON"),
    Lie("the signature file is cut by one byte", cut(SIGSTORE, 3), 5, "is not strict JSON"),
    Lie("the signature file goes on", extend(SIGSTORE, b"{}"), 5, "is not strict JSON"),
    Lie("the signature file is huge", extend(SIGSTORE, bytes(70_000)), 3, "is larger than", COPY),
    Lie("the raw signature is flipped", flip(RAW, 9), 3, "is not the signature of", COPY),
    Lie("the raw signature is cut", cut(RAW), 3, "is not the signature of", COPY),
    Lie("the raw signature is extended", extend(RAW), 3, "is not the signature of", COPY),
    Lie("the raw signature is emptied", empty(RAW), 3, "is not the signature of", COPY),
    Lie("the raw signature is huge", extend(RAW, bytes(70_000)), 3, "is larger than", COPY),
)


def parts_of(bundle: Bundle, ending: str) -> None:
    folder = bundle.folders[1]
    flip_in(folder / f"{bundle.name}.{ending}", 9)


def only(number: int) -> Tell:
    def tell(bundle: Bundle) -> None:
        for path in bundle.folders[number].iterdir():
            path.unlink()

    return tell


def second_copy(bundle: Bundle) -> None:
    """The first chunk is on both media, and only the copy is damaged."""
    first, second = bundle.folders
    name = f"{bundle.name}.{FIRST}"
    shutil.copy(first / name, second)
    part = next(bundle.manifest.parts_of(1))[2]
    flip_in(second / name, part.offset)


SPREAD = (
    Lie(
        "the second copy of a chunk is flipped",
        second_copy,
        3,
        OTHER[4:],
        COPY,
        bundle="spread",
        ways=(VERIFY, VERIFY_FIRST),
    ),
    Lie(
        "the manifest on one medium of two is flipped",
        lambda bundle: parts_of(bundle, MANIFEST),
        3,
        "is damaged: other media hold a signed one",
        COPY,
        bundle="spread",
    ),
    Lie(
        "the signature file on one medium of two is flipped",
        lambda bundle: edit(
            bundle.folders[1] / f"{bundle.name}.{SIGSTORE}", lambda data: data.__setitem__(9, 0)
        ),
        3,
        "is not strict JSON",
        COPY,
        bundle="spread",
    ),
    Lie(
        "the list of digests on one medium of two is flipped",
        lambda bundle: parts_of(bundle, "sha256sums"),
        3,
        OTHER,
        COPY,
        bundle="spread",
    ),
    Lie("the second medium is blank", only(1), 4, "is missing", "medium 2 of 2", bundle="spread"),
    Lie("the first medium is blank", only(0), 4, "is missing", "medium 1 of 2", bundle="spread"),
)


@rows(CHUNKS, SMALL, SIGNED, SPREAD)
def test_a_lie_in_the_bytes_is_refused(
    lie: Lie, way: str, bundle: Bundle, target: Path, isolated: Path
) -> None:
    check(lie, way, bundle, target, isolated)


@pytest.mark.parametrize("kind", ["plain", "packed", "spread"])
@pytest.mark.parametrize("way", [VERIFY, IMPORT])
def test_the_bundles_that_the_lies_begin_with_are_good(
    kind: str, way: str, good: dict[str, Bundle], tmp_path: Path
) -> None:
    bundle = good[kind]
    to = () if way == VERIFY else ("--to", tmp_path / "warehouse")
    answer = dray(way, "--trust", bundle.trust, *to, *bundle.folders, folder=tmp_path)
    assert answer.code == 0, answer
