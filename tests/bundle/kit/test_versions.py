"""Which version is the older one: the order of the specification."""

from __future__ import annotations

import random

from bundle.kit.versions import key, older

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
