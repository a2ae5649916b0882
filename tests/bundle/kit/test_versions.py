"""Which version is the older one: the order of the specification."""

from __future__ import annotations

import random
import sys
from typing import TYPE_CHECKING

from bundle.kit.versions import installed, key, older

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

ORDER = [
    "no version",
    "0.1.dev3",
    "0.1a1",
    "0.1a2.dev1",
    "0.1a2",
    "0.1b1",
    "0.1rc1",
    "0.1",
    "0.1.post0",
    "0.1.post2",
    "0.1.1",
    "0.2",
    "0.10",
    "1.0",
    "2026.10.19.post1",
    "1!0.1",
]


def test_versions_are_ordered_as_the_specification_says() -> None:
    shuffled = random.Random(1).sample(ORDER, len(ORDER))
    assert sorted(shuffled, key=key) == ORDER


def test_equal_versions_have_several_spellings() -> None:
    assert key("1.0") == key("1.0.0") == key("1")
    assert key("1.0RC1") == key("1.0-rc.1") == key("1.0rc1")
    assert key("1.0-2") == key("1.0.post2")


def test_what_is_older_is_named_and_names_have_several_spellings() -> None:
    new = {"charset_normalizer": "3.4", "six": "1.17.0", "new": "1"}
    assert older(new, {"charset-normalizer": "3.5", "six": "1.17"}) == [
        "charset_normalizer 3.4, and 3.5 is installed"
    ]


def test_of_two_of_one_name_the_one_that_is_imported_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder, version in (("first", "2.0"), ("second", "1.0")):
        info = tmp_path / folder / f"Thing-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: Thing\nVersion: {version}\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path / "first"), str(tmp_path / "second")])
    assert installed() == {"thing": "2.0"}
