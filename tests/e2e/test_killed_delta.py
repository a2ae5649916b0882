"""A delta's export and import that are killed at any instant go on, with the same bytes."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from fixtures.content import Generated, blob
from tests.e2e.desk import CHUNK, chunks, finish, leftovers, tree
from tests.e2e.points import outlived, spread

if TYPE_CHECKING:
    from pathlib import Path

    from fixtures.ngc import EmulatedNgc
    from tests.e2e.desk import Desk
    from tests.e2e.upstream import Upstream

pytestmark = pytest.mark.server
POINTS = 4
"""Instants of each of the two: every one is swept by the tests of whole bundles."""
SINCE = ("--since", "receipt.json", "--receipt-pub", "config/receipt.pub")


@dataclass
class Job:
    """A high side that has the first bundle, and a low side with its receipt and a new lock."""

    desk: Desk
    work: Path
    monkeypatch: pytest.MonkeyPatch

    def copy(self, number: int) -> Path:
        """Return a folder with the state of both sides, and the warehouse, for one try."""
        folder = self.work / f"try-{number}"
        shutil.copytree(self.work / "before", folder)
        self.monkeypatch.setenv("DRAY_STATE_DIR", str(folder / "state"))
        return folder

    def export(self, folder: Path) -> tuple[object, ...]:
        return ("export", "dray.yaml", "--to", folder / "out", "--chunk-size", CHUNK, *SINCE)

    def load(self, folder: Path) -> tuple[object, ...]:
        return (
            "import",
            self.work / "delta",
            "--to",
            folder / "warehouse",
            "--trust",
            "trust.json",
        )

    def steps(self, folder: Path, *arguments: object) -> int:
        """Run a command to its end; return how many steps there were."""
        ended = finish(self.desk.start(*arguments, through=("tests.e2e.reaper", folder, 0)))
        assert ended.code == 0, ended
        return int(ended.err.split()[-1])

    def killed(self, folder: Path, number: int, *arguments: object) -> bool:
        """Run a command that is killed at a step; say whether it was."""
        ended = finish(self.desk.start(*arguments, through=("tests.e2e.reaper", folder, number)))
        return not outlived(ended, number)


@pytest.fixture
def job(
    desk: Desk,
    upstream: Upstream,
    ngc: EmulatedNgc,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Job:
    base = upstream.layer("base", 2_000_000)
    upstream.image("app", 30_000, shared=[base])
    weights, other = blob(Generated("weights", 1_700_000)), blob(Generated("other", 900_000))
    ngc.catalogue.add_files("models", "nvidia/big", "1", {"w.bin": weights, "o.bin": other})
    wanted = {"models": [{"ngc": "nvidia/big:1"}], "registries": ngc.registries}
    state = tmp_path / "before/state"
    monkeypatch.setenv("DRAY_STATE_DIR", str(state))
    desk.lock(upstream.name("app:1.0"), **wanted)
    desk.export(tmp_path / "whole")
    desk.dray("receipt", "keygen", "config", "--no-passphrase")
    more = ("--receipt", "receipt.json", "--receipt-key", "config/receipt.key")
    desk.load(tmp_path / "whole", tmp_path / "before/warehouse", options=more)
    upstream.image("app", 40_000, 60_000, tag="1.1", shared=[base])
    changed = blob(Generated("changed", 950_000))
    ngc.catalogue.add_files("models", "nvidia/big", "2", {"w.bin": weights, "o.bin": changed})
    wanted["models"] = [{"ngc": "nvidia/big:2"}]
    desk.lock(upstream.name("app:1.1"), **wanted)
    return Job(desk, tmp_path, monkeypatch)


def shown(warehouse: Path) -> dict[str, bytes]:
    """Return what readers of a warehouse see."""
    return tree(warehouse, lambda path: ".dray" not in path.relative_to(warehouse).parts)


def test_a_killed_export_of_a_delta_goes_on_to_the_same_chunks(job: Job) -> None:
    expected = job.copy(0)
    steps = job.steps(expected, *job.export(expected))
    size = sum(path.stat().st_size for path in (expected / "out").rglob("*.tar"))
    assert size < 1_300_000, "the base layer and the weights are left out"
    for number in spread(steps, "delta export", POINTS):
        folder = job.copy(number)
        if job.killed(folder, number, *job.export(folder)):
            job.desk.dray(*job.export(folder))
        assert chunks(folder / "out") == chunks(expected / "out")
        assert leftovers(folder / "out") == []
        job.desk.verify(folder / "out")
        shutil.rmtree(folder)


def test_a_killed_import_of_a_delta_goes_on_and_shows_nothing_early(job: Job) -> None:
    made = job.copy(0)
    job.desk.dray(*job.export(made))
    (made / "out").rename(job.work / "delta")
    expected = job.copy(1)
    steps = job.steps(expected, *job.load(expected))
    assert (expected / "warehouse/models/nvidia/big/2/w.bin").is_file()
    before = shown(job.work / "before/warehouse")
    for number in spread(steps, "delta import", POINTS):
        folder = job.copy(number + 1)
        job.killed(folder, number, *job.load(folder))
        now = shown(folder / "warehouse")
        assert before.items() - {("oci/index.json", before["oci/index.json"])} <= now.items()
        if (folder / "warehouse/models/nvidia/big/2").exists():
            assert (folder / "warehouse/models/nvidia/big/2/.dray-complete.json").is_file()
        job.desk.dray(*job.load(folder))
        assert shown(folder / "warehouse") == shown(expected / "warehouse")
        shutil.rmtree(folder)
