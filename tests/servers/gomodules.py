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
