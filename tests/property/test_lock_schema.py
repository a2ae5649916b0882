"""The lock's schema and its reader say the same, and what the lock says in YAML survives it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import schemas
from bundle import strictyaml
from bundle.artifact import Artifact, Content
from bundle.digest import Digest
from bundle.errors import UsageError
from bundle.upstream.record import Proof, Record
from bundler import lock
from bundler.lock import Lock, LockedArtifact, LockedContent, Origin
from tests.property.strategies import ODD_WORDS, locks, mutations

VALIDATOR = schemas._validator()(schemas.load("lock"))
SLOW = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])

BEYOND_SCHEMAS = re.compile(
    r"has two sizes|is pinned to two digests|two files are called|not among the contents"
    r"|only a manifest or an index has tags|both a file and a folder|normal form C|is there twice"
)
"""Faults that tie one place of the document to another, and Unicode."""


def read(data: bytes) -> Lock | UsageError:
    """Return what the reader makes of the bytes; any other exception fails the test."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "dray.lock.yaml"
        path.write_bytes(data)
        try:
            return lock.load(path)
        except UsageError as error:
            return error


def sample() -> Lock:
    """Return a lock with one of everything."""
    layer, file, root = (Digest.of(word) for word in (b"layer", b"file", b"{}"))
    image = Artifact(
        kind="image",
        name="host/a:1",
        repository="host/a",
        version="1",
        root=root,
        contents=(
            Content("layer", "application/x", layer, 5),
            Content("file", "application/f", file, 4, path="dir/f"),
            Content("manifest", "a/m", root, 2, "linux/amd64", tags=("1",), subject=layer),
        ),
        notes={"index": "complete"},
        upstream=Record("verified", (Proof("cosign", "k", f"sha256:{'0' * 64}", root, "host/a"),)),
    )
    sources = (
        LockedContent(image.contents[0], url="https://host/x", unvouched=True, kept=True),
        LockedContent(image.contents[1]),
        LockedContent(image.contents[2], text="{}"),
    )
    origin = Origin("registry", {"host": "host", "repository": "a"})
    return Lock("prod", Digest.of(b"spec"), (LockedArtifact(image, origin, sources),))


def as_document(made: Lock) -> Any:
    return strictyaml.parse(made.text, name="dray.lock.yaml", limit=64 << 20).value


def as_yaml(document: Any) -> bytes:
    """Return JSON, which is YAML but for the escapes of what is not ASCII."""
    written = json.dumps(document, ensure_ascii=False)
    letters = (c if " " <= c <= "~" else f"\\U{ord(c):08x}" for c in written)
    return "".join(letters).encode()


SAMPLE: Any = as_document(sample())


@SLOW
@given(locks())
def test_every_lock_obeys_the_schema_and_reads_back_equal(made: Lock) -> None:
    schemas.validate("lock", as_document(made))
    assert read(made.text) == made


@SLOW
@given(locks())
def test_the_same_lock_gives_the_same_bytes(made: Lock) -> None:
    again = read(made.text)
    assert isinstance(again, Lock)
    assert (again.text, again.digest) == (made.text, made.digest)


@settings(SLOW, max_examples=100)
@given(mutations(SAMPLE))
def test_the_reader_and_the_schema_agree_on_changed_locks(document: Any) -> None:
    found = read(as_yaml(document))
    if VALIDATOR.is_valid(document):
        assert isinstance(found, Lock) or BEYOND_SCHEMAS.search(found.message), found
    else:
        assert isinstance(found, UsageError)


@settings(SLOW, max_examples=100)
@given(st.data())
def test_a_changed_byte_never_gives_a_fault_without_a_place(data: st.DataObject) -> None:
    changed = bytearray(sample().text)
    changed[data.draw(st.integers(0, len(changed) - 1))] ^= data.draw(st.integers(1, 255))
    found = read(bytes(changed))
    assert isinstance(found, Lock) or re.search(r"dray\.lock\.yaml:(\d+:\d+)?", found.message)


@SLOW
@given(st.binary(max_size=200) | st.text(max_size=100).map(lambda text: text.encode()))
def test_no_garbage_is_a_lock(data: bytes) -> None:
    assert isinstance(read(data), UsageError)


@pytest.mark.parametrize("word", ODD_WORDS)
def test_no_word_is_taken_for_a_number(word: str) -> None:
    (only,) = sample().artifacts
    made = replace(sample(), artifacts=(replace(only, artifact=replace(only.artifact, name=word)),))
    assert read(made.text) == made


@pytest.mark.parametrize("key", SAMPLE)
def test_a_lock_without_any_one_of_its_fields_is_refused(key: str) -> None:
    document = {name: value for name, value in SAMPLE.items() if name != key}
    assert not VALIDATOR.is_valid(document)
    assert isinstance(read(as_yaml(document)), UsageError)


def test_the_schema_is_itself_a_schema() -> None:
    from jsonschema import Draft202012Validator

    Draft202012Validator.check_schema(schemas.load("lock"))
