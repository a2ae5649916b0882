"""Foreign client programs: what they read of a registry or a layout, in their own words."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

from tests.e2e.desk import PATIENCE
from tests.servers import programs

if TYPE_CHECKING:
    from pathlib import Path


def run(name: str, *arguments: object, cwd: Path | None = None) -> bytes:
    """Run a program of :mod:`tests.servers.programs` and return what it prints."""
    done = subprocess.run(
        [programs.require(name), *map(str, arguments)],
        cwd=cwd,
        env=dict(os.environ),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, f"{name} {arguments}: {done.stderr.decode()}"
    return done.stdout


def raw_manifest(reference: str) -> bytes:
    """Return a manifest's bytes as skopeo has them."""
    where = f"docker://{reference}"
    return run("skopeo", "inspect", "--raw", "--tls-verify=false", where)


def copy_to_layout(reference: str, layout: Path) -> None:
    """Copy an image with all its platforms into an OCI layout: skopeo checks every blob."""
    options = ("--insecure-policy", "copy", "--all", "--preserve-digests", "--src-tls-verify=false")
    run("skopeo", *options, f"docker://{reference}", f"oci:{layout}:copied")
