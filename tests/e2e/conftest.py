"""Fixtures of the whole way: a desk with keys, content in a real upstream, the emulated NGC."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from fixtures.content import Store
from fixtures.ngc import emulate, sample_catalogue
from tests.e2e.desk import STREAM, Desk
from tests.e2e.upstream import Upstream

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fixtures.ngc import EmulatedNgc
    from tests.servers.registry import Registry


@pytest.fixture(scope="session")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as ``dray init`` leaves it, without a spec."""
    folder = tmp_path_factory.mktemp("identity")
    Desk(folder).dray("init", ".", "--stream", STREAM, "--no-passphrase")
    (folder / "dray.yaml").unlink()
    return folder


@pytest.fixture
def desk(identity: Path, tmp_path: Path) -> Desk:
    """A desk with a key, and a trust file that trusts it."""
    return Desk(shutil.copytree(identity, tmp_path / "desk"))


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Where made-up layers are kept."""
    return Store(tmp_path_factory.mktemp("content"))


@pytest.fixture
def upstream(registry: Registry, store: Store) -> Upstream:
    """A real registry to pull from, with a name that is this test's own."""
    return Upstream(registry, store, registry.repository("low").rpartition("/")[0])


@pytest.fixture
def ngc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[EmulatedNgc]:
    """The emulated NGC with 3 MB of sample content, and a key for it in the environment."""
    catalogue = sample_catalogue(scale=0.02, folder=tmp_path / "ngc-content")
    monkeypatch.setenv("NGC_API_KEY", catalogue.keys["entitled"].secret)
    with emulate(catalogue, folder=tmp_path / "ngc") as running:
        yield running
