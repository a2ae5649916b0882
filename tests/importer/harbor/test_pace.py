"""Fewer writers while a Harbor struggles, and more again when it is well."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from bundle.errors import TargetError
from bundle.hosts import Host
from bundle.http import Http
from importer.harbor.pace import SLOW, Pace
from importer.harbor.wire import HarborHttp
from importer.targets.harbor import HarborTarget
from importer.targets.naming import Naming
from tests.importer.targets.samples import Shelf, fill

if TYPE_CHECKING:
    from bundle.artifact import Artifact
    from tests.servers.harbor import HarborServer


def test_each_pause_halves_the_writers_and_successes_bring_them_back() -> None:
    slept: list[float] = []
    pace = Pace(8, sleep=slept.append)
    pace.pause(1.5)
    assert (pace.limit, slept) == (4, [1.5])
    for _ in range(9):
        pace.slow_down()
    assert pace.limit == 1
    for _ in range(8 * 20):
        with pace.turn():
            pass
    assert pace.limit == 8


def test_something_small_that_takes_long_slows_down() -> None:
    times = iter([0.0, SLOW + 1, 100.0, 100 + SLOW + 1])
    pace = Pace(4, clock=lambda: next(times))
    with pace.turn(small=True):
        pass
    assert pace.limit == 2
    with pace.turn():  # a layer may take as long as it takes
        pass
    assert pace.limit == 2


def test_no_more_than_the_limit_write_at_once() -> None:
    pace, inside, go = Pace(3), threading.Semaphore(0), threading.Semaphore(0)

    def write() -> None:
        with pace.turn():
            inside.release()
            go.acquire(timeout=10)

    threads = [threading.Thread(target=write) for _ in range(9)]
    for thread in threads:
        thread.start()
    assert all(inside.acquire(timeout=10) for _ in range(3))
    came_too = inside.acquire(timeout=0.2)
    for _ in threads:
        go.release()
    for thread in threads:
        thread.join(20)
    assert not came_too
    assert all(inside.acquire(timeout=0) for _ in range(6)), "each had its turn"


def test_a_failure_gives_the_turn_back() -> None:
    pace = Pace(1)
    for _ in range(3):
        try:
            with pace.turn():
                raise OSError
        except OSError:
            continue
    with pace.turn():
        pass


def test_a_harbor_that_answers_503_gets_fewer_writers(
    harbor: HarborServer, image: Artifact, shelf: Shelf
) -> None:
    project, pace = harbor.project(), Pace(4, sleep=lambda _: None)
    host = Host(endpoint=harbor.url, ca_file=harbor.ca)
    http = Http({harbor.host: host}, error=TargetError, sleep=pace.pause)
    target = HarborTarget(harbor.host, http, harbor.admin, pace, naming=Naming(project))
    harbor.emulated.faults.add("POST .*/blobs/uploads/", status=503, times=2)
    fill(target, image, shelf)
    target.close()
    assert pace.limit == 1


def test_a_slow_row_of_the_quota_gets_fewer_writers_and_a_quick_one_more_again(
    harbor: HarborServer, shelf: Shelf
) -> None:
    world, project = harbor.emulated.world, harbor.project()
    # A tenth of a second counts as a minute.
    pace = Pace(4, sleep=lambda _: None, clock=lambda: time.monotonic() * 600)
    http = HarborHttp({harbor.host: Host(endpoint=harbor.url, ca_file=harbor.ca)}, sleep=pace.pause)
    target = HarborTarget(harbor.host, http, harbor.admin, pace, naming=Naming(project))

    def push(name: str) -> None:
        image = shelf.image(name, "v1", {"l": name.encode()})
        fill(target, image, shelf)
        target.publish(image, shelf.blob)

    world.row_seconds = 0.15
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(push, [f"slow/{number}" for number in range(4)]))
    assert pace.limit == 1
    world.row_seconds = 0
    pace.__dict__["_clock"] = lambda: 0.0
    for number in range(10):
        push(f"quick/{number}")
    target.close()
    assert pace.limit == 4
