"""Objects that a store copies by itself: what was proved and nothing else, or through this host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from bundle.errors import TargetError
from importer.targets import objectcopy
from importer.targets.bucket import Store
from importer.targets.s3 import S3
from tests.importer.targets.samples import Shelf, fill

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bundle.artifact import Artifact
    from tests.servers.s3 import ObjectStore

pytestmark = pytest.mark.server
DATA = b"weights" * 1000


@pytest.fixture
def target(
    s3_versity: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[S3]:
    for name, value in s3_versity.environment().items():
        monkeypatch.setenv(name, value)
    where = Store(s3_versity.bucket(), s3_versity.endpoint, ca_file=str(s3_versity.ca or ""))
    made = S3(where, tmp_path / "state")
    yield made
    made.close()


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


def two(shelf: Shelf, target: S3) -> tuple[Artifact, Artifact]:
    """Return what is there, and what has the same file under another name."""
    old = shelf.model("nvidia/m", "1", {"a.bin": DATA})
    fill(target, old, shelf)
    target.publish(old, shelf.blob)
    return old, shelf.model("nvidia/m", "2", {"b.bin": DATA})


class Calls:
    """Counts what is asked of a store; ``refuse`` names an operation and how it is refused."""

    def __init__(self, target: S3, refuse: tuple[str, str] = ("", "")) -> None:
        self.made: list[str] = []
        call = target._bucket.call

        def counted(operation: str, key: str = "", **arguments: Any) -> dict[str, Any]:
            self.made.append(operation)
            if operation == refuse[0]:
                raise TargetError(f"{operation} was refused", case=refuse[1])
            return call(operation, key, **arguments)

        target._bucket.call = counted  # type: ignore[method-assign]


def test_nothing_is_uploaded_that_the_store_has(target: S3, shelf: Shelf) -> None:
    old, new = two(shelf, target)
    calls = Calls(target)
    assert target.take(new, new.contents[0], old, old.contents[0])
    target.publish(new, shelf.blob)
    assert "upload_part" not in calls.made
    assert calls.made.count("copy_object") == 1
    assert target._bucket.read("models/nvidia/m/2/b.bin", 1 << 20) == DATA


def test_a_store_that_does_not_copy_gets_the_bytes_through_this_host(
    target: S3, shelf: Shelf
) -> None:
    old, new = two(shelf, target)
    calls = Calls(target, ("copy_object", "NotImplemented"))
    assert target.take(new, new.contents[0], old, old.contents[0])
    target.publish(new, lambda digest: pytest.fail(f"{digest} is not on the medium"))
    assert "upload_part" in calls.made
    assert target._bucket.read("models/nvidia/m/2/b.bin", 1 << 20) == DATA


def test_an_object_with_other_bytes_and_a_true_note_is_not_copied(target: S3, shelf: Shelf) -> None:
    old, new = two(shelf, target)
    notes = {"sha256": old.contents[0].digest.hex}
    key = "models/nvidia/m/1/a.bin"
    target._bucket.call("put_object", key, Body=bytes(len(DATA)), Metadata=notes)
    with pytest.raises(TargetError, match="is not what was imported there"):
        target.take(new, new.contents[0], old, old.contents[0])


def test_an_object_that_is_changed_after_it_was_proved_is_not_published(
    target: S3, shelf: Shelf
) -> None:
    old, new = two(shelf, target)
    assert target.take(new, new.contents[0], old, old.contents[0])
    notes = {"sha256": old.contents[0].digest.hex}
    key = "models/nvidia/m/1/a.bin"
    target._bucket.call("put_object", key, Body=bytes(len(DATA)), Metadata=notes)
    with pytest.raises(TargetError, match="was changed while it was copied"):
        target.publish(new, shelf.blob)
    assert target._bucket.read("models/nvidia/m/2/.dray-complete.json", 1 << 20) is None


def test_a_large_object_is_copied_in_parts(
    target: S3, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = b"x" * (11 << 20)
    old = shelf.model("nvidia/m", "1", {"a.bin": large})
    fill(target, old, shelf)
    target.publish(old, shelf.blob)
    new = shelf.model("nvidia/m", "2", {"b.bin": large})
    monkeypatch.setattr(objectcopy, "MOST", 1 << 20)
    monkeypatch.setattr(objectcopy, "_PART", 5 << 20)
    calls = Calls(target)
    assert target.take(new, new.contents[0], old, old.contents[0])
    target.publish(new, shelf.blob)
    assert (calls.made.count("upload_part_copy"), "upload_part" in calls.made) == (3, False)
    assert target._bucket.read("models/nvidia/m/2/b.bin", 1 << 24) == large
