"""Fixtures for every test: an isolated environment, real servers, no connection beyond loopback."""

from __future__ import annotations

import itertools
import os
from contextlib import ExitStack
from typing import TYPE_CHECKING

import hypothesis
import pytest

from tests.servers import ca, isolation, memory, proxy, rclone, rgw, versity
from tests.servers import harbor as harbors
from tests.servers import registry as registries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from fixtures.ngc import Catalogue, EmulatedNgc
    from tests.servers.ca import Authority
    from tests.servers.harbor import HarborServer
    from tests.servers.memory import MemoryStore
    from tests.servers.proxy import FaultProxy
    from tests.servers.registry import Registry
    from tests.servers.s3 import ObjectStore

SERVERS = {
    "harbor",
    "harbor_plain",
    "registry",
    "registry_basic",
    "registry_tls",
    "registry_token",
    "s3_rclone",
    "s3_rclone_tls",
    "s3_rgw",
    "s3_versity",
}
"""Fixtures that run a real server: a test that asks for one is marked ``server`` by that."""
LONGEST_NAME = 200

hypothesis.settings.register_profile(
    "dray",
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    max_examples=400 if os.environ.get("DRAY_SLOW") else 60,
)
hypothesis.settings.load_profile("dray")
_numbers = itertools.count()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that need a real server, before ``-m`` chooses."""
    for item in items:
        if SERVERS.intersection(getattr(item, "fixturenames", ())):
            item.add_marker("server")


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Call a long value by its argument: Linux takes 128 KiB as one argument or variable.

    A test's whole name is in ``PYTEST_CURRENT_TEST``, and tests/sabotage hands it to pytest.
    """
    return argname if isinstance(val, str | bytes) and len(val) > LONGEST_NAME else None


@pytest.fixture(scope="session")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that holds the home folders of all tests."""
    return tmp_path_factory.mktemp("homes")


@pytest.fixture(autouse=True)
def isolated(homes: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty home folder, nothing of the person's environment, loopback only."""
    home = homes / str(next(_numbers))
    home.mkdir()
    for name in isolation.foreign(iter(os.environ)):
        monkeypatch.delenv(name)
    for name, value in isolation.own(home).items():
        monkeypatch.setenv(name, value)
    isolation.guard()
    isolation.attempts.clear()
    yield home
    tried, isolation.attempts[:] = list(isolation.attempts), []
    assert not tried, f"the test has tried to reach {tried}"


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


@pytest.fixture(scope="session")
def _harbor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HarborServer]:
    with harbors.serve(tmp_path_factory.mktemp("harbor")) as server:
        yield server


@pytest.fixture
def harbor(_harbor: HarborServer) -> Iterator[HarborServer]:
    """A Harbor over TLS shared by all tests (``harbor.project()``); faults end with the test."""
    yield _harbor
    _harbor.close()
    if _harbor.emulator:
        _harbor.emulator.reset()


@pytest.fixture
def harbor_plain(tmp_path: Path) -> Iterator[HarborServer]:
    """A fresh emulated Harbor over plain HTTP, for clients that take no CA file."""
    with harbors.serve(tmp_path / "harbor", tls=False) as server:
        yield server


@pytest.fixture(scope="session")
def s3_rclone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    """An rclone S3 service shared by all tests: use ``s3_rclone.bucket()``."""
    with rclone.serve(tmp_path_factory.mktemp("rclone")) as store:
        yield store


@pytest.fixture(scope="session")
def s3_rclone_tls(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority
) -> Iterator[ObjectStore]:
    """The same over TLS, where clients of S3 behave differently."""
    with rclone.serve(tmp_path_factory.mktemp("rclone-tls"), tls=authority) as store:
        yield store


@pytest.fixture(scope="session")
def s3_rgw(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[ObjectStore]:
    """A Ceph RADOS Gateway over TLS shared by all tests: use ``s3_rgw.bucket()``."""
    with rgw.serve(tmp_path_factory.mktemp("ceph") / "rgw", authority) as store:
        yield store


@pytest.fixture
def s3_memory(monkeypatch: pytest.MonkeyPatch) -> MemoryStore:
    """A store in memory that all clients reach, as strict as any: no server."""
    return _in_memory(monkeypatch, memory.MemoryStore())


@pytest.fixture
def s3_careless(monkeypatch: pytest.MonkeyPatch) -> MemoryStore:
    """The same as careless as rclone: it compares nothing, and gives back what it is told."""
    return _in_memory(monkeypatch, memory.MemoryStore(compares=False, echoes=True))


def _in_memory(monkeypatch: pytest.MonkeyPatch, store: MemoryStore) -> MemoryStore:
    monkeypatch.setattr("importer.targets.s3client.connect", lambda _where: store.client())
    return store


@pytest.fixture(scope="session")
def s3_versity(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority
) -> Iterator[ObjectStore]:
    """The Versity gateway over TLS, as strict as Amazon S3: use ``s3_versity.bucket()``."""
    with versity.serve(tmp_path_factory.mktemp("versity"), authority) as store:
        yield store


@pytest.fixture
def fault_proxy() -> Iterator[Callable[[int], FaultProxy]]:
    """A function that puts a proxy in front of a loopback port and returns it."""
    with ExitStack() as stack:
        yield lambda port: stack.enter_context(proxy.serve(port))


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    """A small sample of NGC's catalogue."""
    from fixtures.ngc import sample_catalogue

    return sample_catalogue(0.001, folder=tmp_path / "content")


@pytest.fixture
def ngc(catalogue: Catalogue) -> Iterator[EmulatedNgc]:
    """The catalogue, served over TLS."""
    from fixtures.ngc import emulate

    with emulate(catalogue) as running:
        yield running
