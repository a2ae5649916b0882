"""The folder as target: resumed by hashing, published by renaming, never led astray by links."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import threading
from typing import TYPE_CHECKING, Any

import pytest

from bundle.errors import PartlyDone, TargetError
from importer.targets import marker
from importer.targets.folder import Folder
from tests.importer.targets.samples import Shelf, fill, ignore, noise
from tests.servers import programs

if TYPE_CHECKING:
    from pathlib import Path

    from bundle.artifact import Artifact

MIB = 1 << 20


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "warehouse"


def load(root: Path, artifact: Artifact, shelf: Shelf) -> Folder:
    target = Folder(root)
    fill(target, artifact, shelf)
    target.publish(artifact, shelf.blob)
    return target


def index(root: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((root / "oci" / "index.json").read_bytes())[
        "manifests"
    ]
    return found


def names(root: Path) -> list[str]:
    key = "org.opencontainers.image.ref.name"
    return [entry.get("annotations", {}).get(key, "") for entry in index(root)]


@pytest.mark.server
def test_skopeo_reads_the_layout(root: Path) -> None:
    skopeo = programs.require("skopeo")
    shelf = Shelf()
    images = [shelf.image("nvidia/cuda", tag, {"l": noise(9)}) for tag in ("12.6", "12.8")]
    for image in images:
        target = load(root, image, shelf)
        command = [str(skopeo), "inspect", "--raw", target.place(image)]
        done = subprocess.run(command, capture_output=True, check=False)
        assert done.stdout == shelf.data[image.root], done.stderr


def test_the_index_gains_names_and_loses_none(root: Path) -> None:
    shelf = Shelf()
    load(root, shelf.image("a/b", "1", {"l": b"1"}), shelf)
    load(root, shelf.image("a/b", "2", {"l": b"2"}), shelf)
    load(root, shelf.image("charts/c", "1", {"l": b"3"}, kind="chart"), shelf)
    assert names(root) == ["a/b:1", "a/b:2", "charts/charts/c:1"]


def test_an_image_without_a_tag_is_named_by_digest(root: Path) -> None:
    shelf = Shelf()
    image = shelf.image("a/b", "", {"l": b"1"})
    target = load(root, image, shelf)
    assert names(root) == [f"a/b@{image.root}"]
    assert target.place(image) == f"oci:{root}/oci:a/b@{image.root}"


def test_what_signs_an_image_is_in_the_index_without_a_name(root: Path) -> None:
    shelf = Shelf()
    image = shelf.signed(shelf.image("a/b", "1", {"l": b"1"}), b"signature")
    for _ in range(2):
        load(root, image, shelf)
    assert names(root) == ["a/b:1", ""]


def test_the_entries_of_others_stay(root: Path) -> None:
    shelf = Shelf()
    (root / "oci").mkdir(parents=True)
    other = {"mediaType": "x/y", "digest": "sha256:" + "0" * 64, "size": 1, "extra": {"a": []}}
    document = {"schemaVersion": 2, "manifests": [other], "annotations": {"by": "other"}}
    (root / "oci" / "index.json").write_text(json.dumps(document))
    load(root, shelf.image("a/b", "1", {"l": b"1"}), shelf)
    after = json.loads((root / "oci" / "index.json").read_bytes())
    assert after["manifests"][0] == other
    assert after["annotations"] == {"by": "other"}
    assert names(root) == ["", "a/b:1"]


@pytest.mark.parametrize("text", ["", "[]", "{", '{"manifests":{}}', '{"manifests":[1]}'])
def test_an_index_that_is_none_is_refused_and_left(root: Path, text: str) -> None:
    shelf = Shelf()
    (root / "oci").mkdir(parents=True)
    (root / "oci" / "index.json").write_text(text)
    with pytest.raises(TargetError, match="not the index of an OCI image layout"):
        load(root, shelf.image("a/b", "1", {"l": b"1"}), shelf)
    assert (root / "oci" / "index.json").read_text() == text


def test_only_the_rest_of_an_interrupted_blob_is_read(root: Path) -> None:
    shelf = Shelf()
    image = shelf.image("a/b", "1", {"l": noise(10 * MIB)})
    content = image.contents[0]
    with pytest.raises(PartlyDone):
        Folder(root).put(image, content, shelf.cut_off(content.digest, 8 * MIB), ignore)
    blob = shelf.blob(content.digest)
    Folder(root).put(image, content, blob, ignore)
    assert blob.read_bytes == 3 * MIB  # the verifier had held one block back
    assert Folder(root).has(image, content)


@pytest.mark.parametrize("garbage", [1, MIB, 3 * MIB, 4 * MIB])
def test_garbage_that_a_crash_has_left_does_not_blame_the_medium(root: Path, garbage: int) -> None:
    shelf = Shelf()
    image = shelf.image("a/b", "1", {"l": noise(3 * MIB)})
    content = image.contents[0]
    with pytest.raises(PartlyDone):
        Folder(root).put(image, content, shelf.cut_off(content.digest, MIB), ignore)
    (partial,) = (root / ".dray" / "partial").iterdir()
    partial.write_bytes(bytes(garbage))
    counted: list[int] = []
    Folder(root).put(image, content, shelf.blob(content.digest), counted.append)
    assert sum(counted) == content.size
    assert Folder(root).has(image, content)


def test_a_blob_that_has_rotted_is_replaced(root: Path) -> None:
    shelf = Shelf()
    image = shelf.image("a/b", "1", {"l": b"layer"})
    load(root, image, shelf)
    content = image.contents[0]
    path = root / "oci" / "blobs" / "sha256" / content.digest.hex
    path.write_bytes(b"LAYER")
    target = Folder(root)
    assert not target.has(image, content)
    fill(target, image, shelf)
    assert path.read_bytes() == b"layer"


def test_a_manifest_that_has_rotted_is_replaced(root: Path) -> None:
    shelf = Shelf()
    image = shelf.image("a/b", "1", {"l": b"layer"})
    load(root, image, shelf)
    path = root / "oci" / "blobs" / "sha256" / image.root.hex
    path.write_bytes(bytes(path.stat().st_size))
    assert Folder(root).publish(image, shelf.blob)
    assert path.read_bytes() == shelf.data[image.root]


def test_a_model_appears_in_one_rename_with_its_marker(root: Path) -> None:
    shelf = Shelf()
    model = shelf.model("org/m", "1", {"a": b"1", "d/b": b"2"})
    target = load(root, model, shelf)
    folder = root / "models" / "org" / "m" / "1"
    assert target.place(model) == str(folder)
    found = marker.read((folder / marker.NAME).read_bytes(), "x")
    files = {c.path: c.digest for c in model.files}
    assert found == marker.Marker(model.root, files, name=model.name)
    assert list((root / ".dray" / "staged").iterdir()) == []
    assert list((root / ".dray" / "partial").iterdir()) == []


def test_a_version_without_its_marker_is_completed_file_by_file(root: Path) -> None:
    shelf = Shelf()
    model = shelf.model("org/m", "1", {"a": b"1", "d/b": b"2", "own": b"3"})
    folder = root / "models" / "org" / "m" / "1"
    (folder / "d").mkdir(parents=True)
    (folder / "a").write_bytes(b"x")
    (folder / "d" / "b").write_bytes(b"2")
    (folder / "notes.txt").write_bytes(b"somebody's")
    load(root, model, shelf)
    found = {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    del found[marker.NAME]
    assert found == {"a": b"1", "d/b": b"2", "own": b"3", "notes.txt": b"somebody's"}
    assert list((root / ".dray" / "staged").iterdir()) == []


def test_a_file_that_was_changed_after_an_earlier_import_is_kept_when_stale(root: Path) -> None:
    shelf = Shelf()
    load(root, shelf.model("org/m", "1", {"a": b"1", "x": b"x", "y": b"y"}), shelf)
    folder = root / "models" / "org" / "m" / "1"
    (folder / "y").write_bytes(b"Y")
    load(root, shelf.model("org/m", "1", {"a": b"2"}), shelf)
    assert {path.name for path in folder.iterdir()} == {"a", "y", marker.NAME}


@pytest.mark.parametrize("link", ["models", "models/org", "models/org/m/1", ".dray"])
def test_a_symbolic_link_inside_is_not_followed(root: Path, tmp_path: Path, link: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    path = root / link
    path.parent.mkdir(parents=True)
    path.symlink_to(outside)
    shelf = Shelf()
    with pytest.raises(TargetError):
        load(root, shelf.model("org/m", "1", {"a": b"1"}), shelf)
    assert list(outside.iterdir()) == []


def test_a_link_in_the_place_of_a_file_is_replaced_and_not_written_through(
    root: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(b"precious")
    folder = root / "models" / "org" / "m" / "1"
    folder.mkdir(parents=True)
    (folder / "a").symlink_to(outside)
    shelf = Shelf()
    load(root, shelf.model("org/m", "1", {"a": b"precious"}), shelf)
    assert not (folder / "a").is_symlink()
    assert outside.read_bytes() == b"precious"


def test_the_folder_itself_may_be_a_link(root: Path, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    root.symlink_to(tmp_path / "disk")
    shelf = Shelf()
    load(root, shelf.model("org/m", "1", {"a": b"1"}), shelf)
    assert (tmp_path / "disk" / "models" / "org" / "m" / "1" / "a").read_bytes() == b"1"


def test_a_device_in_the_place_of_a_partial_file_is_refused(root: Path) -> None:
    shelf = Shelf()
    image = shelf.image("a/b", "1", {"l": b"12345"})
    content = image.contents[0]
    with pytest.raises(PartlyDone):
        Folder(root).put(image, content, shelf.cut_off(content.digest, 0), ignore)
    (partial,) = (root / ".dray" / "partial").iterdir()
    partial.unlink()
    os.mkfifo(partial)
    with pytest.raises(TargetError, match="not a regular file"):
        Folder(root).put(image, content, shelf.blob(content.digest), ignore)


def test_checking_creates_nothing(root: Path) -> None:
    Folder(root / "deep" / "er").check()
    assert not root.exists()


def test_a_file_in_the_place_of_the_folder_is_refused(root: Path) -> None:
    root.write_bytes(b"")
    with pytest.raises(TargetError, match="is no folder"):
        Folder(root / "below").check()


def test_a_full_disk_is_told_with_what_to_do(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_handle: int, _data: object) -> int:
        raise OSError(28, "No space left on device")

    shelf = Shelf()
    image = shelf.image("a/b", "1", {"l": b"12345"})
    content = image.contents[0]
    with monkeypatch.context() as patched:
        patched.setattr("importer.targets.tree.os.write", full)
        with pytest.raises(TargetError, match="no space left on device") as error:
            Folder(root).put(image, content, shelf.blob(content.digest), ignore)
    assert "free some space" in error.value.hint
    assert not Folder(root).has(image, content)


def test_threads_that_put_one_blob_do_not_disturb_each_other(root: Path) -> None:
    shelf = Shelf()
    image = shelf.image("a/b", "1", {"l": noise(5 * MIB)})
    content = image.contents[0]
    target, failures = Folder(root), []

    def put() -> None:
        try:
            target.put(image, content, shelf.blob(content.digest), ignore)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=put) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert Folder(root).has(image, content)
    assert list((root / ".dray" / "partial").iterdir()) == []


def test_threads_that_publish_lose_no_name(root: Path) -> None:
    shelf = Shelf()
    images = [shelf.image("a/b", str(n), {"l": b"%d" % n}) for n in range(12)]
    target = Folder(root)
    for image in images:
        fill(target, image, shelf)
    threads = [
        threading.Thread(target=target.publish, args=(image, shelf.blob)) for image in images
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(names(root)) == sorted(f"a/b:{n}" for n in range(12))


def test_a_file_that_is_taken_is_one_file_with_two_names(tmp_path: Path) -> None:
    shelf, target = Shelf(), Folder(tmp_path)
    old = shelf.model("nvidia/m", "1", {"a.bin": b"x" * 5000})
    new = shelf.model("nvidia/m", "2", {"b.bin": b"x" * 5000})
    fill(target, old, shelf)
    target.publish(old, shelf.blob)
    assert target.take(new, new.contents[0], old, old.contents[0])
    target.publish(new, shelf.blob)
    one, two = (tmp_path / f"models/nvidia/m/{name}" for name in ("1/a.bin", "2/b.bin"))
    assert one.stat().st_ino == two.stat().st_ino
    again = Folder(tmp_path)
    one.write_bytes(b"y" * 5000)  # somebody writes into it, and so into both
    assert not again.has(new, new.contents[0])
    fill(again, new, shelf)
    again.publish(new, shelf.blob)
    assert (two.read_bytes(), one.read_bytes()) == (b"x" * 5000, b"y" * 5000)


def test_a_file_that_was_spoilt_is_not_taken(tmp_path: Path) -> None:
    shelf, target = Shelf(), Folder(tmp_path)
    old = shelf.model("nvidia/m", "1", {"a.bin": b"x" * 5000})
    new = shelf.model("nvidia/m", "2", {"b.bin": b"x" * 5000})
    fill(target, old, shelf)
    target.publish(old, shelf.blob)
    (tmp_path / "models/nvidia/m/1/a.bin").write_bytes(b"y" * 5000)
    assert not target.take(new, new.contents[0], old, old.contents[0])


@pytest.mark.parametrize("number", [errno.EXDEV, errno.EPERM, errno.EMLINK])
def test_a_file_system_without_links_gets_the_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_arguments: object, **_named: object) -> None:
        raise OSError(number, "no")

    shelf, target = Shelf(), Folder(tmp_path)
    old = shelf.model("nvidia/m", "1", {"a.bin": b"x" * 5000})
    new = shelf.model("nvidia/m", "2", {"b.bin": b"x" * 5000})
    fill(target, old, shelf)
    target.publish(old, shelf.blob)
    monkeypatch.setattr(os, "link", refuse)
    assert not target.take(new, new.contents[0], old, old.contents[0])
