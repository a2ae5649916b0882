"""One large file behind a server that throttles each connection is fetched by several at once."""

from __future__ import annotations

import itertools
import json
import signal
import threading
from typing import TYPE_CHECKING

import pytest

from fixtures.content import Generated, blob
from tests.e2e.desk import PATIENCE, finish, leftovers

if TYPE_CHECKING:
    from pathlib import Path

    from fixtures.content import Blob
    from fixtures.ngc import EmulatedNgc
    from tests.e2e.desk import Desk

pytestmark = pytest.mark.server
SIZE = 120_000_000
RATE = 12_000_000
"""Bytes a second of each connection."""


@pytest.fixture
def weights(ngc: EmulatedNgc, desk: Desk) -> Blob:
    """Lock a model with one large file, and throttle its server."""
    made = blob(Generated("throttled", SIZE))
    ngc.catalogue.add_files("models", "nvidia/large", "1", {"weights.bin": made})
    desk.lock(models=[{"ngc": "nvidia/large:1"}], registries=ngc.registries)
    ngc.faults.add("GET xfiles", times=None, rate=RATE)
    return made


def parts(ngc: EmulatedNgc, since: int = 0) -> list[tuple[int, int, int]]:
    """Return first byte, end, and bytes sent of every range of the file that was asked for."""
    found = []
    for entry in ngc.requests[since:]:
        if "xfiles" in entry.site:
            first, _, last = entry.range.removeprefix("bytes=").partition("-")
            found.append((int(first), int(last) + 1, entry.sent))
    return found


def written(folder: Path, digest: str) -> tuple[int, list[list[int]]]:
    """Return what the journal's last mark says is written: from the beginning, and ahead."""
    found: tuple[int, list[list[int]]] = (0, [])
    for journal in folder.rglob("*.journal"):
        for line in journal.read_bytes().split(b"\n")[:-1]:
            record = json.loads(line)
            if record.get("at") == digest:
                found = record["bytes"], record.get("ahead", [])
    return found


def test_several_connections_share_one_file_and_ask_for_each_byte_once(
    desk: Desk, ngc: EmulatedNgc, weights: Blob, tmp_path: Path
) -> None:
    urls = len([entry for entry in ngc.requests if "files" in entry.path])
    desk.export(tmp_path, chunk="32MiB")
    found = parts(ngc)
    beside = sorted(part for part in found if part[:2] != (0, SIZE))
    assert len(beside) >= 3
    assert all(one[1] <= other[0] for one, other in itertools.pairwise(beside))
    assert all(sent == end - first for first, end, sent in beside)
    signed = [entry for entry in ngc.requests[urls:] if entry.site.startswith("api.")]
    assert len(signed) < len(found), "ranges share a signed URL"
    desk.verify(tmp_path)
    assert leftovers(tmp_path) == []


def test_killed_it_goes_on_inside_each_range(
    desk: Desk, ngc: EmulatedNgc, weights: Blob, tmp_path: Path
) -> None:
    process = desk.start("export", "dray.yaml", "--to", tmp_path, "--chunk-size", "32MiB")
    pause = threading.Event()
    for _ in range(PATIENCE * 50):
        reached, ahead = written(tmp_path, weights.digest)
        if len(ahead) >= 2:
            break
        pause.wait(0.02)
    process.kill()
    assert finish(process).code == -signal.SIGKILL
    reached, ahead = written(tmp_path, weights.digest)
    kept = reached + sum(end - start for start, end in ahead)
    asked = len(ngc.requests)
    desk.export(tmp_path, chunk="32MiB")
    again = sum(sent for _first, _end, sent in parts(ngc, asked))
    assert again <= SIZE - kept + (1 << 20)
    assert all(
        end <= first or start >= last
        for first, last, _sent in parts(ngc, asked)
        for start, end in ahead
    ), "what was written ahead is not asked for again"
    desk.verify(tmp_path)


def test_urls_that_expire_meanwhile_are_asked_for_again(
    desk: Desk, ngc: EmulatedNgc, weights: Blob, tmp_path: Path
) -> None:
    ngc.faults.add("GET xfiles", skip=3, times=3, before=ngc.passes.expire_urls)
    desk.export(tmp_path, chunk="32MiB")
    assert 403 in {entry.status for entry in ngc.requests if "xfiles" in entry.site}
    desk.verify(tmp_path)


def test_a_server_without_ranges_sends_the_file_once(
    desk: Desk, ngc: EmulatedNgc, weights: Blob, tmp_path: Path
) -> None:
    ngc.faults.clear()
    ngc.faults.add("GET xfiles", times=None, rate=4 * RATE, ignore_range=True)
    desk.export(tmp_path, chunk="32MiB")
    sent = [entry.sent for entry in ngc.requests if "xfiles" in entry.site]
    assert sent[0] == SIZE
    assert sum(sent[1:]) < SIZE // 10
    desk.verify(tmp_path)
