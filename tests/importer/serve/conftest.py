"""Bundles that are served for real: in this process, on a port of loopback."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from bundle import instant
from bundle.media import Media
from bundle.reader import Reader
from bundle.trust import load
from bundle.unseal import unseal
from importer.serve import catalogue
from importer.serve.answer import Registry
from importer.serve.server import Entry, Server
from importer.serve.store import Store
from tests import factory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from bundle.envelope import Recipient
    from tests.factory import Bundle


@dataclass
class Served:
    """A running server, the bundle behind it, and its log."""

    bundle: Bundle
    server: Server
    entries: list[Entry] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Where it is reached."""
        return self.server.url

    @property
    def host(self) -> str:
        """Its name in an image's reference."""
        return self.url.partition("://")[2]

    @property
    def address(self) -> tuple[str, int]:
        """Where it is reached, for a socket."""
        host, port = self.server.server_address[:2]
        return str(host), port

    @property
    def faults(self) -> list[str]:
        """What was wrong with the media."""
        return [entry.fault.message for entry in self.entries if entry.fault]

    def fault(self) -> str:
        """The first fault; the log follows the answer."""
        deadline = time.monotonic() + 5
        while not self.faults and time.monotonic() < deadline:
            time.sleep(0.02)
        return self.faults[0]


@contextmanager
def served(
    bundle: Bundle, *, recipient: Recipient | None = None, **options: Any
) -> Iterator[Served]:
    """Serve a bundle."""
    media = Media.find(bundle.folders)
    sealed = unseal(media, load(bundle.trust), instant.now())
    reader = Reader(sealed.manifest, media, recipient)
    entries: list[Entry] = []
    registry = Registry(catalogue.build(sealed.manifest.artifacts), Store(reader))
    server = Server(("127.0.0.1", 0), registry, log=entries.append, **options)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield Served(bundle, server, entries)
    finally:
        server.end()
        thread.join()


@pytest.fixture
def serve() -> Iterator[Callable[..., Served]]:
    """A function that serves a bundle until the test ends."""
    with ExitStack() as stack:
        yield lambda bundle, **options: stack.enter_context(served(bundle, **options))


BIG = 3_500_000
"""Bytes of a layer with several segments, cut over chunks."""


def big(kept: factory.Contents) -> tuple[Any, ...]:
    """Return an image with a layer of several segments."""
    return (factory.image(kept, "nvcr.io/nvidia/cuda:12.6", [factory.noise("big", BIG)]),)


def wordy(kept: factory.Contents) -> tuple[Any, ...]:
    """Return an image with a layer of several segments that shrinks."""
    rows = (factory.noise(f"row {n % 7}", 40) + b"%d\n" % n for n in range(70_000))
    return (factory.image(kept, "nvcr.io/nvidia/cuda:12.6", [b"".join(rows)]),)


@pytest.fixture(scope="session")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Bundle]:
    """Bundles by how their blobs are stored; whoever damages one makes one of its own."""
    from tests import keys

    root: Path = tmp_path_factory.mktemp("served")
    size = 1 << 20
    return {
        "plain": factory.build(root / "plain", big, chunk_size=size),
        "spread": factory.build(
            root / "spread", big, chunk_size=size, media=(2_500_000, 2_500_000)
        ),
        "zstd": factory.build(root / "zstd", wordy, chunk_size=size, compress=True),
        "encrypted": factory.build(
            root / "enc", big, chunk_size=size, recipients=[keys.recipient("ops").public_key]
        ),
        "sample": factory.build(root / "sample"),
    }
