from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bundle.errors import UsageError
from bundler import spec, starter
from tests.bundler.specs import CUDA

if TYPE_CHECKING:
    from pathlib import Path


def test_the_starter_is_a_spec_that_can_be_locked(tmp_path: Path) -> None:
    [path] = starter.write(tmp_path, "my-stream")
    made = spec.load(path)
    assert made.stream == "my-stream"
    assert [entry.name for entry in made.images] == [CUDA]
    assert [entry.name for entry in made.charts] == ["gpu-operator"]
    assert made.warnings == ()


def test_every_example_of_the_starter_can_be_taken(tmp_path: Path) -> None:
    [path] = starter.write(tmp_path, "nvidia-ai")
    text = path.read_text()
    path.write_text(text.replace("\n#  ", "\n  "))
    made = spec.load(path)
    for key in ("images", "charts", "models", "resources", "nims", "hf", "files", "registries"):
        assert getattr(made, key), key
        assert f"\n{key}:" in text
    assert not made.policy  # not offered before they can be carried


@pytest.mark.parametrize("stream", ["true", "null", "2026", "1e5", "0x1f", "a-1"])
def test_a_stream_stays_text_in_the_starter(tmp_path: Path, stream: str) -> None:
    [path] = starter.write(tmp_path, stream)
    assert spec.load(path).stream == stream


@pytest.mark.parametrize("stream", ["", "-a", "a-", "A", "a b", "a" * 41, "a\n", "é"])
def test_a_name_that_no_stream_has_is_refused(tmp_path: Path, stream: str) -> None:
    with pytest.raises(UsageError, match="cannot name a stream"):
        starter.write(tmp_path, stream)
    assert list(tmp_path.iterdir()) == []


def test_the_starter_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / "dray.yaml").write_text("mine")
    with pytest.raises(UsageError, match="is there already"):
        starter.write(tmp_path, "s")
    assert (tmp_path / "dray.yaml").read_text() == "mine"
    (tmp_path / "dray.yaml").unlink()
    (tmp_path / "trust.json").symlink_to("nowhere")
    starter.check(tmp_path, ["dray.key"])
    with pytest.raises(UsageError, match=r"trust\.json is there already"):
        starter.check(tmp_path, ["dray.key", "trust.json"])


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot write .*no such file"):
        starter.write(tmp_path / "missing", "s")
