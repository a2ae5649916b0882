"""Takes each check out of a copy of the tree, one at a time, and demands that a test goes red.

``python -m tests.sabotage [--only TEXT] [--jobs N]``. The baseline, the same tests over the code as
it is, must be green first. What survives is a hole in the tests, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from tests.sabotage.checks import CHECKS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.sabotage.edit import Sabotage

ROOT = Path(__file__).parents[2]
PARTS = ("schemas", "bundle", "bundler", "importer", "fixtures", "tests", "docs")
ALWAYS = ("tests/refusals",)
SECONDS = 900


def main() -> None:
    """Run the baseline, then every sabotage; print a line for each."""
    parser = argparse.ArgumentParser(prog="python -m tests.sabotage", description=__doc__)
    parser.add_argument("--only", default="", help="Only checks whose file or text has this.")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    arguments = parser.parse_args()
    chosen = [check for check in CHECKS if arguments.only in f"{check.file}: {check.what}"]
    everything = dict.fromkeys(path for check in chosen for path in tests_of(check))
    red = run(None, list(everything))
    if red:
        sys.exit(f"the baseline is red: {red}")
    sys.stdout.write(f"baseline: green; {len(chosen)} checks to take out\n")
    with ThreadPoolExecutor(arguments.jobs) as pool:
        survivors = list(pool.map(one, chosen)).count("")
    sys.stdout.write(f"{len(chosen) - survivors} of {len(chosen)} were noticed\n")
    sys.exit(1 if survivors else 0)


def one(check: Sabotage) -> str:
    """Return the first test that goes red without a check, and say so."""
    red = run(check, tests_of(check))
    sys.stdout.write(f"{'noticed ' if red else 'SURVIVED'}  {check.name}  {red}\n")
    sys.stdout.flush()
    return red


def tests_of(check: Sabotage) -> list[str]:
    """Return what to run: the check's own tests, its module's, then the table of refusals."""
    module = Path(check.file)
    own = ROOT / "tests" / module.parent
    found = sorted(own.glob(f"test_{module.stem}*.py"))
    return [*check.tests, *(str(path.relative_to(ROOT)) for path in found), *ALWAYS]


def run(check: Sabotage | None, paths: Sequence[str]) -> str:
    """Run tests over a copy of the tree, and return the one that failed, or nothing."""
    with tempfile.TemporaryDirectory(prefix="dray-sabotage-") as folder:
        copy = Path(folder)
        for part in PARTS:
            shutil.copytree(ROOT / part, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
        for file in ("pyproject.toml", "README.md", "Makefile"):
            shutil.copy(ROOT / file, copy / file)
        if check:
            check.apply(copy)
        options = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", "--no-header", "-m"]
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *options, "not server", *paths],
            cwd=copy,
            env={**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        )
    if done.returncode == 0:
        return ""
    failed = re.search(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.MULTILINE)
    return failed[1] if failed else f"exit code {done.returncode}"


if __name__ == "__main__":
    main()
