"""Links that lie where dray is about to write on a medium: what they name is never touched."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bundle.digest import Digest
from bundler import packing, signing
from bundler.lock import Lock, LockedArtifact, LockedContent, Origin
from tests import factory
from tests.refusals.conftest import copy
from tests.refusals.table import dray

if TYPE_CHECKING:
    from pathlib import Path

    from tests.factory import Bundle

LOOP = "Too many levels of symbolic links"
SPEC = "apiVersion: dray/v1\nstream: prod\nimages:\n  - nvcr.io/nvidia/cuda:12.6\n"


@pytest.fixture
def precious(tmp_path: Path) -> Path:
    path = tmp_path / "precious"
    path.write_bytes(b"of this host")
    return path


@pytest.mark.parametrize("kind", ["sigstore.json", "sig"])
def test_a_signature_is_not_written_through_a_link(
    kind: str, precious: Path, good: dict[str, Bundle], tmp_path: Path
) -> None:
    bundle = copy(good["plain"], tmp_path / "desk")
    signing.generate(tmp_path, "second", passphrase=None)
    bundle.path(f"manifest.json.second.{kind}.partial").symlink_to(precious)
    key = tmp_path / "second.key"
    answer = dray("sign", bundle.folder, "--key", key, "--trust", bundle.trust, folder=tmp_path)
    assert answer.code == 6, answer
    assert LOOP in answer.err
    assert precious.read_bytes() == b"of this host"


def text_only(kept: factory.Contents) -> tuple[LockedArtifact, ...]:
    """Return an image that the lock holds whole: nothing has to be fetched."""
    made = factory.image(kept, "nvcr.io/nvidia/cuda:12.6", [b"a layer"])
    contents = tuple(
        LockedContent(content, text=kept[content.digest].decode())
        for content in made.artifact.contents
    )
    where = {"host": "nvcr.io", "repository": "nvidia/cuda"}
    return (LockedArtifact(made.artifact, Origin("registry", where), contents),)


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("chunk-00001.tar.partial", 6, LOOP),
        ("manifest.json.partial", 0, ""),  # what an older run left is removed: here, the link
        ("lock.yaml.partial", 0, ""),
    ],
)
def test_an_export_does_not_write_through_a_link(
    name: str, code: int, said: str, precious: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "MIN_CHUNK", 1)
    (tmp_path / "dray.yaml").write_text(SPEC)
    lock = Lock("prod", Digest.of(SPEC.encode()), text_only(factory.Contents()))
    (tmp_path / "dray.lock.yaml").write_bytes(lock.text)
    signing.generate(tmp_path, "dray", passphrase=None)
    folder = tmp_path / "out" / "prod-000001"
    folder.mkdir(parents=True)
    (folder / f"prod-000001.{name}").symlink_to(precious)
    (folder / "prod-000001.journal").touch()
    answer = dray("export", "dray.yaml", "--to", "out", folder=tmp_path)
    assert answer.code == code, answer
    assert said in answer.err
    assert precious.read_bytes() == b"of this host"


def test_what_a_lock_holds_whole_is_exported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "MIN_CHUNK", 1)
    (tmp_path / "dray.yaml").write_text(SPEC)
    lock = Lock("prod", Digest.of(SPEC.encode()), text_only(factory.Contents()))
    (tmp_path / "dray.lock.yaml").write_bytes(lock.text)
    signing.generate(tmp_path, "dray", passphrase=None)
    answer = dray("export", "dray.yaml", "--to", "out", folder=tmp_path)
    assert answer.code == 0, answer
