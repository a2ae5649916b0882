"""The document of a kit: written and read as its schema says, and every lie in it refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import schemas
from bundle.digest import Digest
from bundle.errors import VerificationError
from bundle.kit.document import KitDocument, Package, Pinned, read
from tests.bundle.kit import made

if TYPE_CHECKING:
    from collections.abc import Callable

DIGESTS = st.binary(max_size=4).map(Digest.of)
SIZES = st.integers(0, 2**53 - 1)
RELEASES = st.from_regex(r"[0-9]{1,3}(\.[0-9]{1,3}){0,2}(rc1)?", fullmatch=True)
PYTHONS = st.lists(st.from_regex(r"3\.[0-9]{1,2}", fullmatch=True), max_size=3).map(tuple)
PACKAGES = st.builds(
    Package,
    name=st.from_regex(r"[a-z]([a-z0-9_]{0,8}[a-z0-9])?", fullmatch=True),
    version=RELEASES,
    wheel=st.just("thing-1.0-py3-none-any.whl"),
    size=SIZES,
    digest=DIGESTS,
    pythons=PYTHONS,
    file=st.sampled_from(["", "thing-1.0-abc.whl"]),
)


@st.composite
def documents(draw: st.DrawFn) -> KitDocument:
    kit = KitDocument(
        version=draw(RELEASES),
        platform=draw(st.sampled_from(["linux/amd64", "linux/arm64"])),
        libc=draw(st.sampled_from([("glibc", "2.28"), ("musl", "1.2")])),
        pythons=draw(PYTHONS),
        packages=tuple(draw(st.lists(PACKAGES, max_size=3))),
        interpreter=draw(st.sampled_from(["", "3.11.7"])),
        tools=tuple(draw(st.lists(PACKAGES, max_size=2))),
    )
    pinned = tuple(
        Pinned(name, draw(SIZES), draw(DIGESTS)) for name in ("README.txt", f"{kit.name}.tar")
    )
    fields = {name: getattr(kit, name) for name in KitDocument.__slots__}
    return KitDocument(**{**fields, "files": pinned})


@given(documents())
def test_what_is_written_obeys_the_schema_and_is_read_back(kit: KitDocument) -> None:
    data = kit.to_bytes()
    schemas.validate("kit", json.loads(data))
    assert read(data) == kit


def lie(change: Callable[[dict[str, Any]], object]) -> bytes:
    body = json.loads(made.kit().data)
    change(body)
    return json.dumps(body).encode()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda b: b.update(mediaType="application/json"), "mediaType is 'application/json'"),
        (lambda b: b.update(formatVersion="2.0"), "formatVersion is 2.0"),
        (lambda b: b.update(kind="zipapp"), "kind is 'zipapp'"),
        (lambda b: b.update(kind="standalone"), "'interpreter' is missing"),
        (lambda b: b.update(version="../1"), "version is not allowed"),
        (lambda b: b.update(platform="windows/amd64"), "platform is 'windows/amd64'"),
        (lambda b: b["libc"].update(name="newlib"), "libc.name is 'newlib'"),
        (lambda b: b["packages"][0].update(file="../x.whl"), "packages[0].file is not allowed"),
        (lambda b: b["packages"][0].update(digest="md5:0"), "packages[0].digest must be sha256"),
        (lambda b: b["files"][0].update(name="../passwd"), "files[0].name is not allowed"),
        (lambda b: b["files"].append(b["files"][0]), "is there twice"),
        (lambda b: b["files"].clear(), "does not pin dray-kit-"),
        (lambda b: b["packages"].extend(b["packages"] * 500), "are 501, more than 500"),
    ],
)
def test_a_signed_lie_is_refused(change: Callable[[dict[str, Any]], object], message: str) -> None:
    with pytest.raises(VerificationError) as caught:
        read(lie(change))
    assert message in caught.value.message
    assert caught.value.hint


def test_many_files_are_refused() -> None:
    def many(body: dict[str, Any]) -> None:
        row = body["files"][1]
        body["files"] += [{**row, "name": f"{row['name']}.{n}"} for n in range(40)]

    with pytest.raises(VerificationError, match="more than 32"):
        read(lie(many))


def test_fields_that_are_not_known_are_passed_over() -> None:
    assert read(lie(lambda body: body.update(later=1))) == read(made.kit().data)


def test_what_is_no_document_is_refused() -> None:
    with pytest.raises(VerificationError, match="not strict JSON"):
        read(b"{")
