"""Of a blob that was cut off, no more is fetched again than the last seconds."""

from __future__ import annotations

import json
import signal
import threading
from typing import TYPE_CHECKING

import pytest

from bundler.fetch import MARK_BYTES
from fixtures.content import blob
from tests.e2e.desk import PATIENCE, chunks, finish, leftovers

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fixtures.content import Blob
    from fixtures.ngc import EmulatedNgc
    from tests.e2e.desk import Desk
    from tests.e2e.upstream import Upstream
    from tests.servers.proxy import FaultProxy

pytestmark = pytest.mark.server
LARGE = 52_000_000
SLOW = 9_000_000
RATE = 3_000_000
"""Bytes a second at which the slow blob comes: a mark is set every second."""


def slow_model(ngc: EmulatedNgc, desk: Desk) -> Blob:
    """Lock a model with one file, and have it come slowly."""
    weights = next(iter(fileset().values()))
    ngc.catalogue.add_files("models", "nvidia/slow", "1", {"weights.bin": weights})
    desk.lock(models=[{"ngc": "nvidia/slow:1"}], registries=ngc.registries)
    return weights


def fileset() -> dict[str, Blob]:
    from fixtures.content import Generated

    return {"weights.bin": blob(Generated("slow", SLOW))}


def marked(folder: Path, digest: str) -> int:
    """Return how many bytes of a blob the journal has as written."""
    reached = 0
    for journal in folder.rglob("*.journal"):
        for line in journal.read_bytes().split(b"\n")[:-1]:
            record = json.loads(line)
            reached = record["bytes"] if record.get("at") == digest else reached
    return reached


def await_mark(folder: Path, digest: str) -> int:
    """Wait for the journal's first mark of a blob."""
    pause = threading.Event()
    for _ in range(PATIENCE * 50):
        if found := marked(folder, digest):
            return found
        pause.wait(0.02)
    raise TimeoutError


def sent(ngc: EmulatedNgc, since: int = 0) -> int:
    """Return the bytes of model files that were sent."""
    return sum(entry.sent for entry in ngc.requests[since:] if "xfiles" in entry.site)


def test_a_killed_export_goes_on_inside_a_blob(
    desk: Desk,
    upstream: Upstream,
    fault_proxy: Callable[[int], FaultProxy],
    tmp_path: Path,
) -> None:
    proxy = fault_proxy(upstream.registry.port)
    upstream.image("large", LARGE)
    desk.lock(upstream.name("large:1.0", proxy.host))
    # One connection: what is marked is the blob's beginning. test_parallel_ranges has several.
    out = ("--to", tmp_path / "out", "--chunk-size", "8MiB", "--connections", 1)
    ended = desk.killed(proxy, LARGE - 4_000_000, "export", "dray.yaml", *out)
    assert ended.code == -signal.SIGKILL
    before = proxy.bytes["down"]
    desk.dray("export", "dray.yaml", *out)
    assert proxy.bytes["down"] - before < LARGE - MARK_BYTES + 1_000_000
    desk.verify(tmp_path / "out")
    assert leftovers(tmp_path) == []
    desk.export(tmp_path / "again", "--new", chunk="8MiB")
    assert list(chunks(tmp_path / "again").values()) == list(chunks(tmp_path / "out").values())


def test_a_slow_blob_is_gone_on_with_from_the_last_second(
    desk: Desk, ngc: EmulatedNgc, tmp_path: Path
) -> None:
    weights = slow_model(ngc, desk)
    ngc.faults.add("GET xfiles", rate=RATE)
    process = desk.start("export", "dray.yaml", "--to", tmp_path, "--chunk-size", "4MiB")
    reached = await_mark(tmp_path, weights.digest)
    process.kill()
    assert finish(process).code == -signal.SIGKILL
    asked = len(ngc.requests)
    desk.export(tmp_path, chunk="4MiB")
    ranges = [entry.range for entry in ngc.requests[asked:] if "xfiles" in entry.site]
    assert len(ranges) == 1
    start = int(ranges[0].removeprefix("bytes=").partition("-")[0])
    assert start >= reached >= RATE // 2
    assert sent(ngc, asked) == SLOW - start
    desk.verify(tmp_path)


def test_terminated_it_says_so_and_goes_on_from_the_last_byte(
    desk: Desk, ngc: EmulatedNgc, tmp_path: Path
) -> None:
    weights = slow_model(ngc, desk)
    ngc.faults.add("GET xfiles", rate=RATE)
    process = desk.start("export", "dray.yaml", "--to", tmp_path, "--chunk-size", "4MiB")
    await_mark(tmp_path, weights.digest)
    process.send_signal(signal.SIGTERM)
    done = finish(process)
    assert done.code == 8, done
    assert "run the same command again" in done.err
    reached, asked = marked(tmp_path, weights.digest), len(ngc.requests)
    desk.export(tmp_path, chunk="4MiB")
    assert sent(ngc, asked) == SLOW - reached
    desk.verify(tmp_path)
    assert leftovers(tmp_path) == []


def test_a_second_export_into_the_same_folder_is_refused(
    desk: Desk, ngc: EmulatedNgc, tmp_path: Path
) -> None:
    weights = slow_model(ngc, desk)
    ngc.faults.add("GET xfiles", rate=RATE)
    process = desk.start("export", "dray.yaml", "--to", tmp_path, "--chunk-size", "4MiB")
    await_mark(tmp_path, weights.digest)
    said = desk.export(tmp_path, chunk="4MiB", code=2)
    assert "another export is writing" in said.err
    assert finish(process).code == 0, "the first is not disturbed"
    desk.verify(tmp_path)
