"""Go modules as files: the schemas that other projects publish with their code."""

from __future__ import annotations

import functools
import json
import subprocess
from pathlib import Path

import pytest

from tests.servers import programs

TIMEOUT = 300


@functools.cache
def require(module: str) -> Path:
    """Return the folder of ``path@version``, downloaded once into Go's own module cache.

    Where it cannot be had the test is skipped with the reason, and failed in CI where there is Go.
    """
    go = programs.find("go")
    if not go:
        pytest.skip(f"{module}: there is no go to download it with")
    done = subprocess.run(
        [go, "mod", "download", "-json", module],
        cwd="/",
        env={**programs.ENVIRONMENT, "GOFLAGS": "-mod=mod", "GOTOOLCHAIN": "local"},
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    told = json.loads(done.stdout) if done.stdout.startswith("{") else {}
    if done.returncode == 0 and told.get("Dir"):
        return Path(told["Dir"])
    reason = f"{module}: {told.get('Error') or done.stderr}"[:300]
    if programs.ENVIRONMENT.get("CI"):
        pytest.fail(f"CI must have {reason}", pytrace=False)
    pytest.skip(reason)


CONTAINERD = "github.com/containerd/containerd/v2@v2.0.5"
_SOURCE = Path(__file__).with_name("containerdhosts") / "main.go"
_PROGRAM = programs.TOOLS / "bin" / "containerd-hosts"


def containerd_hosts() -> Path:
    """Return the program that resolves names with containerd's code; skip where it is not built.

    It takes minutes to build, so neither CI nor a plain run does:
    ``python -m tests.servers.gomodules`` puts it on a desk.
    """
    if not _PROGRAM.exists() or _mark().read_text() != _pinned():
        pytest.skip(f"it takes minutes to build: `python -m {__name__}` puts it on a desk")
    return _PROGRAM


def _mark() -> Path:
    return _PROGRAM.with_name(f".{_PROGRAM.name}.built")


def _pinned() -> str:
    return f"{CONTAINERD}\n{_SOURCE.read_text()}"


def build() -> None:
    """Build the program, in a module of its own."""
    folder = programs.TOOLS / "go-containerd-hosts"
    folder.mkdir(parents=True, exist_ok=True)
    _PROGRAM.parent.mkdir(exist_ok=True)
    (folder / "go.mod").write_text("module containerdhosts\n\ngo 1.23\n")
    (folder / "main.go").write_text(_SOURCE.read_text())
    environment = {**programs.ENVIRONMENT, "GOFLAGS": "-mod=mod", "GOTOOLCHAIN": "local"}
    for words in (
        ("get", CONTAINERD.replace("/v2@", "/v2/core/remotes/docker/config@")),
        ("build", "-o", str(_PROGRAM), "."),
    ):
        subprocess.run(["go", *words], cwd=folder, env=environment, check=True)
    _mark().write_text(_pinned())


if __name__ == "__main__":
    build()
