"""Out of a bucket's quarantine: the store copies what was hashed, and nothing else."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest

from importer.targets import objectcopy
from tests import factory
from tests.importer.promote.making import MODEL, Site

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.servers.s3 import ObjectStore

pytestmark = pytest.mark.server
DENY = "licenses: [{deny: [AGPL-*]}]"
FILES = {"config.json": b"{}\n", "weights/model.bin": factory.noise("weights", 40_000)}


class Depot:
    """A site with a bucket, and a client that looks into it."""

    def __init__(self, folder: Path, store: ObjectStore) -> None:
        self.store, self.bucket = store, store.bucket()
        self.client = store.client()
        media = factory.build(
            folder / "media", lambda kept: (factory.model(kept, "nvidia/riva", "1.0", FILES),)
        )
        self.site = Site(folder, media, "target.yaml")
        entry: dict[str, Any] = {"to": f"s3://{self.bucket}/models", "endpoint": store.endpoint}
        entry |= {"ca": str(store.ca)} if store.ca else {}
        body = {"apiVersion": "dray/v1", "targets": [entry]}
        (folder / "target.yaml").write_text(json.dumps(body))
        self.site.policy(DENY)

    def keys(self, prefix: str) -> list[str]:
        rows = self.client.list_objects_v2(Bucket=self.bucket, Prefix=prefix).get("Contents", [])
        return sorted(row["Key"].removeprefix(prefix) for row in rows)

    def read(self, key: str) -> bytes:
        return bytes(self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read())


@pytest.fixture(params=["s3_rclone_tls", "s3_versity"])
def depot(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Depot]:
    store = request.getfixturevalue(request.param)
    made = Depot(tmp_path, store)
    with mock.patch.dict(os.environ, store.environment()):
        yield made
    made.client.close()


def test_objects_are_copied_by_the_store_marker_last(depot: Depot) -> None:
    depot.site.load()
    assert not depot.keys("models/")
    done = depot.site.promote()
    assert f"promoted {MODEL}" in done.out
    assert "40.0 kB within the target, 0 B by this host" in done.out
    there = depot.keys("models/")
    place = "models/nvidia/riva/1.0/"
    assert f"{place}.dray-complete.json" in there
    for path, data in FILES.items():
        assert depot.read(f"models/{place}{path}") == data
    assert f"there already {MODEL}" in depot.site.promote().out


def test_an_object_that_was_changed_under_its_name_is_not_promoted(depot: Depot) -> None:
    """Its size and its metadata are as they were: only its bytes are others."""
    depot.site.load()
    key = "hold/models/models/nvidia/riva/1.0/weights/model.bin"
    notes = depot.client.head_object(Bucket=depot.bucket, Key=key)["Metadata"]
    evil = FILES["weights/model.bin"][:-1] + b"!"
    depot.client.put_object(Bucket=depot.bucket, Key=key, Body=evil, Metadata=notes)
    done = depot.site.promote(code=6)
    assert "is not what was imported there" in done.out
    assert "somebody changed it there: find out who" in done.err
    assert not depot.keys("models/models/nvidia")


def test_large_objects_are_copied_in_parts(depot: Depot, request: pytest.FixtureRequest) -> None:
    if "rclone" in request.node.callspec.id:
        pytest.skip("rclone's service copies no parts")
    depot.site.load()
    parts = mock.patch.multiple(objectcopy, MOST=1000)
    with parts:
        depot.site.promote()
    assert (
        depot.read("models/models/nvidia/riva/1.0/weights/model.bin") == FILES["weights/model.bin"]
    )


def test_a_store_that_copies_nothing_is_sent_the_bytes(depot: Depot) -> None:
    from bundle.errors import TargetError

    depot.site.load()

    def refuse(*_: object) -> str:
        raise TargetError("no", case="NotImplemented")

    with mock.patch.object(objectcopy, "copy", refuse):
        depot.site.promote()
    assert depot.read("models/models/nvidia/riva/1.0/config.json") == FILES["config.json"]
