"""An emulated NGC, and a client of this run that reaches it under the hosts' real names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bundle.http import Host, Http
from fixtures.ngc import Catalogue, EmulatedNgc, emulate, sample_catalogue
from tests.bundler.sources.web import serve

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.bundler.sources.web import Web


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    """A small sample catalogue."""
    return sample_catalogue(0.001, folder=tmp_path / "content")


@pytest.fixture
def ngc(catalogue: Catalogue) -> Iterator[EmulatedNgc]:
    """The catalogue, served over TLS."""
    with emulate(catalogue) as running:
        yield running


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
