"""The cache of a NIM: where models lie in it; Hugging Face's own library finds its half."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from bundle.errors import UsageError
from importer import destinations
from importer.targets.bucket import Store
from importer.targets.folder import Folder
from importer.targets.naming import NIM_CACHE, Naming
from importer.targets.s3 import S3
from tests.importer.targets.samples import Shelf, fill

if TYPE_CHECKING:
    from pathlib import Path

    from bundle.artifact import Artifact

FILES = {"config.json": b"{}", "engine/rank0.engine": b"1"}
VERSION = "0.11.1+ba20956e-l40sx1-bf16-throughput.1.1.0.17088220"
HUB = "ngc/hub/models--nim--meta--llama-3_1-8b-instruct"
COMMIT = "c0ffee" * 6 + "c0ff"


def load(root: Path, artifact: Artifact, shelf: Shelf) -> bool:
    target = Folder(root, naming=Naming(layout=NIM_CACHE))
    fill(target, artifact, shelf)
    return target.publish(artifact, shelf.blob)


def llama(shelf: Shelf, version: str = VERSION) -> Artifact:
    return shelf.model("nim/meta/llama-3_1-8b-instruct", version, FILES)


def tree(root: Path) -> dict[str, bytes]:
    files = (path for path in root.rglob("*") if path.is_file())
    found = {str(path.relative_to(root)): path.read_bytes() for path in files}
    return {name: data for name, data in found.items() if ".dray" not in name}


def test_a_version_is_a_snapshot_and_a_pointer_to_it(tmp_path: Path) -> None:
    shelf = Shelf()
    assert load(tmp_path, llama(shelf), shelf)
    assert tree(tmp_path) == {
        f"{HUB}/refs/{VERSION}": VERSION.encode(),
        f"{HUB}/snapshots/{VERSION}/config.json": b"{}",
        f"{HUB}/snapshots/{VERSION}/engine/rank0.engine": b"1",
    }
    assert not any(path.is_symlink() for path in tmp_path.rglob("*"))


def test_two_versions_lie_side_by_side_and_twice_changes_nothing(tmp_path: Path) -> None:
    shelf = Shelf()
    for version in (VERSION, "hf-8c22764-nim1.2"):
        assert load(tmp_path, llama(shelf, version), shelf)
        assert not load(tmp_path, llama(shelf, version), shelf)
    assert sorted(path.name for path in (tmp_path / HUB / "refs").iterdir()) == [
        VERSION,
        "hf-8c22764-nim1.2",
    ]


@pytest.mark.parametrize("damage", ["", "main"])
def test_a_pointer_that_is_gone_or_points_elsewhere_is_mended(tmp_path: Path, damage: str) -> None:
    shelf = Shelf()
    load(tmp_path, llama(shelf), shelf)
    pointer = tmp_path / HUB / "refs" / VERSION
    pointer.unlink()
    if damage:
        pointer.write_text(damage)
    assert load(tmp_path, llama(shelf), shelf)
    assert pointer.read_text() == VERSION


def hugging_face(shelf: Shelf) -> Artifact:
    made = shelf.model("nvidia/Tiny-Model", COMMIT, FILES)
    name = f"huggingface.co/nvidia/Tiny-Model:{COMMIT}"
    return replace(made, name=name, repository="huggingface.co/nvidia/tiny-model")


def test_the_library_of_hugging_face_finds_its_half_without_a_network(tmp_path: Path) -> None:
    shelf = Shelf()
    load(tmp_path, hugging_face(shelf), shelf)
    program = (
        "import sys, huggingface_hub as hub\n"
        f"where = hub.snapshot_download('nvidia/Tiny-Model', revision='{COMMIT}')\n"
        f"one = hub.hf_hub_download('nvidia/Tiny-Model', 'config.json', revision='{COMMIT}')\n"
        "sys.stdout.write(where + '\\n' + one)\n"
    )
    environment = {"HF_HOME": str(tmp_path / "huggingface"), "HF_HUB_OFFLINE": "1", "HOME": "/none"}
    said = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    folder = tmp_path / f"huggingface/hub/models--nvidia--Tiny-Model/snapshots/{COMMIT}"
    assert said.stdout.split() == [str(folder), str(folder / "config.json")]


def test_what_no_nim_looks_for_is_refused(tmp_path: Path) -> None:
    shelf, target = Shelf(), Folder(tmp_path, naming=Naming(layout=NIM_CACHE))
    odd = [
        shelf.model("a/b", "1", FILES, kind="resource"),
        replace(shelf.model("a/b", "1", FILES), name="files.example.com/b:1"),
    ]
    for artifact in odd:
        with pytest.raises(UsageError, match="the cache of a NIM has no place for it"):
            target.place(artifact)


@pytest.mark.server
def test_a_bucket_holds_the_same_tree(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store: Any = request.getfixturevalue("s3_rclone_tls")
    for key, value in store.environment().items():
        monkeypatch.setenv(key, value)
    shelf, bucket = Shelf(), store.bucket()
    where = Store(bucket, endpoint=store.endpoint, ca_file=str(store.ca or ""))
    target = S3(where, tmp_path, naming=Naming("cache", layout=NIM_CACHE))
    model = llama(shelf, "hf")
    fill(target, model, shelf)
    assert target.publish(model, shelf.blob)
    assert not target.publish(model, shelf.blob)
    target.close()
    client = store.client()
    keys = {entry["Key"] for entry in client.list_objects_v2(Bucket=bucket)["Contents"]}
    assert keys == {
        f"cache/{HUB}/hf.sha256sums",
        f"cache/{HUB}/refs/hf",
        f"cache/{HUB}/snapshots/hf/.dray-complete.json",
        f"cache/{HUB}/snapshots/hf/config.json",
        f"cache/{HUB}/snapshots/hf/engine/rank0.engine",
    }
    body = client.get_object(Bucket=bucket, Key=f"cache/{HUB}/refs/hf")["Body"]
    assert body.read() == b"hf"
    body.close()
    client.close()


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("{to: ./x, layout: nim}", "layout: is 'nim'"),
        ("{to: 'registry://r.example/x', layout: nim-cache}", "means nothing for registry"),
        ("{to: ./x, layout: nim-cache, kinds: [image]}", "nim-cache targets take no image"),
        ("{to: ./x, layout: nim-cache, map: [{from: a, to: b}]}", "means nothing with layout"),
    ],
)
def test_a_layout_that_makes_no_sense_is_refused(tmp_path: Path, entry: str, words: str) -> None:
    file = tmp_path / "targets.yaml"
    file.write_text(f"apiVersion: dray/v1\ntargets: [{entry}]\n")
    with pytest.raises(UsageError, match=words):
        destinations.read([str(file)])


def test_a_folder_with_the_layout_takes_models_only(tmp_path: Path) -> None:
    file = tmp_path / "targets.yaml"
    file.write_text("apiVersion: dray/v1\ntargets: [{to: ./x, layout: nim-cache}]\n")
    [found] = destinations.read([str(file)])
    assert found.kinds == {"model"}
