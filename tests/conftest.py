"""Fixtures for every test: an isolated environment, real servers, no connection beyond loopback."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.servers import ca
from tests.servers import registry as registries

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.servers.ca import Authority
    from tests.servers.registry import Registry


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The CA of this run, and a server certificate for loopback."""
    return ca.make(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A plain registry shared by all tests: use names from ``registry.repository()``."""
    with registries.serve(tmp_path_factory.mktemp("registry")) as server:
        yield server


@pytest.fixture
def registry_basic(tmp_path: Path) -> Iterator[Registry]:
    """A fresh registry that wants a user name and a password."""
    with registries.serve(tmp_path / "registry-basic", auth="basic") as server:
        yield server


@pytest.fixture
def registry_tls(tmp_path: Path, authority: Authority) -> Iterator[Registry]:
    """A fresh registry over TLS with the run's own CA (``registry_tls.ca``)."""
    with registries.serve(tmp_path / "registry-tls", tls=authority) as server:
        yield server


@pytest.fixture
def registry_token(tmp_path: Path) -> Iterator[Registry]:
    """A fresh registry that wants bearer tokens; ``registry_token.tokens`` steers them."""
    with registries.serve(tmp_path / "registry-token", auth="token") as server:
        yield server
