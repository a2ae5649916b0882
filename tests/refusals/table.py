"""A row of a refusal table, and what holds for each: exit code, words, nothing touched."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

import pytest

from bundle.cli import main

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tests.factory import Bundle

VERIFY = "verify"
IMPORT = "import"
VERIFY_FIRST = "import --verify-first"
WAYS = (VERIFY, IMPORT, VERIFY_FIRST)


@dataclass(frozen=True)
class Lie:
    """``tell`` turns a good bundle into the lie; ``says`` and ``hint`` are parts of the answer.

    ``inside`` lies are in the bytes of blobs: an import in one pass finds them when it has written
    other blobs already, none of which may be visible. ``remembered`` lies are put on record by an
    import. ``bundle`` is which good bundle it starts
    from, ``ways`` the commands that it is told to, ``options`` theirs.
    """

    name: str
    tell: Callable[[Bundle], object]
    code: int
    says: str
    hint: str = ""
    inside: bool = False
    remembered: bool = False
    bundle: str = "plain"
    ways: tuple[str, ...] = WAYS
    options: tuple[str, ...] = ()


def rows(*tables: Iterable[Lie]) -> pytest.MarkDecorator:
    """Run a test for each row in each of its ways."""
    pairs = [(lie, way) for table in tables for lie in table for way in lie.ways]
    names = [f"{lie.name}-{way}" for lie, way in pairs]
    assert len(set(names)) == len(names), "two rows have one name"
    return pytest.mark.parametrize(("lie", "way"), pairs, ids=names)


@dataclass(frozen=True)
class Answer:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        """Everything that it printed."""
        return self.out + self.err


def dray(*arguments: object, folder: Path) -> Answer:
    """Run the command line in this process, in ``folder``, as its entry point does."""
    out, err = StringIO(), StringIO()
    here, code = Path.cwd(), 0
    os.chdir(folder)
    try:
        with (
            mock.patch.object(sys, "argv", ["dray", *map(str, arguments)]),
            redirect_stdout(out),
            redirect_stderr(err),
        ):
            main()
    except SystemExit as exit_:
        code = int(exit_.code or 0)
    finally:
        os.chdir(here)
    return Answer(code, out.getvalue(), err.getvalue())


def snapshot(root: Path) -> dict[str, tuple[object, ...]]:
    """Return all that there is to know about a folder: names, kinds, times, bytes."""
    found: dict[str, tuple[object, ...]] = {}
    if not root.exists():
        return found
    for path in [root, *sorted(root.rglob("*"))]:
        state = path.lstat()
        row = [state.st_mode, state.st_ino, state.st_size, state.st_mtime_ns]
        content: object = None
        if stat.S_ISLNK(state.st_mode):
            content = path.readlink()
        elif stat.S_ISREG(state.st_mode):
            content = (
                (state.st_size, hashlib.sha256(path.read_bytes()).hexdigest())
                if (state.st_size < 1 << 24)
                else state.st_size
            )
        found[os.fsdecode(path.relative_to(root))] = (*row, content)
    return found


def visible(root: Path) -> dict[str, str]:
    """Return what users of a warehouse see: the layout's index and everything in the trees."""
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file() and ".dray" not in path.parts and "blobs" not in path.parts
    }


def check(lie: Lie, way: str, bundle: Bundle, target: Path, home: Path) -> None:
    """Tell the lie to the command; ``target`` is where it would import to."""
    lie.tell(bundle)
    desk = bundle.trust.parent
    medium, state, known = snapshot(desk), kept(home), ledger(home)
    before, seen = snapshot(target), visible(target)
    arguments: list[object] = [*way.split(), "--trust", bundle.trust, *lie.options]
    if way != VERIFY:
        arguments += ["--to", target]
    answer = dray(*arguments, *bundle.folders, folder=desk)
    assert answer.code == lie.code, answer
    assert lie.says in answer.text, answer
    assert f"hint: {lie.hint}" in answer.err or lie.hint in answer.text, answer
    assert answer.err.startswith("dray: "), answer
    assert "Traceback" not in answer.text
    assert snapshot(desk) == medium, "the medium was touched"
    if lie.inside and way == IMPORT:
        assert visible(target) == seen, "something of a bad bundle is visible"
        assert_blobs_are_true(target)
        assert '"kind":"import-done"' not in ledger(home), "a bad bundle is on record as imported"
        return
    assert snapshot(target) == before, "the target was touched"
    if way != VERIFY and (lie.remembered or ledger(home) != known):
        assert_refused(ledger(home).removeprefix(known))
        return
    assert kept(home) == state, "the import left something behind on this host"


def kept(home: Path) -> dict[str, tuple[object, ...]]:
    """Return every file of this host, but for notes of what was verified: nothing goes by them."""
    return {
        path: row
        for path, row in snapshot(home).items()
        if not (home / path).is_dir() and "seen" not in Path(path).parts
    }


def ledger(home: Path) -> str:
    """Return this host's record of what it did, or nothing."""
    return "".join(path.read_text() for path in home.rglob("ledger.jsonl"))


def assert_refused(entries: str) -> None:
    """Assert that these entries say that a bundle was refused, name a receipt, and no more."""
    kinds = [json.loads(line)["kind"] for line in entries.splitlines()]
    assert kinds[-2:] == ["refused", "receipt"], kinds
    assert {*kinds[:-2]} <= {"opened", "recovered", "policy"}, kinds


def assert_blobs_are_true(target: Path) -> None:
    """Assert that each blob in the layout has the digest that it is called."""
    for path in target.rglob("blobs/sha256/*"):
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name
