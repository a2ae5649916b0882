"""What the tests of Harbor begin with."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest

from tests.importer.harbor.making import Make
from tests.importer.targets.samples import Shelf, noise

if TYPE_CHECKING:
    from bundle.artifact import Artifact
    from tests.servers.harbor import HarborServer


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def image(shelf: Shelf) -> Artifact:
    """An image whose layer no other test has."""
    return shelf.image("nvidia/cuda", "v1", {"l": noise(1 << 20, uuid.uuid4().hex)})


@pytest.fixture
def make(harbor: HarborServer) -> Make:
    return Make(harbor)
