"""Clients of this run, which reach the emulated NGC under the real names of its hosts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bundle.http import Host, Http
from tests.bundler.sources.web import serve

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fixtures.ngc import EmulatedNgc
    from tests.bundler.sources.web import Web


@pytest.fixture
def http(ngc: EmulatedNgc) -> Iterator[Http]:
    """A client that never waits."""
    known = {
        host: Host(endpoint=entry["endpoint"], ca_file=entry["ca"])
        for host, entry in ngc.registries.items()
    }
    client = Http(known, sleep=lambda _seconds: None)
    yield client
    client.close()


@pytest.fixture
def site() -> Iterator[Web]:
    """A web server that answers as the test says."""
    with serve() as running:
        yield running


@pytest.fixture
def plain() -> Iterator[Http]:
    """A client that knows no host and never waits."""
    client = Http(sleep=lambda _seconds: None, retries=2)
    yield client
    client.close()
