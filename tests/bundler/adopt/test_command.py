"""``dray adopt`` as it is run."""

from __future__ import annotations

import io
import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

from bundler import spec
from tests.bundler.adopt.lists import AICR, HAULER, images
from tests.e2e.desk import Desk

if TYPE_CHECKING:
    from pathlib import Path

FULL = "nvcr.io/nvidia/cuda:12.6.0"
WARNED = "# WARNING: incomplete\n" + images(FULL)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    (tmp_path / "hauler.yaml").write_text(HAULER)
    (tmp_path / "aicr.yaml").write_text(AICR)
    (tmp_path / "warned.yaml").write_text(WARNED)
    (tmp_path / "bare.yaml").write_text(images("nginx"))
    return Desk(tmp_path)


def test_files_of_several_tools_become_one_spec(desk: Desk) -> None:
    done = desk.dray("adopt", "hauler.yaml", "aicr.yaml", "--stream", "lab")
    assert done.out.startswith("wrote dray.yaml: 4 images, 3 charts\n")
    made = spec.load(desk.folder / "dray.yaml")
    assert made.stream == "lab"
    assert (len(made.images), len(made.charts)) == (4, 3)


def test_warnings_write_nothing_until_they_are_accepted(desk: Desk) -> None:
    done = desk.dray("adopt", "warned.yaml", code=7)
    assert "dray: warning: warned.yaml:1: a comment says: WARNING: incomplete" in done.err
    assert "--accept-warnings REASON" in done.err
    assert not (desk.folder / "dray.yaml").exists()
    desk.dray("adopt", "warned.yaml", "--accept-warnings", "looked at")
    text = (desk.folder / "dray.yaml").read_text()
    assert "accepted because: looked at" in text
    assert "WARNING: incomplete" in text


def test_a_bare_name_is_never_docker_hubs(desk: Desk) -> None:
    done = desk.dray("adopt", "bare.yaml", code=2)
    assert "'nginx' has no registry host" in done.err
    assert "--answer 'nginx=" in done.err
    assert not (desk.folder / "dray.yaml").exists()
    desk.dray("adopt", "bare.yaml", "--answer", f"nginx={FULL}")
    assert [entry.name for entry in spec.load(desk.folder / "dray.yaml").images] == [FULL]


def test_a_spec_that_is_there_is_left(desk: Desk) -> None:
    (desk.folder / "dray.yaml").write_text("mine")
    assert "is there already" in desk.dray("adopt", "aicr.yaml", code=2).err
    assert (desk.folder / "dray.yaml").read_text() == "mine"
    desk.dray("adopt", "aicr.yaml", "--to", "other.yaml")
    assert spec.load(desk.folder / "other.yaml").images


def test_a_list_comes_through_a_pipe(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(AICR.encode())))
    desk.dray("adopt", "-")
    assert "# standard input:2 of gpu-operator" in (desk.folder / "dray.yaml").read_text()


def test_json_says_what_was_made_and_what_was_accepted(desk: Desk) -> None:
    done = desk.dray("adopt", "warned.yaml", "--accept-warnings", "seen", "--json")
    body: Any = json.loads(done.out)
    assert (body["spec"], body["images"], body["charts"]) == ("dray.yaml", 1, 0)
    assert body["warnings"] == ["warned.yaml:1: a comment says: WARNING: incomplete"]


@pytest.mark.parametrize(
    "answers", [["nginx"], ["=a"], ["nginx="], [f"nginx={FULL}", "nginx=skip"], [f"other={FULL}"]]
)
def test_an_answer_that_answers_nothing_is_refused(desk: Desk, answers: list[str]) -> None:
    options = [part for answer in answers for part in ("--answer", answer)]
    desk.dray("adopt", "bare.yaml", *options, code=2)


def test_a_file_that_is_not_there_is_named(desk: Desk) -> None:
    assert "nothing.yaml" in desk.dray("adopt", "nothing.yaml", code=2).err


def test_a_reason_of_nothing_is_none(desk: Desk) -> None:
    desk.dray("adopt", "warned.yaml", "--accept-warnings", "", code=7)
