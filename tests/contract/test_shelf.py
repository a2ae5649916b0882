"""What every shelf does, whatever it lies on: a folder, a registry, object stores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from bundle.errors import TargetError
from bundle.http import Http
from importer.harbor.pace import Pace
from importer.targets.bucket import Store
from importer.targets.folder import Folder
from importer.targets.harbor import HarborTarget
from importer.targets.naming import Naming
from importer.targets.registry import RegistryTarget
from importer.targets.s3 import S3

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from importer.ledger.shelf import Shelf
    from importer.targets.base import Target

ONE, TWO = f"{'1' * 32}.json", f"{'2' * 32}.jsonl"


def _store(server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Target:
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    where = Store(server.bucket(), endpoint=server.endpoint, ca_file=str(server.ca or ""))
    return S3(where, tmp_path / "state", naming=Naming("some/prefix"))


@pytest.fixture(
    params=[
        "folder",
        "s3_memory",
        pytest.param("registry", marks=pytest.mark.server),
        pytest.param("harbor", marks=pytest.mark.server),
        pytest.param("s3_rclone", marks=pytest.mark.server),
        pytest.param("s3_versity", marks=pytest.mark.server),
        pytest.param("s3_rgw", marks=pytest.mark.server),
    ]
)
def target(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Target]:
    made: Target
    if request.param == "folder":
        made = Folder(tmp_path / "warehouse")
    elif request.param == "registry":
        server = request.getfixturevalue("registry")
        http = Http(error=TargetError, retries=0)
        made = RegistryTarget(server.host, http, naming=Naming(server.repository("ngc")))
    elif request.param == "harbor":
        harbor = request.getfixturevalue("harbor")
        naming, pace = Naming(harbor.project()), Pace(1)
        made = HarborTarget(harbor.host, harbor.http(), harbor.admin, pace, naming=naming)
    else:
        made = _store(request.getfixturevalue(request.param), tmp_path, monkeypatch)
    yield made
    made.close()


@pytest.fixture
def shelf(target: Target) -> Shelf:
    return target.shelf()


def test_where_there_never_was_a_ledger_there_is_none(shelf: Shelf) -> None:
    assert shelf.names() == []
    assert shelf.read(ONE, 100) is None


def test_what_was_written_is_read_and_replaced(target: Target, shelf: Shelf) -> None:
    shelf.write(ONE, b"first")
    shelf.write(TWO, b"second\n")
    shelf.write(ONE, b"third")
    again = target.shelf()
    assert again.names() == [ONE, TWO]
    assert again.read(ONE, 100) == b"third"
    assert again.read(TWO, 7) == b"second\n"


def test_more_than_was_asked_for_is_not_read(shelf: Shelf) -> None:
    shelf.write(ONE, b"x" * 101)
    with pytest.raises(TargetError, match="longer than 100 bytes"):
        shelf.read(ONE, 100)


def test_the_place_has_a_name_for_people(shelf: Shelf) -> None:
    assert shelf.label.endswith("dray/ledger")
