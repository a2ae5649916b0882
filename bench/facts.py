"""What a measurement depends on: the machine, its load, and the versions of the tools."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from tests.servers import programs

if TYPE_CHECKING:
    from collections.abc import Iterable

BUSY = 0.25
"""Load per core from which on a machine counts as busy, and its figures as no good."""
_ASK = {"skopeo": "--version", "docker-registry": "--version", "sha256sum": "--version"}


def machine() -> dict[str, object]:
    """Return the machine's facts; the load is that of the last minute, before anything is run."""
    load = os.getloadavg()[0]
    cores = len(os.sched_getaffinity(0))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "when": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "processor": _processor(),
        "cores": cores,
        "memoryGB": round(memory / 1e9),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "loadBefore": round(load, 2),
        "busy": load > BUSY * cores,
    }


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(errors="replace")
    except OSError:
        return platform.machine()
    found = re.search(r"model name\s*:\s*(.+)", text)
    return found[1].strip() if found else platform.machine()


def versions(names: Iterable[str]) -> dict[str, str]:
    """Return the versions of the programs that are here."""
    found = {}
    for name in names:
        if path := programs.find(name):
            found[name] = _version(path, _ASK.get(name, "version"))
    return {**found, "dray": _revision()}


def _version(path: Path, ask: str) -> str:
    said = _said([path, ask])
    match = re.search(r"v?\d+\.\d[\w.+-]*", said)
    return match[0] if match else "unknown"


def _revision() -> str:
    git = programs.find("git")
    said = _said([git, "-C", programs.CHECKOUT, "describe", "--always", "--dirty"]) if git else ""
    return said.strip() or "unknown"


def _said(command: list[str | Path]) -> str:
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout + (done.stderr if done.returncode == 0 else "")


def describe(facts: dict[str, object], tools: dict[str, str], settings: dict[str, object]) -> str:
    """Return lines of Markdown for people."""
    lines = [
        f"- {facts['cores']} cores of {facts['processor']}, {facts['memoryGB']} GB, "
        f"{facts['kernel']}, Python {facts['python']}",
        f"- {facts['when']}, load before: {facts['loadBefore']}",
        "- " + ", ".join(f"{name} {version}" for name, version in sorted(tools.items())),
        "- " + ", ".join(f"{name} {value}" for name, value in settings.items()),
    ]
    if facts["busy"]:
        lines.insert(0, "**Measured on a busy machine: good for a look, not for a comparison.**\n")
    return "\n".join(lines) + "\n"
