"""The folder at HF_HUB_CACHE: Hugging Face's own library finds models in it, asked for nothing."""

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
from importer.targets.naming import HF, Naming
from importer.targets.s3 import S3
from tests.importer.targets.samples import Shelf, fill

if TYPE_CHECKING:
    from pathlib import Path

    from bundle.artifact import Artifact

FILES = {"config.json": b"{}", "deep/model.safetensors": b"1"}
ONE, TWO = "c0ffee" * 6 + "c0ff", "deadbeef" * 5
_READER = """
import sys, huggingface_hub as hub
for revision in [None, *sys.argv[1:]]:
    folder = hub.snapshot_download("nvidia/Tiny-Model", revision=revision)
    sys.stdout.write(open(folder + "/config.json").read() + "\\n")
info = hub.scan_cache_dir()
odd = [str(one) for one in info.warnings if "/.dray" not in str(one)]
assert not odd, odd
sys.stdout.write(" ".join(sorted(r.commit_hash for repo in info.repos for r in repo.revisions)))
"""


def model(shelf: Shelf, commit: str, config: bytes) -> Artifact:
    made = shelf.model("nvidia/Tiny-Model", commit, {**FILES, "config.json": config})
    name = f"huggingface.co/nvidia/Tiny-Model:{commit}"
    return replace(made, name=name, repository="huggingface.co/nvidia/tiny-model")


def read(cache: Path, *revisions: str) -> list[str]:
    """Return what the library reads of ``main`` and of each revision, then all that it knows."""
    said = subprocess.run(
        [sys.executable, "-c", _READER, *revisions],
        env={"HF_HUB_CACHE": str(cache), "HF_HUB_OFFLINE": "1", "HOME": "/none"},
        capture_output=True,
        text=True,
        check=True,
    )
    return said.stdout.splitlines()


def test_a_folder_is_a_cache_whose_main_is_what_came_last(tmp_path: Path) -> None:
    shelf = Shelf()
    for commit, config in ((ONE, b"one"), (TWO, b"two")):
        target, artifact = Folder(tmp_path, naming=Naming(layout=HF)), model(shelf, commit, config)
        fill(target, artifact, shelf)
        assert target.publish(artifact, shelf.blob)
    assert read(tmp_path, ONE, TWO) == ["two", "one", "two", f"{ONE} {TWO}"]


@pytest.mark.server
def test_a_copy_of_a_bucket_is_a_cache(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server: Any = request.getfixturevalue("s3_rclone_tls")
    for key, value in server.environment().items():
        monkeypatch.setenv(key, value)
    shelf, bucket = Shelf(), server.bucket()
    where = Store(bucket, endpoint=server.endpoint, ca_file=str(server.ca))
    target = S3(where, tmp_path / "state", naming=Naming("hub", layout=HF))
    artifact = model(shelf, ONE, b"one")
    fill(target, artifact, shelf)
    assert target.publish(artifact, shelf.blob)
    assert not target.publish(artifact, shelf.blob)
    target.close()
    client, copy = server.client(), tmp_path / "copy"
    for entry in client.list_objects_v2(Bucket=bucket)["Contents"]:
        place = copy / entry["Key"]
        place.parent.mkdir(parents=True, exist_ok=True)
        body = client.get_object(Bucket=bucket, Key=entry["Key"])["Body"]
        place.write_bytes(body.read())
        body.close()
    client.close()
    assert read(copy / "hub") == ["one", ONE]
    top = copy / "hub" / "models--nvidia--Tiny-Model"
    assert sorted(path.name for path in top.iterdir()) == [f"{ONE}.sha256sums", "refs", "snapshots"]
    check = ["sha256sum", "--quiet", "-c", f"{ONE}.sha256sums"]
    subprocess.run(check, cwd=top, check=True)


def test_two_commits_of_a_model_cannot_both_be_main() -> None:
    shelf = Shelf()
    both = [model(shelf, ONE, b"1"), model(shelf, TWO, b"2")]
    target = S3(Store("bucket"), None, naming=Naming(layout=HF))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"would both be at s3://bucket/models--.*/refs/main"):
        destinations.route(both, [target])


def test_a_model_of_ngc_is_refused() -> None:
    artifact = Shelf().model("nvidia/riva/asr", "1", FILES)
    with pytest.raises(UsageError, match="is no model of Hugging Face"):
        Naming(layout=HF).folder(artifact)
