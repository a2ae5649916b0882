"""A clamd for tests: the real one, and ours that is held to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from importer.scan.address import Address
from importer.scan.clamd import Clamd
from tests.importer.scan import fake as fakes
from tests.servers import clamd as servers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.importer.scan.fake import Fake
    from tests.servers.clamd import Server


@pytest.fixture(scope="session")
def clamd_server() -> Iterator[Server]:
    with servers.running() as server:
        yield server


@pytest.fixture
def faked() -> Iterator[tuple[Server, Fake]]:
    with fakes.running() as pair:
        yield pair


@pytest.fixture(params=["socket", "tcp", "fake"])
def clamd(request: pytest.FixtureRequest) -> Clamd:
    if request.param == "fake":
        server, _fake = request.getfixturevalue("faked")
        return Clamd(Address(path=str(server.socket)), patience=20)
    server = request.getfixturevalue("clamd_server")
    if request.param == "socket":
        return Clamd(Address(path=str(server.socket)), patience=20)
    return Clamd(Address(host="127.0.0.1", port=server.port), patience=20)
