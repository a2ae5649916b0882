"""Good bundles to tell lies about, made once and copied, and a warehouse with something in it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests import factory
from tests.refusals.table import IMPORT, dray

if TYPE_CHECKING:
    from tests.factory import Bundle
    from tests.refusals.table import Lie

SPREAD = (150_000, 150_000)
"""Capacities of two media that hold about half of the sample each."""


@pytest.fixture(scope="session")
def good(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Bundle]:
    """Bundles that every command accepts: whole, encoded, on two media, and an older one."""
    root = tmp_path_factory.mktemp("good")
    return {
        "plain": factory.build(root / "plain", sequence=7),
        "packed": factory.build(root / "packed", factory.packable, sequence=7, compress=True),
        "spread": factory.build(root / "spread", sequence=7, media=SPREAD),
        "parity": factory.build(root / "parity", sequence=7, parity="2"),
        "older": factory.build(
            root / "older", lambda kept: factory.sample(kept, seed="older"), sequence=6
        ),
    }


@pytest.fixture(scope="session")
def loaded(good: dict[str, Bundle], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A warehouse that holds the older bundle."""
    root = tmp_path_factory.mktemp("loaded")
    older = good["older"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DRAY_STATE_DIR", str(root / "state"))
        arguments = ("--trust", older.trust, "--to", root / "warehouse", older.folder)
        done = dray(IMPORT, *arguments, folder=root)
    assert done.code == 0, done
    return root / "warehouse"


@pytest.fixture
def bundle(lie: Lie, good: dict[str, Bundle], tmp_path: Path) -> Bundle:
    """A copy of the good bundle that the lie is about."""
    return copy(good[lie.bundle], tmp_path / "desk")


def copy(bundle: Bundle, to: Path) -> Bundle:
    """Return a bundle's copy, with its trust file."""
    root = bundle.trust.parent
    shutil.copytree(root, to)
    folders = tuple(to / folder.relative_to(root) for folder in bundle.folders)
    return replace(bundle, folders=folders, trust=to / "trust.json")


@pytest.fixture
def target(way: str, loaded: Path, tmp_path: Path) -> Path:
    """Where an import would go: a warehouse in use, or a folder that is not there yet."""
    place = tmp_path / "warehouse"
    return Path(shutil.copytree(loaded, place)) if way == IMPORT else place
