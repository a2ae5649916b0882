"""Runs one server process: log in a file, wait until it answers, and never leave it behind."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

START_TIMEOUT = 30.0  # seconds
STOP_TIMEOUT = 10.0  # seconds before a server that does not end is killed
BASE = {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL": "C.UTF-8"}
"""The environment of every server: nothing of the caller's."""


class StartError(Exception):
    """A server ended or stayed silent; the text holds the end of its log."""


@contextmanager
def running(
    command: Sequence[str | Path],
    *,
    log: Path,
    env: Mapping[str, str] | None = None,
    patience: float = STOP_TIMEOUT,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server in the foreground with both outputs in ``log``; end it on leaving.

    It has ``patience`` seconds to end by itself; with 0 it is killed at once.

    The kernel kills it when this process dies in any way (``setpriv --pdeathsig``), so that a test
    run that was killed leaves nothing running either.
    """
    guard = [] if not shutil.which("setpriv") else ["setpriv", "--pdeathsig", "KILL"]
    with log.open("ab") as out:
        process = subprocess.Popen(
            [*guard, *command],
            env={**BASE, "HOME": str(log.parent), **(env or {})},
            cwd=log.parent,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
        )
    try:
        yield process
    finally:
        stop(process, patience)


def stop(process: subprocess.Popen[bytes], patience: float = STOP_TIMEOUT) -> None:
    """End a process, by force after ``patience`` seconds, and reap it."""
    if patience:
        process.terminate()
    try:
        process.wait(patience)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def wait_for(process: subprocess.Popen[bytes], log: Path, pattern: str) -> str:
    """Return the first group of ``pattern`` once it is in the log; raise :class:`StartError`."""
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline:
        if found := re.search(pattern, log.read_text(errors="replace")):
            return found.group(1)
        if process.poll() is not None:
            break
        time.sleep(0.01)
    msg = f"{process.args!r}: {log.read_text(errors='replace')[-2000:]}"
    raise StartError(msg)


def free_ports(count: int) -> list[int]:
    """Return loopback ports, all different, that were free a moment ago."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def listens(port: int) -> bool:
    """Whether something accepts connections on the loopback port."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
