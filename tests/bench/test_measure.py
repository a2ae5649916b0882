"""What a task costs: its own time and memory, and the disk that it used for a while."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from bench import measure
from bench.measure import DiskPeak, Failed, Task

if TYPE_CHECKING:
    from pathlib import Path

MB = 1 << 20
NEVER = 3600.0


def python(code: str) -> measure.Step:
    return [sys.executable, "-I", "-S", "-c", code]


def test_a_task_is_the_sum_of_its_steps_and_the_largest_memory(tmp_path: Path) -> None:
    small = python("pass")
    large = python(f"held = b'x' * {80 * MB}")
    found = measure.measure(Task([small, large, small]), tmp_path)
    assert 80 * MB < found.rss < 130 * MB
    assert found.cpu > 0
    assert 0 < found.wall < 60


def test_the_memory_of_who_measures_is_not_the_tools(tmp_path: Path) -> None:
    held = b"x" * (200 * MB)
    found = measure.measure(Task([python("pass")]), tmp_path)
    assert found.rss < len(held) // 4


def test_processor_time_counts_what_a_tool_started(tmp_path: Path) -> None:
    burn = "import time\nwhile time.process_time() < 0.2: pass"
    child = (
        f"import os, sys\nos.waitpid(os.spawnv(os.P_NOWAIT, sys.executable, {python(burn)!r}), 0)"
    )
    assert measure.measure(Task([python(child)]), tmp_path).cpu > 0.2


def test_a_failing_step_ends_the_task_and_says_why(tmp_path: Path) -> None:
    fails = python("import sys; sys.exit('no such registry')")
    never = python("open('never', 'w')")
    with pytest.raises(Failed, match="exit code 1: no such registry"):
        measure.run(Task([fails, never]), tmp_path)
    assert not (tmp_path / "never").exists()


def test_a_program_that_is_not_there_is_a_failure(tmp_path: Path) -> None:
    with pytest.raises(Failed, match=r"exit code 127: .*nothing"):
        measure.run(Task([[tmp_path / "nothing"]]), tmp_path)


def test_a_tool_finds_only_its_own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NGC_API_KEY", "secret")
    code = "import os; open('env', 'w').write(repr(sorted(os.environ.items())))"
    measure.run(Task([python(code)], env={"MORE": "1"}), tmp_path)
    told = (tmp_path / "env").read_text()
    assert f"('HOME', '{tmp_path}/home')" in told
    assert "('MORE', '1')" in told
    assert "NGC_API_KEY" not in told


def test_the_peak_counts_what_was_deleted_again(tmp_path: Path) -> None:
    with DiskPeak(tmp_path, NEVER) as disk:
        (tmp_path / "temporary").write_bytes(b"x" * MB)
        disk.look()
        (tmp_path / "temporary").unlink()
    assert disk.peak >= MB


def test_the_peak_does_not_count_what_stood_before(tmp_path: Path) -> None:
    (tmp_path / "before").write_bytes(b"x" * MB)
    with DiskPeak(tmp_path, NEVER) as disk:
        disk.look()
    assert disk.peak == 0


def test_the_output_is_not_extra(tmp_path: Path) -> None:
    code = f"open('out', 'wb').write(b'x' * {4 * MB}); open('rest', 'wb').write(b'x' * {MB})"
    found = measure.measure(Task([python(code)], tmp_path / "out"), tmp_path)
    assert MB <= found.extra < 2 * MB


def test_usage_counts_a_linked_file_once(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"x" * MB)
    alone = measure.usage(tmp_path)
    (tmp_path / "two").hardlink_to(tmp_path / "one")
    (tmp_path / "three").symlink_to(tmp_path)
    assert measure.usage(tmp_path) - alone < MB // 2
    assert measure.usage(tmp_path / "none") == 0
