"""The manifest's schema and its reader say the same, as far as a schema can say it."""

from __future__ import annotations

import copy
import hashlib
import json
import re
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import schemas
from bundle.artifact import Artifact, Content
from bundle.chunks import Part, StoredBlob, index_json, prefix
from bundle.digest import Digest
from bundle.errors import NotTrusted, VerificationError
from bundle.manifest import FORMAT, File, Manifest, Medium, Previous
from bundle.parity import Group, ParityFile
from bundle.upstream.record import Proof, Record
from tests import keys
from tests.property.strategies import encrypted, manifests, mutations, value_at

VALIDATOR = schemas._validator()(schemas.load("manifest"))  # made once: that takes most of the time
SLOW = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])

BEYOND_SCHEMAS = re.compile(
    r"is not numbered from 1|lacks sha256|that no artifact needs|has parts that do not add up"
    r"|one part with another digest|which is not listed|has a gap or overlap|names a file twice"
    r"|not as long as its contents|every chunk on exactly one medium|which is not of|, not 'prod-"
    r"|cannot pin itself|has two sizes|two files are called|not among the contents|names .* twice"
    r"|only a manifest or an index has tags|both a file and a folder|normal form C"
    r"|which is not listed, or in two groups|of another size, or on a medium|', not 'prod"
    r"|needs a block list of its size|do not say the same|is encrypted, or not, unlike the bundle"
    r"|which no base of|leaves out a manifest"
    r"|not strict JSON: (integer out of range|not an integer)"
)
"""Faults that tie one place of the document to another, Unicode, and numbers in unknown fields."""


SIGNED = Record(
    "verified", (Proof("oms", "k", f"sha256:{'0' * 64}", Digest.of(b"root"), "host/a"),)
)


def sample() -> Manifest:
    """Return a manifest with one of everything."""
    config, layer, file = (Digest.of(word) for word in (b"config", b"layer", b"file"))
    root, about = Digest.of(b"root"), Digest.of(b"signature")
    contents = (
        Content("config", "application/json", config, 6),
        Content("layer", "application/x", layer, 1500),
        Content("manifest", "application/m", root, 4, "linux/amd64", tags=("1", "latest")),
        Content("manifest", "application/m", about, 9, subject=root),
    )
    model = (Content("file", "a/b", file, 4, path="dir/f"), Content("index", "a/i", root, 4))
    found = (
        Artifact("image", "host/a:1", "host/a", "1", root, contents, {"index": "complete"}, SIGNED),
        Artifact("model", "ngc/b:2", "ngc/b", "2", root, model),
    )
    start, digest = len(prefix(index_json(found))), Digest.of(b"part")
    blobs = (
        StoredBlob(config, 6, "identity", (Part(1, start + 512, 6, config),)),
        StoredBlob(layer, 1500, "zstd", (Part(1, start + 1536, 700, digest),)),
        StoredBlob(root, 4, "identity", (Part(1, start + 3072, 4, root),)),
        StoredBlob(about, 9, "identity", (Part(2, start + 512, 9, about),)),
        StoredBlob(
            file,
            4,
            "identity",
            (Part(1, start + 4096, 3, digest), Part(2, start + 1536, 1, digest)),
        ),
    )
    ends = [start + 4608 + 1024, start + 2048 + 1024]
    chunks = encrypted("prod-000042", list(blobs), ends, start)
    return Manifest(
        stream="prod",
        sequence=42,
        created="2026-01-01T00:00:00Z",
        expires="2026-06-30T00:00:00Z",
        generator=("dray", "0.1.0"),
        spec=Digest.of(b"spec"),
        lock=Digest.of(b"lock"),
        chunk_size=8192,
        artifacts=found,
        blobs=blobs,
        chunks=chunks,
        media=(Medium(1, 64_000_000_000, (2,)), Medium(2, 0, (1,))),
        files=(
            File("prod-000042.sha256sums", 10, digest),
            File("README.txt", 20, digest),
            File("prod-000042.blocks", 128, digest),
        ),
        previous=Previous(41, digest),
        parity=(
            Group(
                (2, 1),
                tuple(
                    ParityFile(f"prod-000042.parity-0000{number}", chunks[0].size, digest, number)
                    for number in (1, 2)
                ),
            ),
        ),
        recipients=(digest, config),
    )


SAMPLE = sample()


def read(data: bytes) -> Manifest | VerificationError:
    """Return what the reader makes of the bytes; any other exception fails the test."""
    try:
        return Manifest.from_bytes(data)
    except VerificationError as error:
        return error


@SLOW
@given(manifests())
def test_every_manifest_obeys_the_schema_and_reads_back_equal(made: Manifest) -> None:
    schemas.validate("manifest", json.loads(made.to_bytes()))
    assert Manifest.from_bytes(made.to_bytes()) == made
    assert Manifest.from_bytes(made.to_bytes()).to_bytes() == made.to_bytes()


@settings(SLOW, max_examples=100)
@given(mutations(SAMPLE.to_dict()))
def test_the_reader_and_the_schema_agree_on_changed_manifests(document: Any) -> None:
    found = read(json.dumps(document).encode())
    if VALIDATOR.is_valid(document):
        assert isinstance(found, Manifest) or BEYOND_SCHEMAS.search(found.message), found
    else:
        assert isinstance(found, VerificationError)


@SLOW
@given(st.data())
def test_a_changed_byte_never_gives_an_equal_manifest(data: st.DataObject) -> None:
    """But for white space, and for the two fields that decide only whether it can be read."""
    original = SAMPLE.to_bytes()
    changed = bytearray(original)
    place = data.draw(st.integers(0, len(changed) - 1))
    changed[place] = data.draw(st.integers(0, 255).filter(lambda byte: byte != original[place]))
    if read(bytes(changed)) == SAMPLE:
        assert known_fields(changed) == known_fields(original)


def known_fields(data: bytes | bytearray) -> dict[str, Any]:
    deciding = {"formatVersion", "features"}
    wanted = SAMPLE.to_dict().keys() - deciding
    return {key: value for key, value in json.loads(data).items() if key in wanted}


@settings(SLOW, max_examples=50)
@given(st.data())
def test_a_changed_byte_is_never_signed(data: st.DataObject) -> None:
    original, signer = SAMPLE.to_bytes(), keys.signer("alice")
    files = keys.signed(original, signer)
    changed = bytearray(original)
    changed[data.draw(st.integers(0, len(changed) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(NotTrusted):
        keys.trust(signer).verified_by(bytes(changed), files)


@SLOW
@given(manifests(), manifests())
def test_different_manifests_have_different_bytes(one: Manifest, other: Manifest) -> None:
    assume(one != other)
    assert hashlib.sha256(one.to_bytes()).digest() != hashlib.sha256(other.to_bytes()).digest()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=10,
)


@settings(deadline=None)
@given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
def test_no_garbage_is_a_manifest(data: bytes) -> None:
    assert isinstance(read(data), VerificationError)


@settings(deadline=None)
@given(st.integers(0, len(SAMPLE.to_bytes()) - 2))
def test_no_beginning_of_a_manifest_is_one(length: int) -> None:
    assert isinstance(read(SAMPLE.to_bytes()[:length]), VerificationError)


LONGEST: list[tuple[tuple[str | int, ...], object, object]] = [
    (("formatVersion",), "1." + "0" * 10, "1." + "0" * 11),
    (("previous", "sequence"), 2**53 - 1, 0),
    (("generator", "name"), "x" * 60, "x" * 61),
    (("chunkSize",), 2**53 - 1, 0),
    (("artifacts", 0, "name"), "x" * 4096, "x" * 4097),
    (("artifacts", 0, "version"), "x" * 255, "x" * 256),
    (("artifacts", 0, "notes", "index"), "x" * 4096, "x" * 4097),
    (("artifacts", 0, "contents", 2, "tags"), [], ["x" * 129]),
    (("artifacts", 1, "repository"), "x" * 255, "x" * 256),
    (("artifacts", 1, "contents", 0, "path"), "x" * 900, "x" * 901),
    (("artifacts", 1, "contents", 0, "mediaType"), f"{'x' * 127}/y", f"{'x' * 128}/y"),
    (("media", 0, "capacity"), 0, -1),
    (("files", 0, "name"), "prod-000042." + "x" * 88, "prod-000042." + "x" * 89),
]
"""A place, the last value that is taken there, and the first that is not."""


@pytest.mark.parametrize(("place", "last", "first"), LONGEST, ids=lambda value: str(value)[:40])
def test_the_reader_and_the_schema_have_the_same_limits(
    place: tuple[str | int, ...], last: object, first: object
) -> None:
    for value, fits in ((last, True), (first, False)):
        document: Any = copy.deepcopy(SAMPLE.to_dict())
        value_at(document, place[:-1])[place[-1]] = value
        assert VALIDATOR.is_valid(document) is fits
        found = read(json.dumps(document).encode())
        # A shorter list of tags changes the index, and so the length of every chunk.
        assert (isinstance(found, Manifest) or "gap or overlap" in found.message) is fits, found


def test_the_highest_sequence_is_the_one_that_twelve_digits_hold() -> None:
    for sequence, fits in ((10**12 - 1, True), (10**12, False)):
        document = json.dumps(SAMPLE.to_dict()).replace("prod-000042", f"prod-{sequence}")
        changed = json.loads(document) | {"sequence": sequence}
        assert VALIDATOR.is_valid(changed) is fits
        assert isinstance(read(json.dumps(changed).encode()), Manifest) is fits


def test_more_parts_than_five_digits_number_are_refused() -> None:
    part = SAMPLE.to_dict()["blobs"][0]["parts"][0]
    blob = schemas.load("manifest")["$defs"]["blob"]
    assert blob["properties"]["parts"]["maxItems"] == 99_999
    assert blob["else"]["properties"]["parts"]["minItems"] == 1, "what is carried has a part"
    assert blob["then"]["properties"]["parts"]["maxItems"] == 0, "what is left out has none"
    document = SAMPLE.to_dict()
    document["blobs"][0]["parts"] = [part] * 100_000
    found = read(json.dumps(document).encode())
    assert isinstance(found, VerificationError)
    assert "has no parts, or too many" in found.message


def test_a_later_minor_version_and_unknown_fields_are_read() -> None:
    document = SAMPLE.to_dict() | {"formatVersion": f"{FORMAT[0]}.99", "new": {"field": [1]}}
    document["blobs"][0]["new"] = True
    schemas.validate("manifest", document)
    assert read(json.dumps(document).encode()) == SAMPLE


def test_the_schema_is_itself_a_schema() -> None:
    from jsonschema import Draft202012Validator

    Draft202012Validator.check_schema(schemas.load("manifest"))
