"""What people are told to do about a chunk."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from bundle.digest import Digest
from bundle.remedy import low_side, of_chunk, spelled
from bundler.again import numbers

if TYPE_CHECKING:
    from bundle.manifest import Manifest


@pytest.mark.parametrize(
    ("found", "text"),
    [([3], "3"), ([17, 3], "3,17"), ([1, 2, 3, 5], "1-3,5"), ([4, 4, 9, 8], "4,8-9"), ([], "")],
)
def test_numbers_are_spelled_as_the_option_takes_them(found: list[int], text: str) -> None:
    assert spelled(found) == text
    if found:
        assert numbers(text, 99) == sorted(set(found))


def manifest(*recipients: Digest) -> Manifest:
    made = SimpleNamespace(name="prod-000042", recipients=recipients, parity=(), chunks=())
    return cast("Manifest", made)


def test_the_command_is_whole() -> None:
    assert low_side(manifest(), [3, 17]) == (
        "dray export SPEC --chunks 3,17 --of prod-000042.manifest.json --to DIR"
    )


def test_what_is_encrypted_cannot_be_made_again() -> None:
    assert low_side(manifest(Digest.of(b"key")), [3, 17]).endswith(" --new")
    assert "--chunks" not in of_chunk(manifest(Digest.of(b"key")), 3)
