"""What the repository must not hold: a developer's machine, a package registry, endless files."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.servers import programs

ROOT = Path(__file__).parents[1]
LIMIT = 400  # lines of a Python file
LONGER: dict[str, str] = {
    "tests/bundler/doctor/test_table.py": "one table, read beside docs/doctor.md",
}
"""Python files that may be longer, and why they are read as one."""

# Written so that this file does not hold what it looks for. The checkout and the home folder are
# those of whoever runs the tests: the one who is about to commit a path of theirs.
_HERE = "|".join(re.escape(f"{folder}/") for folder in (ROOT, Path.home()) if folder.parts[2:])
MACHINE = re.compile(r"(?<![\w.:/-])/(?:work|root|farm)/[\w.-]+" + (f"|{_HERE}" if _HERE else ""))
REGISTRIES = re.compile(
    r"pypi\.(?:org|io)|python[h]osted|npm[j]s\.|yarn[p]kg\.com|proxy\.golan[g]|sum\.golan[g]"
    r"|(?:deb|security|ftp)\.debia[n]|archive\.ubunt[u]|(?:static\.)?crate[s]\.io|repo1?\.mave[n]"
)
VAGUE = {"utils.py", "util.py", "helpers.py", "helper.py", "common.py", "misc.py"}


def tracked() -> list[Path]:
    """Return the files of the repository: those that git tracks or would add."""
    git = programs.find("git")
    if not git or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(
        [git, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        env=programs.ENVIRONMENT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [path for line in listed.stdout.split("\0") if line and (path := ROOT / line).is_file()]


def found(pattern: re.Pattern[str]) -> list[str]:
    """Return where the pattern is in the text files of the repository: file, line, match."""
    hits = []
    for path in tracked():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(text.splitlines(), 1):
            hits += [f"{path.relative_to(ROOT)}:{number}: {m[0]}" for m in pattern.finditer(line)]
    return hits


@pytest.mark.parametrize(
    ("pattern", "line"),
    [
        (MACHINE, 'open("' + "/" + 'work/main/x")'),
        (MACHINE, f"see {Path(__file__)}"),
        (REGISTRIES, "https://" + "pypi" + ".org/simple"),
        (REGISTRIES, "proxy." + "golang" + ".org"),
    ],
)
def test_the_patterns_find_what_they_look_for(pattern: re.Pattern[str], line: str) -> None:
    assert pattern.search(line)


def test_no_path_of_a_developers_machine_is_in_the_repository() -> None:
    assert found(MACHINE) == []


def test_no_package_registry_is_named_in_the_repository() -> None:
    assert found(REGISTRIES) == []


def lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def test_python_files_are_short_or_say_why_not() -> None:
    sizes = {p.relative_to(ROOT).as_posix(): lines(p) for p in tracked() if p.suffix == ".py"}
    long = {name: size for name, size in sizes.items() if size > LIMIT}
    assert {name: size for name, size in long.items() if name not in LONGER} == {}
    assert not set(LONGER) - set(long), "these are short now: take them off the list"


def test_no_file_is_named_for_nothing() -> None:
    assert [str(path.relative_to(ROOT)) for path in tracked() if path.name in VAGUE] == []


def test_decisions_are_numbered_once_each_and_without_gaps() -> None:
    decisions = sorted((ROOT / "docs" / "adr").glob("*.md"))
    assert [int(path.name[:4]) for path in decisions] == list(range(1, len(decisions) + 1))
    titles = [path.read_text(encoding="utf-8").split(".", 1)[0] for path in decisions]
    assert titles == [f"# {number}" for number in range(1, len(decisions) + 1)]


@pytest.mark.xdist_group("one")
def test_tests_that_share_a_dear_fixture_are_played_by_one_worker(
    request: pytest.FixtureRequest,
) -> None:
    """By what pytest-xdist writes behind a name: it loses that under some releases of pytest."""
    if "PYTEST_XDIST_WORKER" not in os.environ or request.config.getoption("loadgroup") is False:
        pytest.skip("not in groups: -n 2 --dist loadgroup")
    assert request.node.nodeid.endswith("@one")
