"""Fixtures of the tests of object stores: a new bucket, and targets as each run makes one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from importer.targets.bucket import Bucket, Store
from importer.targets.s3 import S3

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.servers.s3 import ObjectStore


@pytest.fixture
def store(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A new bucket: of the module's ``STORE`` unless the test asks for another one."""
    usual = getattr(request.module, "STORE", "s3_rclone_tls")
    server: ObjectStore = request.getfixturevalue(getattr(request, "param", usual))
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    return Store(server.bucket(), endpoint=server.endpoint, ca_file=str(server.ca or ""))


@pytest.fixture
def run(store: Store, tmp_path: Path) -> Iterator[Callable[[], S3]]:
    """Makes the target as each run of dray would."""
    made: list[S3] = []

    def make() -> S3:
        made.append(S3(store, tmp_path / "state"))
        return made[-1]

    yield make
    for target in made:
        target.close()


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Operation and key of every call to the store."""
    seen: list[tuple[str, str]] = []
    real = Bucket.call

    def call(self: Bucket, operation: str, key: str = "", **arguments: Any) -> dict[str, Any]:
        seen.append((operation, key.rpartition("/")[2]))
        return real(self, operation, key, **arguments)

    monkeypatch.setattr(Bucket, "call", call)
    return seen
