"""Parts of an upload, and the journal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as some

from importer.targets.uploads import PART, Journal, Record, cut, part_size

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@given(some.lists(some.binary(max_size=40)), some.integers(1, 50))
def test_parts_hold_the_same_bytes_all_of_one_size_but_the_last(
    blocks: list[bytes], size: int
) -> None:
    parts = [bytes(part) for part in cut(blocks, size)]
    assert b"".join(parts) == b"".join(blocks)
    assert all(len(part) == size for part in parts[:-1])
    assert all(0 < len(part) <= size for part in parts)


def test_a_part_is_handed_out_before_more_is_read() -> None:
    read = 0

    def endless() -> Iterator[bytes]:
        nonlocal read
        while True:
            read += 1
            yield b"x" * 10

    assert len(next(cut(endless(), 40))) == 40
    assert read == 4


@given(some.integers(1, 5 << 40))
def test_an_object_has_no_more_parts_than_stores_take(size: int) -> None:
    part = part_size(size)
    assert part >= PART
    assert -(-size // part) <= 9000
    assert part <= 5 << 30


def test_the_journal_gives_back_what_it_was_given(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "new" / "folder")
    assert journal.load("key") is None
    journal.save("key", Record("upload", ("a", "b")))
    assert Journal(tmp_path / "new" / "folder").load("key") == Record("upload", ("a", "b"))
    assert journal.load("other") is None
    journal.drop("key")
    journal.drop("key")
    assert journal.load("key") is None


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"upload":1}', b"\xff", b'{"parts":[]}'])
def test_a_record_that_a_crash_has_spoiled_is_no_record(tmp_path: Path, data: bytes) -> None:
    journal = Journal(tmp_path)
    journal.save("key", Record("upload"))
    (file,) = tmp_path.iterdir()
    file.write_bytes(data)
    assert journal.load("key") is None
    journal.save("key", Record("second"))
    assert journal.load("key") == Record("second")
