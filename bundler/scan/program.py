"""One run of a scanner: no shell, an environment of its own, a time limit, its last words."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from bundle.errors import PartlyDone, ScannerError
from bundle.options import shown

if TYPE_CHECKING:
    import threading
    from collections.abc import Mapping, Sequence
    from pathlib import Path

WORDS = 600
"""Letters of what a scanner said last that an error repeats."""
_TAIL = 16 << 10
_STEP = 0.2
_COLOUR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


def run(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    folder: Path,
    seconds: float,
    stop: threading.Event,
    secrets: Sequence[str] = (),
) -> str:
    """Run a program in ``folder`` and return what it printed.

    Raises :class:`ScannerError` with its last words, ``secrets`` taken out of them, when it fails,
    does not start, or takes longer than ``seconds``; and :class:`PartlyDone` when told to stop.
    With it go all processes that it has started.
    """
    name = command[0].rpartition("/")[2]
    said = folder / "said"
    with said.open("wb") as out:
        try:
            running = subprocess.Popen(  # noqa: S603  (no shell; found by name, or named)
                command,
                cwd=folder,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            reason = (error.strerror or "unknown reason").lower()
            raise ScannerError(f"{command[0]} does not start: {reason}") from None
        try:
            _wait(running, name, seconds, stop)
        finally:
            _end(running)
    words = _last(said, secrets)
    if running.returncode:
        raise ScannerError(
            f"{name} failed ({_how(running.returncode)}): {words or 'it said nothing'}",
            hint=f"run it by hand to see more; its own documents say what it needs, and {name} must"
            " have its database",
        )
    return words


def _wait(
    running: subprocess.Popen[bytes], name: str, seconds: float, stop: threading.Event
) -> None:
    deadline = time.monotonic() + seconds
    while running.poll() is None:
        if stop.wait(_STEP):
            raise PartlyDone("interrupted", hint="run the same command again")
        if time.monotonic() > deadline:
            raise ScannerError(
                f"{name} took longer than {seconds:.0f} seconds",
                hint="give it more with --scan-timeout SECONDS",
            )


def _end(running: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(running.pid, signal.SIGKILL)
    running.wait()


def _how(code: int) -> str:
    return f"killed by signal {-code}" if code < 0 else f"exit code {code}"


def _last(path: Path, secrets: Sequence[str]) -> str:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _TAIL))
        text = file.read().decode("utf-8", "replace").strip()
    for secret in secrets:
        text = text.replace(secret, "…")
    text = _COLOUR.sub("", text)
    return shown(" ".join(text.split())[-WORDS:])
