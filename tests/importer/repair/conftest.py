"""Bundles with parity, made once and copied for each test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests import factory, keys
from tests.importer.repair.drives import MIB, ROOMY, Drives, copied, large

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.factory import Bundle

    Make = Callable[[str], Drives]

KINDS: dict[str, dict[str, object]] = {
    "one drive": {"parity": "2"},
    "two parities": {"parity": "3+2"},
    "three drives": {"parity": "2", "media": (ROOMY, ROOMY, ROOMY)},
    "five drives": {"parity": "3+2", "media": (ROOMY,) * 5},
    "no parity": {},
    "tiny": {"parity": "2", "chunk_size": factory.CHUNK, "artifacts": factory.sample},
    "packed": {"parity": "4", "compress": True, "artifacts": factory.packable},
    "encrypted": {"parity": "2", "recipients": [keys.recipient("high").public_key]},
    "one chunk": {"parity": "20+2", "chunk_size": 8 * MIB},
}


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Bundle]:
    """Return a function that builds each kind of bundle once."""
    made: dict[str, Bundle] = {}

    def build(kind: str) -> Bundle:
        if kind not in made:
            options: dict[str, object] = {"artifacts": large, "chunk_size": MIB, **KINDS[kind]}
            folder = tmp_path_factory.mktemp("built")
            made[kind] = factory.build(folder, **options)  # type: ignore[arg-type]
        return made[kind]

    return build


@pytest.fixture
def drives(built: Callable[[str], Bundle], tmp_path: Path) -> Make:
    """Return a function that copies a kind of bundle for this test."""
    return lambda kind: copied(built(kind), tmp_path / kind.replace(" ", "-"))
