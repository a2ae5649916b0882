"""An export that is killed at any instant goes on, fetches nothing twice, gives the same bytes."""

from __future__ import annotations

import json
import shutil
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from bundle.digest import Digest
from tests.e2e.desk import CHUNK, Desk, chunks, finish, leftovers
from tests.e2e.points import outlived, spread
from tests.e2e.upstream import blob_gets

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.e2e.upstream import Upstream
    from tests.servers.proxy import FaultProxy


pytestmark = pytest.mark.server


@dataclass
class Job:
    """An export to be killed: of a stream that has one bundle already, as most have."""

    desk: Desk
    upstream: Upstream
    proxy: FaultProxy
    work: Path
    options: tuple[str, ...]
    monkeypatch: pytest.MonkeyPatch
    drives: int = 1
    number: int = 0

    def place(self) -> Path:
        """Return a folder for one try, with the state after the first bundle."""
        self.number += 1
        folder = self.work / f"try-{self.number}"
        shutil.copytree(self.work / "state", folder / "state")
        self.monkeypatch.setenv("DRAY_STATE_DIR", str(folder / "state"))
        return folder

    def arguments(self, folder: Path) -> tuple[object, ...]:
        drives = [folder / f"out/drive-{number}" for number in range(1, self.drives + 1)]
        to = [part for drive in drives for part in ("--to", drive)]
        return ("export", "dray.yaml", *to, "--chunk-size", CHUNK, *self.options)

    def reference(self) -> tuple[Path, int]:
        """Export without a kill; return where, and how many steps it took."""
        folder = self.place()
        through = ("tests.e2e.reaper", folder, 0)
        done = finish(self.desk.start(*self.arguments(folder), through=through))
        assert done.code == 0, done
        return folder, int(done.err.split()[-1])

    def go_on(self, folder: Path, expected: Path) -> None:
        """Run the killed export again and check all that is promised of it."""
        before, asked = done_before(folder), self.upstream.registry.settled()
        self.desk.dray(*self.arguments(folder))
        again = blob_gets(self.upstream.registry, asked, self.upstream.prefix)
        assert not before & again.keys(), "finished blobs were transferred again"
        assert chunks(folder) == chunks(expected)
        assert signed(folder) == signed(expected)
        assert leftovers(folder / "out") == []
        assert names(folder) == names(expected)
        self.desk.verify(folder / "out")
        recorded = json.loads((folder / "state/export/prod.json").read_bytes())["manifest"]
        assert recorded == Digest.of(manifest(folder).read_bytes())
        shutil.rmtree(folder)


def done_before(folder: Path) -> set[Digest]:
    """Return the blobs that a killed export has as done, by its journal."""
    found: set[Digest] = set()
    for journal in folder.rglob("*.journal"):
        for line in journal.read_bytes().split(b"\n")[:-1]:
            record = json.loads(line)
            found |= {record[key] for key in ("done", "encoded") if key in record}
    return found


def manifest(folder: Path) -> Path:
    return next(folder.rglob("*.manifest.json"))


def signed(folder: Path) -> dict[str, Any]:
    """Return what the manifest says, but for the moment of the export."""
    body: dict[str, Any] = json.loads(manifest(folder).read_bytes())
    return {key: value for key, value in body.items() if key not in {"created", "expires"}}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "out").rglob("*"))


OPTIONS = {
    "as it is": (),
    "compressed": ("--compress",),
    "two drives": ("--media", "2.3MB,9MB"),
    "parity": ("--parity", "2+2", "--compress", "--media", "7MB,12MB"),
}


@pytest.fixture(params=OPTIONS)
def job(
    request: pytest.FixtureRequest,
    desk: Desk,
    upstream: Upstream,
    fault_proxy: Callable[[int], FaultProxy],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Job:
    proxy = fault_proxy(upstream.registry.port)
    upstream.multi("app", 1_300_000, 300_000, 90_000)
    upstream.text("text", 1_500_000)
    upstream.text("more", 400_000)
    desk.lock(*(upstream.name(f"{name}:1.0", proxy.host) for name in ("app", "text", "more")))
    options: tuple[str, ...] = OPTIONS[request.param]
    monkeypatch.setenv("DRAY_STATE_DIR", str(tmp_path / "state"))
    desk.export(tmp_path / "first")
    drives = 2 if "--media" in options else 1
    return Job(desk, upstream, proxy, tmp_path, options, monkeypatch, drives)


def test_killed_wherever_it_touches_the_disk_it_completes(job: Job) -> None:
    expected, steps = job.reference()
    for step in spread(steps, "disk"):
        folder = job.place()
        through = ("tests.e2e.reaper", folder, step)
        ended = finish(job.desk.start(*job.arguments(folder), through=through))
        shutil.rmtree(folder) if outlived(ended, step) else job.go_on(folder, expected)


def test_killed_at_any_byte_from_the_network_it_completes(job: Job) -> None:
    before = job.proxy.bytes["down"]
    expected, _steps = job.reference()
    for count in spread(job.proxy.bytes["down"] - before, "network"):
        folder = job.place()
        ended = job.desk.killed(job.proxy, count, *job.arguments(folder))
        assert ended.code in {0, -signal.SIGKILL}
        job.go_on(folder, expected) if ended.code else shutil.rmtree(folder)


def test_gone_on_with_the_drives_in_another_order_it_is_refused_and_nothing_is_lost(
    desk: Desk,
    upstream: Upstream,
    fault_proxy: Callable[[int], FaultProxy],
    tmp_path: Path,
) -> None:
    proxy = fault_proxy(upstream.registry.port)
    upstream.image("app", 5_000_000)
    desk.lock(upstream.name("app:1.0", proxy.host))
    left, right = ("--to", tmp_path / "left"), ("--to", tmp_path / "right")
    options = ("--media", "3MB,6MB", "--chunk-size", CHUNK)
    desk.killed(proxy, 3_000_000, "export", "dray.yaml", *left, *right, *options)
    said = desk.dray("export", "dray.yaml", *right, *left, *options, code=2)
    assert "--to" in said.err
    desk.dray("export", "dray.yaml", *left, *right, *options)
    desk.verify(tmp_path / "left", tmp_path / "right")
    assert leftovers(tmp_path) == []
