"""The reader through which every foreign byte passes."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from bundle.digest import Digest, is_digest, verified
from bundle.errors import VerificationError

if TYPE_CHECKING:
    from collections.abc import Iterator

BLOCKS = [b"one", b"", b"two", b"three"]
DATA = b"".join(BLOCKS)


def read(blocks: list[bytes], data: bytes = DATA) -> tuple[list[bytes], str]:
    """Return the blocks that came through, and the refusal, if there was one."""
    through: list[bytes] = []
    try:
        for block in verified(blocks, digest=Digest.of(data), size=len(data), what="blob"):
            through.append(block)
    except VerificationError as error:
        return through, error.message
    return through, ""


def test_good_bytes_come_through_as_they_are() -> None:
    through, refusal = read(BLOCKS)
    assert b"".join(through) == DATA
    assert not refusal


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        ([b"one", b"two", b"thre"], "blob ends after 10 of 11 bytes"),
        ([], "blob ends after 0 of 11 bytes"),
        ([b"one", b"two", b"thre!"], "blob has other bytes than sha256:"),
        ([b"One", b"two", b"three"], "blob has other bytes than sha256:"),
        ([b"one", b"two", b"three", b"!"], "blob is longer than the 11 bytes"),
    ],
)
def test_of_wrong_bytes_the_last_block_is_held_back(blocks: list[bytes], message: str) -> None:
    through, refusal = read(blocks)
    assert message in refusal
    assert len(b"".join(through)) < len(DATA)


def test_of_endless_bytes_no_more_than_the_size_is_read() -> None:
    taken = 0

    def endless() -> Iterator[bytes]:
        nonlocal taken
        while True:
            taken += 1
            yield b"12345678"

    with pytest.raises(VerificationError, match="longer than the 20 bytes"):
        for _block in verified(endless(), digest=Digest.of(b""), size=20, what="blob"):
            pass
    assert taken == 3


def test_reading_goes_on_behind_what_was_hashed_before() -> None:
    sha = hashlib.sha256(DATA[:4])
    through = verified(
        [DATA[4:]], digest=Digest.of(DATA), size=len(DATA), what="blob", start=4, sha=sha
    )
    assert b"".join(through) == DATA[4:]


def test_an_empty_blob_is_verified_too() -> None:
    assert read([], b"") == ([], "")
    assert "longer than the 0 bytes" in read([b"!"], b"")[1]


@pytest.mark.parametrize(
    "text",
    [
        *("", "sha256:", "sha256:" + "A" * 64, "sha256:" + "a" * 63, "sha256:" + "a" * 64 + "\n"),
        *("sha512:" + "a" * 128, "sha256:../" + "a" * 61, " sha256:" + "a" * 64),
    ],
)
def test_nothing_else_is_a_digest(text: str) -> None:
    assert not is_digest(text)
    with pytest.raises(ValueError, match="not a sha256 digest"):
        Digest(text)
