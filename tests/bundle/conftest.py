"""Fixtures for the clients of HTTP and registries: scripted servers, and pauses without time."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from bundle.errors import TargetError
from bundle.http import Http
from bundle.registry import Registry
from tests.bundle import faulty

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.bundle.faulty import Faulty


@dataclass
class Clients:
    """Makes HTTP clients whose pauses are noted in ``pauses`` and take no time."""

    stack: ExitStack
    pauses: list[float] = field(default_factory=list)

    def __call__(self, known: Any = None, **options: Any) -> Http:
        """Return a client that is closed when the test ends."""
        client = Http(known, sleep=self.pauses.append, **options)
        self.stack.callback(client.close)
        return client


@pytest.fixture
def clients() -> Iterator[Clients]:
    """A maker of HTTP clients."""
    with ExitStack() as stack:
        yield Clients(stack)


@pytest.fixture
def http(clients: Clients) -> Http:
    """A client with no configuration."""
    return clients()


@pytest.fixture
def serve() -> Iterator[Callable[..., Faulty]]:
    """A function that starts a scripted server."""
    with ExitStack() as stack:
        yield lambda tls=None: stack.enter_context(faulty.serve(tls))


@pytest.fixture
def server(serve: Callable[..., Faulty]) -> Faulty:
    """A scripted server over plain HTTP."""
    return serve()


@pytest.fixture
def low(clients: Clients, server: Faulty) -> Registry:
    """The scripted registry as the low side sees it, anonymously."""
    return Registry(server.host, clients())


@pytest.fixture
def high(clients: Clients, server: Faulty) -> Registry:
    """The scripted registry as the high side sees it, anonymously."""
    return Registry(server.host, clients(error=TargetError))
