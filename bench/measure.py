"""Measures a task: wall and CPU time, peak memory, and the disk it took beyond its output."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tests.servers import programs

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

Step = list[str | Path]
"""A program's path and its arguments."""
INTERVAL = 0.05  # seconds between two looks at the disk
TIME_LIMIT = 3600.0  # seconds; a tool that takes longer counts as failed
_LAUNCH = Path(__file__).with_name("launch.py")


class Failed(Exception):
    """A tool ended badly; the text is the end of what it said."""


@dataclass(frozen=True, slots=True)
class Task:
    """Commands that are measured as one; ``output`` is the file or folder they are to leave."""

    steps: Sequence[Step]
    output: Path | None = None
    env: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Measurement:
    """What a task cost: seconds and bytes.

    ``extra`` is the disk it took at its peak, beyond what was there before and beyond its output.
    """

    wall: float
    cpu: float
    rss: int
    extra: int


def usage(folder: Path) -> int:
    """Return the bytes of disk that a file or a folder takes, each file once.

    Space that is reserved counts; what vanishes during the look does not.
    """
    seen: set[tuple[int, int]] = set()
    return _blocks(folder, seen)


def _blocks(path: Path, seen: set[tuple[int, int]]) -> int:
    try:
        found = path.lstat()
        if (found.st_dev, found.st_ino) in seen:
            return 0
        seen.add((found.st_dev, found.st_ino))
        if not os.path.isdir(path) or path.is_symlink():  # noqa: PTH112  (Path.is_dir stats again)
            return found.st_blocks * 512
        with os.scandir(path) as entries:
            return sum(_blocks(Path(entry.path), seen) for entry in entries)
    except FileNotFoundError:
        return 0


class DiskPeak:
    """Looks at a folder every :data:`INTERVAL` seconds; ``peak`` is its growth at most, in bytes.

    What comes and goes between two looks is not seen.
    """

    def __init__(self, folder: Path, interval: float = INTERVAL) -> None:
        self.peak = 0
        self._folder, self._interval = folder, interval
        self._before = usage(folder)
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="disk")

    def look(self) -> None:
        """Look once, now."""
        self.peak = max(self.peak, usage(self._folder) - self._before)

    def _watch(self) -> None:
        while not self._end.wait(self._interval):
            self.look()

    def __enter__(self) -> DiskPeak:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._end.set()
        self._thread.join()
        self.look()


def measure(task: Task, folder: Path) -> Measurement:
    """Run a task in ``folder``, which is its home and holds all it writes; raise :class:`Failed`.

    What others have written before is on the disk first, so that nobody pays for it.
    """
    os.sync()
    with DiskPeak(folder) as disk:
        cost = _launch(task, folder)
    left = usage(task.output) if task.output else 0
    return Measurement(cost["wall"], cost["cpu"], int(cost["rss"]), max(0, disk.peak - left))


def run(task: Task, folder: Path) -> None:
    """Run a task that is not measured; raise :class:`Failed`."""
    _launch(task, folder)


def environment(folder: Path) -> dict[str, str]:
    """Return the environment of every tool: its caches and settings are in ``folder``."""
    for name in ("home", "tmp"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    tools = os.pathsep.join([str(programs.TOOLS / "bin"), "/usr/local/bin:/usr/bin:/bin"])
    home = str(folder / "home")
    return {
        "PATH": tools,
        "HOME": home,
        "TMPDIR": str(folder / "tmp"),
        "LC_ALL": "C.UTF-8",
        "DRAY_STATE_DIR": f"{home}/dray-state",
    }


def _launch(task: Task, folder: Path) -> dict[str, float]:
    log = folder / "log"
    env = {**environment(folder), **task.env}
    steps = [[str(part) for part in step] for step in task.steps]
    job = {"steps": steps, "env": env, "cwd": str(folder), "log": str(log)}
    with subprocess.Popen(
        [sys.executable, "-I", "-S", _LAUNCH],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # so that what it started can be ended with it
    ) as process:
        try:
            answer, _ = process.communicate(json.dumps(job), timeout=TIME_LIMIT)
        except BaseException as error:
            os.killpg(process.pid, signal.SIGKILL)
            if isinstance(error, subprocess.TimeoutExpired):
                raise Failed(f"took longer than {TIME_LIMIT:.0f} s") from None
            raise
    cost: dict[str, float] = json.loads(answer)
    if cost["code"]:
        said = log.read_text(errors="replace").strip()[-600:] if log.exists() else ""
        raise Failed(f"exit code {cost['code']:.0f}: {said}")
    return cost
