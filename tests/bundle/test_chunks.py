"""Every byte of a chunk follows from the manifest: names, prefix, index and geometry."""

from __future__ import annotations

import io
import json
import tarfile
from dataclasses import replace
from typing import Any

import pytest

from bundle import ustar
from bundle.artifact import Artifact, Content
from bundle.chunks import (
    Chunk,
    Part,
    StoredBlob,
    check_geometry,
    chunk_name,
    index_json,
    member_name,
    prefix,
)
from bundle.decode import Fields, Path, spell
from bundle.digest import Digest
from bundle.errors import VerificationError

A, B, C = (Digest.of(word) for word in (b"a", b"b", b"c"))
HEX = A.hex
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def fault(path: Path, message: str, hint: str) -> VerificationError:
    return VerificationError(f"{spell(path)} {message}", hint=hint)


def fields(value: object) -> Fields:
    return Fields(value, (), fault)


@pytest.mark.parametrize(
    ("encoding", "part", "name"),
    [
        ("identity", None, f"blobs/sha256/{HEX}"),
        ("identity", 0, f"parts/sha256/{HEX}/00000"),
        ("identity", 99_998, f"parts/sha256/{HEX}/99998"),
        ("zstd", None, f"encoded/zstd/{HEX}"),
        ("zstd", 12, f"parts/zstd/{HEX}/00012"),
    ],
)
def test_a_member_is_named_by_digest_encoding_and_part(
    encoding: str, part: int | None, name: str
) -> None:
    assert member_name(A, encoding, part) == name
    assert len(name) < 100


def test_a_blob_names_its_members_and_counts_its_parts() -> None:
    parts = (Part(1, 512, 3, B), Part(2, 512, 4, C))
    assert StoredBlob(A, 7, "identity", parts).member(1) == f"parts/sha256/{HEX}/00001"
    assert StoredBlob(A, 3, "identity", parts[:1]).member(0) == f"blobs/sha256/{HEX}"
    assert StoredBlob(A, 7, "identity", parts).stored_size == 7


def test_a_chunk_is_named_by_bundle_and_number() -> None:
    assert chunk_name("prod-000042", 7) == "prod-000042.chunk-00007.tar"
    assert chunk_name("prod-000042", 123_456) == "prod-000042.chunk-123456.tar"


def test_blobs_and_chunks_read_back_what_they_wrote() -> None:
    blob = StoredBlob(A, 7, "zstd", (Part(1, 512, 3, B), Part(2, 512, 0, C)))
    chunk = Chunk(1, "prod-000042.chunk-00001.tar", 10, C)
    assert StoredBlob.read(fields(blob.to_dict())) == blob
    assert Chunk.read(fields(chunk.to_dict())) == chunk


@pytest.mark.parametrize("encoding", ["gzip", "delta", "", 1])
def test_an_unknown_encoding_is_refused(encoding: object) -> None:
    body = StoredBlob(A, 7, "zstd", ()).to_dict() | {"encoding": encoding}
    with pytest.raises(VerificationError, match=r"^encoding"):
        StoredBlob.read(fields(body))


def image(*contents: Content, root: Digest, repository: str = "host/a") -> Artifact:
    return Artifact("image", f"{repository}:1", repository, "1", root, contents)


def manifest(digest: Digest, *tags: str, subject: Digest | None = None) -> Content:
    return Content("manifest", MANIFEST, digest, 7, tags=tags, subject=subject)


def rows(*artifacts: Artifact) -> list[Any]:
    listed: list[Any] = json.loads(index_json(artifacts))["manifests"]
    return listed


def named(entry: dict[str, Any]) -> tuple[Digest, str]:
    name = entry.get("annotations", {}).get("org.opencontainers.image.ref.name", "")
    return Digest(entry["digest"]), name


def test_the_index_lists_what_is_tagged_is_a_root_or_refers_to_another() -> None:
    layer = Content("layer", "a/b", B, 7)
    child, root = manifest(A), Content("index", "a/i", C, 7, tags=("1", "latest"))
    about = manifest(Digest.of(b"signature"), subject=C)
    found = rows(image(layer, child, root, about, root=C))
    wanted = [(C, "host/a:1"), (C, "host/a:latest"), (about.digest, "")]
    assert sorted(map(named, found)) == sorted(wanted)
    assert {entry["mediaType"] for entry in found} == {MANIFEST, "a/i"}


def test_a_root_without_a_tag_is_listed_without_a_name() -> None:
    assert rows(image(manifest(A), root=A)) == [{"mediaType": MANIFEST, "digest": A, "size": 7}]


def test_the_index_is_sorted_and_names_nothing_twice() -> None:
    one = image(manifest(A, "z", "b"), root=A)
    same = image(manifest(A, "b"), root=A, repository="host/other")
    found = list(map(named, rows(one, one, same)))
    assert found == [(A, "host/a:b"), (A, "host/a:z"), (A, "host/other:b")]
    assert index_json([one, same]) == index_json([same, one])


def test_the_index_has_these_bytes() -> None:
    assert index_json([image(manifest(A, "1"), root=A)]) == (
        b'{"manifests":[{"annotations":{"org.opencontainers.image.ref.name":"host/a:1"},'
        b'"digest":"' + A.encode() + b'","mediaType":"' + MANIFEST.encode() + b'","size":7}],'
        b'"mediaType":"application/vnd.oci.image.index.v1+json","schemaVersion":2}'
    )


def test_every_chunk_begins_with_an_oci_layout() -> None:
    data = prefix(b'{"x":1}') + ustar.TRAILER
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
        read = {item.name: tar.extractfile(item).read() for item in tar}  # type: ignore[union-attr]
    assert list(read) == ["oci-layout", "index.json"]
    assert json.loads(read["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
    assert read["index.json"] == b'{"x":1}'


# -- geometry -------------------------------------------------------------------------------------

ARTIFACTS = (image(Content("layer", "a/b", B, 600), manifest(A), root=A),)
START = len(prefix(index_json(ARTIFACTS)))
BLOBS = (
    StoredBlob(A, 7, "identity", (Part(1, START + 512, 7, A),)),
    StoredBlob(B, 600, "identity", (Part(1, START + 1536, 512, C), Part(2, START + 512, 88, C))),
)
CHUNKS = (Chunk(1, "1", START + 2048 + 1024, C), Chunk(2, "2", START + 1024 + 1024, C))


def check(
    artifacts: tuple[Artifact, ...] = ARTIFACTS,
    blobs: tuple[StoredBlob, ...] = BLOBS,
    chunks: tuple[Chunk, ...] = CHUNKS,
) -> None:
    check_geometry(artifacts, blobs, chunks, fault)


def blob(number: int, **changes: Any) -> tuple[StoredBlob, ...]:
    made = list(BLOBS)
    made[number] = replace(BLOBS[number], **changes)
    return tuple(made)


def part(number: int, **changes: Any) -> tuple[StoredBlob, ...]:
    """Change the second blob's part."""
    parts = list(BLOBS[1].parts)
    parts[number] = replace(parts[number], **changes)
    return blob(1, parts=tuple(parts))


def chunk(number: int, **changes: Any) -> tuple[Chunk, ...]:
    made = list(CHUNKS)
    made[number] = replace(CHUNKS[number], **changes)
    return tuple(made)


def test_chunks_that_are_exactly_filled_are_taken() -> None:
    check()


def test_no_artifacts_and_no_chunks_are_taken() -> None:
    check((), (), ())


def test_a_chunk_without_blobs_is_taken_in_its_length() -> None:
    check(chunks=(*CHUNKS, Chunk(3, "3", START + 1024, C)))
    with pytest.raises(VerificationError, match=r"chunks\[2\] is not as long"):
        check(chunks=(*CHUNKS, Chunk(3, "3", START + 512, C)))


@pytest.mark.parametrize(
    ("made", "message"),
    [
        ({"chunks": CHUNKS[::-1]}, "chunks is not numbered from 1"),
        ({"chunks": CHUNKS[1:]}, "chunks is not numbered from 1"),
        ({"blobs": (*BLOBS, BLOBS[0])}, "blobs names a blob twice"),
        ({"blobs": BLOBS[1:]}, f"blobs lacks {A} of host/a:1"),
        ({"blobs": blob(0, size=8)}, f"blobs lacks {A} of host/a:1"),
        ({"blobs": (*BLOBS, replace(BLOBS[0], digest=C))}, "blobs holds a blob that no artifact"),
        ({"blobs": blob(1, parts=())}, r"blobs\[1\] has no parts, or too many"),
        (
            {"blobs": blob(1, parts=BLOBS[1].parts * 50_000)},
            r"blobs\[1\] has no parts, or too many",
        ),
        ({"blobs": part(1, size=87)}, r"blobs\[1\] has parts that do not add up to its size"),
        (
            {"blobs": blob(0, parts=(replace(BLOBS[0].parts[0], digest=C),))},
            r"blobs\[0\] has one part with another digest",
        ),
        ({"blobs": part(1, chunk=3)}, r"blobs\[1\] lies in chunk 3, which is not listed"),
        ({"blobs": part(0, offset=START + 1537)}, r"chunks\[0\] has a gap or overlap"),
        ({"blobs": part(0, offset=START + 2048)}, r"chunks\[0\] has a gap or overlap"),
        ({"blobs": part(0, offset=START + 512)}, r"chunks\[0\] has a gap or overlap"),
        ({"blobs": part(1, offset=0)}, r"chunks\[1\] has a gap or overlap"),
        ({"blobs": part(1, chunk=1)}, r"chunks\[0\] has a gap or overlap"),
        ({"chunks": chunk(1, size=CHUNKS[1].size + 512)}, r"chunks\[1\] is not as long"),
        ({"chunks": chunk(0, size=CHUNKS[0].size - 1)}, r"chunks\[0\] is not as long"),
    ],
)
def test_a_geometry_that_lies_is_refused(made: dict[str, Any], message: str) -> None:
    with pytest.raises(VerificationError, match=f"^{message}"):
        check(**made)


def test_parts_of_an_encoded_blob_may_have_any_size_and_digest() -> None:
    check(blobs=blob(1, encoding="zstd", size=600))
    stored = (replace(BLOBS[1].parts[0], size=100), replace(BLOBS[1].parts[1], size=1))
    chunks = (replace(CHUNKS[0]), replace(CHUNKS[1]))
    check(blobs=blob(1, encoding="zstd", parts=stored), chunks=chunks)
