"""The whole of it, quickly: content is made, carried by every tool that is here, and timed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from bench import endless
from bench.__main__ import main
from bundle.digest import Digest
from tests.servers import programs

if TYPE_CHECKING:
    from pathlib import Path


def bench(tmp_path: Path, *arguments: str) -> dict[tuple[str, str], dict[str, float]]:
    """Run the benchmark and return its rows by phase and tool."""
    programs.require("docker-registry")
    results = tmp_path / "results.json"
    command = [sys.executable, "-m", "bench", "--scale", "0.002", "--rounds", "1", "--no-install"]
    command += ["--work", str(tmp_path / "work"), "--results", str(results), *arguments]
    subprocess.run(
        command,
        cwd=programs.CHECKOUT,
        env={**programs.ENVIRONMENT, "HOME": str(tmp_path)},
        capture_output=True,
        check=True,
    )
    assert list((tmp_path / "work").iterdir()) == []
    rows = json.loads(results.read_text())["rows"]
    return {(row["phase"], row["tool"]): row for row in rows}


@pytest.mark.server
def test_dray_is_measured_beside_the_tools_that_are_here(tmp_path: Path) -> None:
    rows = bench(tmp_path, "--only", "export,import", "--tools", "dray,oras,skopeo,crane")
    for phase in ("export", "import"):
        assert rows[phase, "dray"]["rounds"] == 1
        assert rows[phase, "dray"]["ratio"] == 1.0
    assert {row["rounds"] for row in rows.values()} == {1}, "a tool failed"


@pytest.mark.skipif("DRAY_SLOW" not in os.environ, reason="half a minute: DRAY_SLOW=1")
@pytest.mark.server
def test_verification_start_and_memory_are_measured(tmp_path: Path) -> None:
    rows = bench(tmp_path, "--only", "verify,start,memory", "--tools", "dray,oras,skopeo")
    assert rows["start", "dray"]["rounds"] == 10
    assert rows["verify", "dray"]["wall"] > 0
    memory = [row for (phase, _), row in rows.items() if phase == "memory"]
    assert len(memory) == 4
    assert all(row["rounds"] == 1 for row in memory)


@pytest.mark.parametrize("argument", [["--only", "exprot"], ["--tools", "drey"]])
def test_a_name_that_is_mistyped_is_refused(argument: list[str]) -> None:
    result = CliRunner().invoke(main, argument)
    assert result.exit_code == 2
    assert "no such" in result.output


def test_the_endless_registry_has_its_layer_at_any_offset() -> None:
    import requests

    size = 3_000_000
    with endless.serve(size) as host:
        base = f"http://{host}/v2/{endless.REPOSITORY}"
        with requests.get(f"{base}/manifests/{endless.TAG}", timeout=10) as answer:
            layer = answer.json()["layers"][0]
        with requests.get(f"{base}/blobs/{layer['digest']}", timeout=10) as answer:
            whole = answer.content
        headers = {"Range": "bytes=1000-1999"}
        with requests.get(f"{base}/blobs/{layer['digest']}", headers=headers, timeout=10) as answer:
            part, status = answer.content, answer.status_code
    assert layer["size"] == len(whole) == size
    assert Digest.of(whole) == layer["digest"]
    assert (status, part) == (206, whole[1000:2000])
