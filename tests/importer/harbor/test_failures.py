"""Every failure that a Harbor has in store for an import: provoked, and what people are told.

The sections are those of a study of Harbor's source: traps (0), versions (1.1), forms of errors,
logins, projects and quotas, robots, what may be pushed, policies, rules, and large layers (1.9).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from importer.harbor import preflight
from tests import factory
from tests.importer.harbor.failures import SAMPLES, SECRET, Row, Stage
from tests.importer.harbor.failures_before import BEFORE, NOTES
from tests.importer.harbor.failures_during import DURING, LIVED_THROUGH

if TYPE_CHECKING:
    from pathlib import Path

    from tests.factory import Bundle
    from tests.servers.harbor import HarborServer

SECTIONS = {f"1.{number}" for number in range(1, 10)} | {"0.1", "0.2", "0.4", "0.5", "0.6"}


@pytest.fixture(scope="session")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Bundle]:
    root = tmp_path_factory.mktemp("failures")
    return {
        name: factory.build(root / name.replace(" ", "-"), make, chunk_size=8 << 20)
        for name, make in SAMPLES.items()
    }


@pytest.fixture
def stage(
    row: Row,
    harbor: HarborServer,
    bundles: dict[str, Bundle],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Stage:
    for module in ("http", "upload", "registry"):
        monkeypatch.setattr(f"bundle.{module}.backoff", lambda *_: 0.0)
    made = Stage(harbor, tmp_path, bundles[row.sample], harbor.project())
    made.log_in()
    row.provoke(made)
    return made


def rows(*tables: tuple[Row, ...]) -> pytest.MarkDecorator:
    found = [row for table in tables for row in table]
    return pytest.mark.parametrize("row", found, ids=[row.name for row in found])


@rows(BEFORE, DURING)
def test_a_failure_says_what_happened_and_who_has_to_do_what(row: Row, stage: Stage) -> None:
    before = stage.sent()
    done = stage.run(*row.command)
    assert done.code == row.code, done
    assert re.search(row.says, done.err), done.err
    _, _, hint = done.err.partition("dray: hint: ")
    assert re.search(row.hint, hint), done.err
    assert row.hint or row.code == 2, "a failure without a hint"
    assert SECRET not in done.text
    if row.early:
        assert stage.written(before) == []
    stage.recover()
    assert stage.digest() != stage.root


@rows(NOTES)
def test_what_is_no_obstacle_is_a_note(
    row: Row, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight, "S3_LAYER", 100_000)
    done = stage.run(*row.command)
    assert done.code == 0, done
    assert re.search(row.says, done.text, re.MULTILINE), done.text
    assert stage.digest() == stage.root


@rows(LIVED_THROUGH)
def test_what_passes_is_lived_through(row: Row, stage: Stage) -> None:
    done = stage.run(*row.command)
    assert done.code == 0, done
    assert re.search(row.says, done.out, re.MULTILINE), done.text
    stage.recover()
    assert stage.digest() == stage.root


def test_every_section_has_a_row() -> None:
    assert {row.section for row in (*BEFORE, *NOTES, *DURING, *LIVED_THROUGH)} == SECTIONS
