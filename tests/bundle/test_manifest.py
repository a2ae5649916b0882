"""The manifest is refused when any two of its fields contradict each other."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from bundle import manifest as module
from bundle.digest import Digest
from bundle.errors import VerificationError
from bundle.manifest import Manifest, bundle_name
from tests.property.test_manifest_schema import SAMPLE

if TYPE_CHECKING:
    from collections.abc import Callable

    Change = Callable[[dict[str, Any]], object]


def changed(change: Change) -> bytes:
    document = SAMPLE.to_dict()
    change(document)
    return json.dumps(document).encode()


def put(*path: Any, value: object) -> Change:
    def change(document: Any) -> None:
        for step in path[:-1]:
            document = document[step]
        document[path[-1]] = value

    return change


def read(change: Change) -> Manifest:
    return Manifest.from_bytes(changed(change))


def test_a_manifest_reads_back_equal() -> None:
    assert Manifest.from_bytes(SAMPLE.to_bytes()) == SAMPLE


def test_a_bundle_is_named_by_stream_and_six_digits() -> None:
    assert bundle_name("prod", 42) == "prod-000042"
    assert bundle_name("prod", 10**12 - 1) == "prod-999999999999"
    assert SAMPLE.name == "prod-000042"


def test_a_manifest_knows_its_blobs_and_who_needs_them() -> None:
    assert set(SAMPLE.blob) == {blob.digest for blob in SAMPLE.blobs}
    assert SAMPLE.users[Digest.of(b"root")] == ("host/a:1", "ngc/b:2")
    assert SAMPLE.users[Digest.of(b"file")] == ("ngc/b:2",)


def test_a_manifest_knows_the_index_of_its_chunks() -> None:
    names = [entry["digest"] for entry in json.loads(SAMPLE.index)["manifests"]]
    about, root = Digest.of(b"signature"), Digest.of(b"root")
    assert set(names) == {about, root}


def test_the_parts_of_a_chunk_come_by_offset() -> None:
    found = [(blob.digest, number) for blob, number, _ in SAMPLE.parts_of(1)]
    words = [(b"config", 0), (b"layer", 0), (b"root", 0), (b"file", 0)]
    assert found == [(Digest.of(word), number) for word, number in words]
    assert [part.size for _, _, part in SAMPLE.parts_of(2)] == [9, 1]
    assert list(SAMPLE.parts_of(3)) == []


def test_features_are_the_encodings_that_are_used() -> None:
    assert SAMPLE.to_dict()["features"] == ["aes256gcm-hpke-p256", "zstd"]
    plain = [blob for blob in SAMPLE.to_dict()["blobs"] if blob["encoding"] == "zstd"]
    assert len(plain) == 1


def test_a_manifest_without_a_predecessor_is_the_first() -> None:
    first = read(lambda document: document.pop("previous"))
    assert first.previous is None
    assert "previous" not in first.to_dict()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put("formatVersion", value="2.0"), "needs format 2.0, which this dray cannot read"),
        (put("formatVersion", value="0.9"), "needs format 0.9"),
        (put("features", value=["zstd", "delta", "bf16"]), "needs features bf16, delta, which"),
    ],
)
def test_what_a_newer_dray_has_written_is_refused_with_advice(change: Change, message: str) -> None:
    with pytest.raises(VerificationError, match=message) as caught:
        read(change)
    assert caught.value.hint == "install a newer dray"


def double(*path: Any) -> Change:
    def change(document: Any) -> None:
        for step in path:
            document = document[step]
        document.append(document[0])

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put("mediaType", value="application/json"), "mediaType is 'application/json'"),
        (put("formatVersion", value="1"), "formatVersion is not allowed"),
        (put("stream", value="prod-"), "stream is not allowed"),
        (put("stream", value="Prod"), "stream is not allowed"),
        (put("sequence", value=0), "sequence is 0"),
        (put("sequence", value=10**12), "sequence is 1000000000000"),
        (put("created", value="2026-01-01"), "created is not allowed"),
        (put("expires", value="2026-01-01T00:00:00+00:00"), "expires is not allowed"),
        (put("generator", value={"name": "x" * 61, "version": ""}), r"generator\.name is not"),
        (put("chunkSize", value=0), "chunkSize is 0"),
        (put("previous", value={}), "previous 'sequence' is missing"),
        (put("previous", value=None), "previous must be a mapping"),
        (put("media", 0, "chunks", value=["1"]), r"media\[0\]\.chunks\[0\] must be a chunk's"),
        (put("media", 0, "chunks", value=[True]), r"media\[0\]\.chunks\[0\] must be a chunk's"),
        (put("media", 0, "chunks", value=[]), "media does not place every chunk on exactly one"),
        (put("media", 0, "chunks", value=[1, 2]), "media does not place every chunk"),
        (put("media", 0, "chunks", value=[3]), "media does not place every chunk"),
        (put("media", 0, "number", value=2), "media is not numbered from 1"),
        (
            put("chunks", 0, "name", value="prod-000042.chunk-00002.tar.enc"),
            "files names a file twice",
        ),
        (put("features", value=["zstd"]), "features and encryption do not say the same"),
        (put("chunks", 0, "name", value="prod-000041.chunk-00001.tar"), "files names 'prod-000041"),
        (put("chunks", 0, "name", value="prod-000042.tar"), r"chunks\[0\] is 'prod-000042.tar', "),
        (put("chunks", 0, "name", value="README.txt"), r"chunks\[0\]\.name is not allowed"),
        (double("files"), "files names a file twice"),
        (put("files", 0, "name", value="other.txt"), "files names 'other.txt', which is not of"),
        (put("files", 0, "name", value="../x"), r"files\[0\]\.name is not allowed"),
        (
            put("files", 0, "name", value="prod-000042.manifest.json"),
            "files names 'prod-000042.manifest.json', which cannot pin itself",
        ),
        (
            put("files", 0, "name", value="prod-000042.manifest.json.a.sig"),
            "files names 'prod-000042.manifest.json.a.sig', which cannot pin itself",
        ),
        (
            put("sequence", value=43),
            "files names 'prod-000042.chunk-00001.tar.enc', which is not of",
        ),
        (put("artifacts", 1, "name", value="host/a:1"), "artifacts names host/a:1 twice"),
        (double("blobs"), "blobs names a blob twice"),
    ],
)
def test_a_manifest_that_contradicts_itself_is_refused(change: Change, message: str) -> None:
    with pytest.raises(VerificationError, match=f"^manifest: {message}"):
        read(change)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"null", b'{"a":1,"a":1}', b"\xff", b"1.5"])
def test_what_is_no_strict_json_object_is_refused(data: bytes) -> None:
    with pytest.raises(
        VerificationError, match=r"^manifest (is not strict JSON|must be a mapping)"
    ):
        Manifest.from_bytes(data)


def test_a_manifest_beyond_its_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", 100)
    with pytest.raises(VerificationError, match="bytes are more than the 100 allowed"):
        Manifest.from_bytes(SAMPLE.to_bytes())


OPTIONAL = {"features", "previous", "parity", "encryption"}


@pytest.mark.parametrize("key", sorted(SAMPLE.to_dict().keys() - OPTIONAL))
def test_a_manifest_without_a_field_is_refused(key: str) -> None:
    with pytest.raises(VerificationError, match="is missing"):
        read(lambda document: document.pop(key))
