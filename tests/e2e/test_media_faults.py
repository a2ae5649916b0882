"""Disks that fill up, refuse and vanish, on both sides."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import pytest

from tests.e2e.desk import chunks, finish, leftovers
from tests.e2e.foreign import run
from tests.e2e.upstream import blob_gets, writes
from tests.servers.debian import is_root

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.e2e.desk import Desk
    from tests.e2e.upstream import Upstream
    from tests.servers.proxy import FaultProxy
    from tests.servers.registry import Registry

pytestmark = pytest.mark.server
MIB = 1 << 20


@contextmanager
def mounted(folder: Path, size: int) -> Iterator[Path]:
    """Mount a file system of ``size`` bytes in memory; skip where this user may not."""
    if not is_root():
        pytest.skip("only root can mount a file system")
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "dray-test", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def read_only(folder: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)


def fill(folder: Path) -> None:
    """Write a file that takes all the space that is left."""
    with (folder / "ballast").open("wb", buffering=0) as ballast, suppress(OSError):
        while ballast.write(bytes(1 << 16)):
            pass


def done_in(folder: Path) -> set[str]:
    lines = next(folder.rglob("*.journal")).read_bytes().splitlines()
    return {record["done"] for record in map(json.loads, lines) if "done" in record}


# -- the low side ---------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [(), ("--compress",)], ids=["as it is", "compressed"])
def test_a_disk_that_fills_up_is_named_and_the_export_goes_on_when_there_is_room(
    desk: Desk,
    upstream: Upstream,
    fault_proxy: Callable[[int], FaultProxy],
    options: tuple[str, ...],
    tmp_path: Path,
) -> None:
    proxy = fault_proxy(upstream.registry.port)
    upstream.image("app", 3 * MIB, 2 * MIB, 200_000)
    upstream.text("text", 2 * MIB)
    desk.lock(upstream.name("app:1.0", proxy.host), upstream.name("text:1.0", proxy.host))
    desk.export(tmp_path / "expected", *options)
    with mounted(tmp_path / "drive", 16 * MIB) as drive:
        proxy.call(2 * MIB, lambda: fill(drive))
        said = desk.export(drive, *options, code=6)
        assert "No space left on device" in said.err
        assert "free some space and run again" in said.err
        assert not list(drive.rglob("*.manifest.json"))
        (drive / "ballast").unlink()
        done, asked = done_in(drive), upstream.registry.settled()
        desk.export(drive, *options)
        assert not done & blob_gets(upstream.registry, asked, upstream.prefix).keys()
        desk.verify(drive)
        assert leftovers(drive) == []
        assert list(chunks(drive).values()) == list(chunks(tmp_path / "expected").values())


def test_space_is_checked_before_the_first_byte(
    desk: Desk, upstream: Upstream, tmp_path: Path
) -> None:
    upstream.image("app", 6 * MIB)
    desk.lock(upstream.name("app:1.0"))
    asked = upstream.registry.settled()
    with mounted(tmp_path / "drive", 4 * MIB) as drive:
        said = desk.export(drive, code=2)
        assert "fewer than the export needs" in said.err
        assert list(drive.rglob("*.tar*")) == []
    assert not upstream.fetched(asked)


def test_a_file_that_the_system_lets_grow_no_further_is_named(
    desk: Desk, upstream: Upstream, tmp_path: Path
) -> None:
    """As on FAT32, whose files end at 4 GiB."""
    upstream.image("app", 3 * MIB)
    desk.lock(upstream.name("app:1.0"))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    command = ("export", "dray.yaml", "--to", tmp_path / "out", "--chunk-size", "4MiB")
    resource.setrlimit(resource.RLIMIT_FSIZE, (2 * MIB, before[1]))
    try:
        said = finish(desk.start(*command))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert said.code == 6, said
    assert "File too large" in said.err
    assert "--chunk-size" in said.err
    desk.dray(*command)
    desk.verify(tmp_path / "out")


def test_a_read_only_drive_is_no_place_for_an_export(
    desk: Desk, upstream: Upstream, tmp_path: Path
) -> None:
    upstream.image("app", 100_000)
    desk.lock(upstream.name("app:1.0"))
    with mounted(tmp_path / "drive", 8 * MIB) as drive:
        read_only(drive)
        said = desk.export(drive, code=6)
        assert "Read-only file system" in said.err
        assert "read-only" in said.err.partition("hint")[2]


# -- the high side --------------------------------------------------------------------------------


@pytest.fixture
def bundle(desk: Desk, upstream: Upstream, tmp_path: Path) -> Path:
    upstream.image("app", 3 * MIB, 2 * MIB)
    upstream.image("other", 300_000)
    desk.lock(upstream.name("app:1.0"), upstream.name("other:1.0"))
    desk.export(tmp_path / "out")
    return tmp_path / "out"


def test_a_read_only_medium_is_verified_and_imported(
    desk: Desk, bundle: Path, tmp_path: Path
) -> None:
    with mounted(tmp_path / "drive", 16 * MIB) as drive:
        shutil.copytree(bundle, drive, dirs_exist_ok=True)
        read_only(drive)
        desk.verify(drive)
        desk.load(drive, tmp_path / "warehouse")
    assert (tmp_path / "warehouse/oci/index.json").exists()


def test_a_chunk_that_vanishes_during_an_import_is_named_and_nothing_is_published(
    desk: Desk,
    bundle: Path,
    registry: Registry,
    fault_proxy: Callable[[int], FaultProxy],
    tmp_path: Path,
) -> None:
    proxy, prefix = fault_proxy(registry.port), registry.repository("high")
    target = f"registry://{proxy.host}/{prefix}"
    chunk = sorted(bundle.rglob("*.tar"))[-2]
    proxy.call(500_000, lambda: chunk.rename(tmp_path / "away"), "up")
    said = desk.load(bundle, target, code=4)
    assert chunk.name in said.err
    assert set(writes(registry, f"{prefix}/")) == {"blob"}
    (tmp_path / "away").rename(chunk)
    again = desk.load(bundle, target).json
    assert len(again["published"]) == 2
    assert again["present"] > 0, "what was sent is not sent again"


def test_a_warehouse_that_fills_up_is_named_and_completed_later(
    desk: Desk, bundle: Path, tmp_path: Path
) -> None:
    with mounted(tmp_path / "drive", 4 * MIB) as drive:
        said = desk.load(bundle, drive / "warehouse", code=6)
        assert "no space left on device" in said.err.lower()
        assert not (drive / "warehouse/oci/index.json").exists()
        remount = ["mount", "-o", f"remount,size={16 * MIB}", str(drive)]
        subprocess.run(remount, check=True)
        desk.load(bundle, drive / "warehouse")
        found = run("oras", "repo", "tags", "--oci-layout", drive / "warehouse/oci")
        assert len(found.split()) == 2


def test_two_imports_of_a_stream_at_once_are_refused(
    desk: Desk, bundle: Path, registry: Registry, fault_proxy: Callable[[int], FaultProxy]
) -> None:
    proxy, prefix = fault_proxy(registry.port), registry.repository("high")
    target = f"registry://{proxy.host}/{prefix}"
    proxy.stall(1_000_000, "up")
    command = ("import", bundle, "--to", target, "--trust", "trust.json")
    first = desk.start(*command)
    while not proxy.fired and first.poll() is None:
        os.sched_yield()
    said = desk.load(bundle, f"registry://{registry.host}/{prefix}", code=2)
    assert "another run of dray" in said.err
    proxy.clear()
    assert finish(first).code == 0
