"""Takes each check out of a copy of the tree, one at a time, and demands that a test goes red.

``python -m tests.sabotage [--only TEXT]... [--jobs N]``. The baseline, the same tests over the code
as it is, must be green first. What survives is a hole in the tests, and the exit code is 1.

The test that noticed a check last time (in ``.cache/sabotage.json``) runs first, then the check's
own tests, those with real servers too, then its module's, and the table of refusals only when all
of them are green.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING

from tests.sabotage.checks import CHECKS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.sabotage.edit import Sabotage

ROOT = Path(__file__).parents[2]
PARTS = ("schemas", "bundle", "bundler", "importer", "fixtures", "tests", "docs")
FILES = ("pyproject.toml", "README.md", "Makefile")
ALWAYS = ("tests/refusals",)
NO_SERVERS = ("-m", "not server")
SEEN = ROOT / ".cache" / "sabotage.json"
_KEEPING = threading.Lock()
SECONDS, BASELINE = 900, 7200
LONGEST = 4096
"""Letters of a test's name that are handed on: Linux takes 128 KiB as one argument."""
NOTHING_RAN = (4, 5)
"""Exit codes of pytest when a test is gone, or none was chosen."""


def main() -> None:
    """Run the baseline, then every sabotage; print a line for each."""
    parser = argparse.ArgumentParser(prog="python -m tests.sabotage", description=__doc__)
    parser.add_argument("--only", action="append", help="Only checks whose file or text has this.")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    arguments = parser.parse_args()
    chosen = [check for check in CHECKS if wanted(check, arguments.only or [""])]
    with tempfile.TemporaryDirectory(prefix="dray-sabotage-") as folder:
        copies: SimpleQueue[Path] = SimpleQueue()
        for number in range(arguments.jobs):
            copies.put(copied(Path(folder) / str(number)))
        survivors = every(chosen, copies, arguments.jobs)
    sys.stdout.write(f"{len(chosen) - survivors} of {len(chosen)} were noticed\n")
    sys.exit(1 if survivors else 0)


def wanted(check: Sabotage, texts: Sequence[str]) -> bool:
    """Say whether one of the texts stands in a check's line."""
    return any(text in f"{check.file}: {check.what}" for text in texts)


def copied(copy: Path) -> Path:
    """Make a copy of the tree."""
    for part in PARTS:
        shutil.copytree(ROOT / part, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
    for file in FILES:
        shutil.copy(ROOT / file, copy / file)
    return copy


def every(chosen: Sequence[Sabotage], copies: SimpleQueue[Path], jobs: int) -> int:
    """Run the baseline and all of it; return how many survived."""
    own = list(dict.fromkeys(path for check in chosen for path in check.tests))
    others = list(dict.fromkeys(path for check in chosen for path in (*of_module(check), *ALWAYS)))
    copy, workers = copies.get(), ("-n", str(jobs), "--dist", "loadgroup")
    for stage in ((own, *workers), (others, *NO_SERVERS, *workers)):
        if red := run(copy, *stage, seconds=BASELINE):
            sys.exit(f"the baseline is red: {red}")
    copies.put(copy)
    sys.stdout.write(f"baseline: green; {len(chosen)} checks to take out\n")
    sys.stdout.flush()
    kept = json.loads(SEEN.read_text()) if SEEN.exists() else {}
    seen = {key: test for key, test in kept.items() if len(test) <= LONGEST}
    with ThreadPoolExecutor(jobs) as pool:
        found = list(pool.map(lambda check: one(check, copies, seen), chosen))
    return found.count("")


def one(check: Sabotage, copies: SimpleQueue[Path], seen: dict[str, str]) -> str:
    """Return the first test that goes red without a check, and say so."""
    copy = copies.get()
    path = copy / check.file
    whole = path.read_bytes()
    change(path, check.applied(whole.decode()).encode())
    try:
        stages: list[tuple[Sequence[str], *tuple[str, ...]]] = [
            ([seen[check.key]] if check.key in seen else (),),
            (check.tests,),
            (of_module(check), *NO_SERVERS),
            (ALWAYS, *NO_SERVERS),
        ]
        red = next(filter(None, (run(copy, *stage) for stage in stages if stage[0])), "")
    finally:
        change(path, whole)
        copies.put(copy)
    remember(seen, check, red)
    sys.stdout.write(f"{'noticed ' if red else 'SURVIVED'}  {check.name}  {red}\n")
    sys.stdout.flush()
    return red


def remember(seen: dict[str, str], check: Sabotage, red: str) -> None:
    """Keep which test noticed a check, at once: a run of an hour may be stopped."""
    with _KEEPING:
        seen.pop(check.key, None)
        if red.startswith("tests/"):
            seen[check.key] = red
        SEEN.parent.mkdir(exist_ok=True)
        SEEN.write_text(json.dumps(seen, indent=1, sort_keys=True))


def change(path: Path, source: bytes) -> None:
    """Write a module, and forget what was compiled of it: its time and size may be the same."""
    path.write_bytes(source)
    for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
        compiled.unlink()


def of_module(check: Sabotage) -> list[str]:
    """Return the tests that are named after a check's module."""
    module = Path(check.file)
    own = ROOT / "tests" / module.parent
    found = sorted(own.glob(f"test_{module.stem}*.py"))
    return [str(path.relative_to(ROOT)) for path in found]


def run(copy: Path, paths: Sequence[str], *more: str, seconds: float = SECONDS) -> str:
    """Run tests over a copy of the tree, and return the one that failed, or nothing."""
    options = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", "--no-header", *more]
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *options, *paths],
            cwd=copy,
            env={**os.environ, "PYTHONPATH": str(copy)},
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
        )
    except subprocess.TimeoutExpired:  # without O_NONBLOCK, say, a pipe is waited for
        return f"no end within {seconds} s"
    if not done.returncode or done.returncode in NOTHING_RAN:
        return ""
    failed = re.search(r"^(?:FAILED|ERROR) (.+?)(?: - |$)", done.stdout, re.MULTILINE)
    return failed[1] if failed else f"exit code {done.returncode}"


if __name__ == "__main__":
    main()
