"""One run of a scanner: what it may see, how it ends, and what is left of it."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from bundle.errors import PartlyDone, ScannerError
from bundler.scan import program, tools

if TYPE_CHECKING:
    from pathlib import Path


def run(folder: Path, script: str, seconds: float = 20, **more: object) -> str:
    settings = {"stop": threading.Event(), "environment": {"PATH": "/usr/bin:/bin"}, **more}
    command = ["/bin/sh", "-c", script]
    return program.run(command, folder=folder, seconds=seconds, **settings)  # type: ignore[arg-type]


def test_it_returns_what_was_printed(tmp_path: Path) -> None:
    assert run(tmp_path, "echo one; echo two >&2") == "one two"
    assert run(tmp_path, "env", environment={"A": "b"}).startswith("A=b")


def test_a_failure_has_its_last_words_without_secrets_and_without_control(tmp_path: Path) -> None:
    script = "seq 1 9999; printf 'FATAL \\033[31mno db\\033[0m hunter2\\n' >&2; exit 3"
    with pytest.raises(ScannerError, match=r"sh failed \(exit code 3\)") as failed:
        run(tmp_path, script, secrets=["hunter2"])
    assert "FATAL no db" in failed.value.message
    assert "hunter2" not in failed.value.message
    assert failed.value.message.isprintable()
    assert len(failed.value.message) < 700
    assert failed.value.exit_code == 6
    with pytest.raises(ScannerError, match="killed by signal 9"):
        run(tmp_path, "kill -9 $$")
    with pytest.raises(ScannerError, match="does not start: no such file"):
        program.run(["/no/one"], environment={}, folder=tmp_path, seconds=1, stop=threading.Event())


def test_one_that_takes_too_long_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    script = "(sleep 2; touch child) & sleep 20"
    began = time.monotonic()
    with pytest.raises(ScannerError, match="took longer than 1 seconds"):
        run(tmp_path, script, seconds=1)
    assert time.monotonic() - began < 10
    time.sleep(2)
    assert not (tmp_path / "child").exists()


def test_it_stops_when_told_to(tmp_path: Path) -> None:
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()
    with pytest.raises(PartlyDone):
        run(tmp_path, "sleep 20", stop=stop)


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("Version: 0.74.0\nVulnerability DB: ...", "0.74.0"),
        ("grype 0.121.3", "0.121.3"),
        ("syft [not provided]", ""),
        ("v1.2.3-rc.1+abc", "1.2.3-rc.1+abc"),
        ("1.2." + "3" * 500, "1.2." + "3" * 56),
        ("", ""),
    ],
)
def test_versions_are_read(said: str, version: str) -> None:
    assert tools.version_of(said) == version
