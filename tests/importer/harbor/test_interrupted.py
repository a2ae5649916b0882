"""An import that a Harbor interrupts goes on where it was: no byte that is there is sent again."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests import factory
from tests.importer.harbor.failures import SAMPLES, Stage

if TYPE_CHECKING:
    from pathlib import Path

    from fixtures.harbor.server import Entry
    from tests.servers.harbor import HarborServer

LAYER = 3 << 20
LIMIT = 1 << 20


@pytest.fixture
def stage(harbor: HarborServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    for module in ("http", "upload", "registry"):
        monkeypatch.setattr(f"bundle.{module}.backoff", lambda *_: 0.0)
    bundle = factory.build(tmp_path / "out", SAMPLES["large layer"], chunk_size=8 << 20)
    made = Stage(harbor, tmp_path, bundle, harbor.project())
    made.log_in()
    return made


def uploads(stage: Stage, since: int = 0) -> list[Entry]:
    """Return the requests that carried bytes of the image's blobs."""
    return [
        entry
        for entry in stage.emulated.requests[since:]
        if entry.method in {"PATCH", "PUT"}
        if f"/{stage.project}/nvidia/cuda/blobs/uploads/" in entry.path
    ]


def chunks(stage: Stage, since: int) -> list[Entry]:
    """Return the chunks that the registry took."""
    return [entry for entry in uploads(stage, since) if entry.status == 202]


def closed(stage: Stage) -> Counter[str]:
    """Count how often each blob was closed."""
    return Counter(
        entry.path.partition("digest=")[2]
        for entry in uploads(stage)
        if entry.method == "PUT" and entry.status == 201
    )


def test_a_layer_goes_on_behind_the_last_chunk_that_was_acknowledged(stage: Stage) -> None:
    stage.world.most = LIMIT
    stage.fails("PATCH .*/blobs/uploads/", status=503, skip=1, times=None)
    assert stage.run("import").code == 6
    stage.emulated.faults.clear()
    before = stage.sent()
    assert stage.run("import").code == 0
    starts = [int(entry.range.partition("-")[0]) for entry in chunks(stage, before)]
    assert starts == [LIMIT, 2 * LIMIT]
    assert stage.digest() == stage.root


def test_a_limit_is_met_once_and_no_request_is_larger_after_it(stage: Stage) -> None:
    stage.world.most = LIMIT
    assert stage.run("import").code == 0
    refused = [entry for entry in uploads(stage) if entry.status == 413]
    assert len(refused) == 1
    later = uploads(stage)[uploads(stage).index(refused[0]) + 1 :]
    assert max(entry.length for entry in later) == LIMIT
    assert sum(entry.length for entry in later if entry.method == "PATCH") == LAYER


def test_a_session_that_is_lost_between_two_runs_costs_the_layer_and_no_more(stage: Stage) -> None:
    stage.world.most = LIMIT
    stage.fails("PATCH .*/blobs/uploads/", status=503, skip=2, times=None)
    assert stage.run("import").code == 6
    stage.emulated.faults.clear()
    stage.emulated.v2.blobs.lose_sessions()
    before = stage.sent()
    assert stage.run("import").code == 0
    assert sum(entry.length for entry in chunks(stage, before)) == LAYER
    assert stage.digest() == stage.root


def test_read_only_mode_in_the_middle_ends_the_run_and_the_next_one_sends_the_rest(
    stage: Stage,
) -> None:
    stage.fails(
        "PUT .*/manifests/", before=lambda: setattr(stage.world, "read_only", True), times=1
    )
    done = stage.run("import")
    assert done.code == 6
    assert "then run the same command again: it goes on from here" in done.err
    assert stage.digest() is None
    again = stage.run("import")
    assert again.code == 6
    assert "is in read-only mode" in again.err
    stage.world.read_only = False
    assert stage.run("import").code == 0
    assert set(closed(stage).values()) == {1}
    assert stage.digest() == stage.root


def test_a_closing_request_that_was_never_answered_is_looked_for_before_it_is_sent_again(
    stage: Stage,
) -> None:
    stage.fails("PUT .*nvidia/cuda/.*digest=", status=504, behind=True, times=None)
    assert stage.run("import").code == 0
    sent = [entry for entry in uploads(stage) if entry.method == "PUT"]
    assert [entry.status for entry in sent] == [504, 504]  # the layer and the config, once each
    heads = [
        entry
        for entry in stage.emulated.requests
        if entry.method == "HEAD" and entry.status == 200
        if f"/{stage.project}/nvidia/cuda/blobs/sha256:" in entry.path
    ]
    assert len(heads) == len(sent)
    assert stage.digest() == stage.root
