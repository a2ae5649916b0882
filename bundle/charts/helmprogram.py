"""``helm template`` as a reader of charts: no network, no cluster, bounded in time and output."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bundle.charts import helmyaml
from bundle.charts.rendering import KUBERNETES, RELEASE, Rendered

if TYPE_CHECKING:
    from collections.abc import Mapping

TIMEOUT: Final = 120.0
"""Seconds that helm may take."""
OUTPUT_LIMIT: Final = 64 << 20
_SOURCE = re.compile(r"^# Source: [^/\n]+/(\S+)\s*$", re.MULTILINE)
_TROUBLE = 400


class HelmError(Exception):
    """Helm could not render the chart; the text is what it said last."""


def find() -> str:
    """Return the path of the helm program, or nothing."""
    return shutil.which("helm") or ""


def render(program: str, archive: bytes, values: Mapping[str, Any]) -> list[Rendered]:
    """Run ``helm template`` on a chart's .tgz; raise :class:`HelmError` with what helm said.

    Helm gets homes of its own in a temporary folder, no kubeconfig, no proxy and no credential.
    """
    with tempfile.TemporaryDirectory(prefix="dray-helm-") as folder:
        home = Path(folder)
        (home / "chart.tgz").write_bytes(archive)
        (home / "values.yaml").write_text(helmyaml.dump(dict(values)))
        command = [program, "template", RELEASE, str(home / "chart.tgz")]
        command += ["--include-crds", "--values", str(home / "values.yaml")]
        command += ["--kube-version", KUBERNETES, "--namespace", "default"]
        text = _run(command, home)
    return _documents(text)


def _run(command: list[str], home: Path) -> str:
    with (home / "stderr").open("w+b") as errors:
        try:
            running = subprocess.Popen(  # noqa: S603  (no shell; the program is helm, found by name)
                command,
                cwd=home,
                env=_environment(home),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
            )
        except OSError as fault:
            raise HelmError(f"it does not start: {fault.strerror}") from None
        timer = threading.Timer(TIMEOUT, running.kill)
        timer.start()
        try:
            with running:
                data = running.stdout.read(OUTPUT_LIMIT + 1) if running.stdout else b""
                if len(data) > OUTPUT_LIMIT:
                    running.kill()
        finally:
            timer.cancel()
        errors.seek(0)
        said = errors.read(1 << 20).decode(errors="replace").strip()
    if running.returncode or len(data) > OUTPUT_LIMIT:
        raise HelmError(_reason(running.returncode, said, home))
    return data.decode(errors="replace")


def _reason(code: int, said: str, home: Path) -> str:
    if code < 0:
        return f"it was stopped: it may take {TIMEOUT:.0f} seconds and print {OUTPUT_LIMIT} bytes"
    lines = [line for line in said.splitlines() if line.startswith("Error")] or said.splitlines()
    return (lines[0] if lines else f"it ended with {code}").replace(str(home), "")[:_TROUBLE]


def _environment(home: Path) -> dict[str, str]:
    homes = ("HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME", "HELM_PLUGINS")
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(home),
        "TMPDIR": str(home),
        "KUBECONFIG": str(home / "no-kubeconfig"),
        "LC_ALL": "C.UTF-8",
        **{name: str(home / name.lower()) for name in homes},
    }


def _documents(text: str) -> list[Rendered]:
    """Split what helm printed by the file that each document comes from.

    Of a file of ``crds/`` with several documents only the first says where it is from.
    """
    found: list[Rendered] = []
    file = ""
    for part in re.split(r"(?m)^---[ \t]*$", text):
        source = _SOURCE.search(part)
        file = source.group(1) if source else file
        if file and part.strip():
            found.append(Rendered(file, part))
    return found
