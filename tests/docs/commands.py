"""Writes docs/commands.md, the help texts of all commands: ``python -m tests.docs.commands``."""

from __future__ import annotations

import functools
import os
from pathlib import Path

import click
from click.testing import CliRunner

from bundle.cli import build

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docs" / "commands.md"
HEAD = """\
# Commands

The help texts as `dray` prints them. `make docs` writes this file; a test compares it.

Every option has a variable, shown beside it. `--json` prints one JSON object on standard output,
with an `error` in it when the command fails. Progress is shown on a terminal only. Two variables
have no option: `DRAY_STATE_DIR` (where sequence numbers are remembered) and `DRAY_DEBUG` (a
traceback for what is unexpected). A key's passphrase comes from `DRAY_KEY_PASSPHRASE` or from the
file that `DRAY_KEY_PASSPHRASE_FILE` names, else it is asked for.
"""


def help_of(*words: str) -> str:
    """Return what the program itself prints for ``--help``."""
    unset = {name: None for name in os.environ if name.startswith("DRAY_")}
    run = CliRunner().invoke(
        build(), [*words, "--help"], prog_name="dray", env=unset, terminal_width=78
    )
    assert run.exit_code == 0, run.output
    return run.output


@functools.cache
def text() -> str:
    """Return the document."""
    parts = [HEAD, f"\n```text\n{help_of()}```\n"]
    group = build()
    for name in group.list_commands(None):  # type: ignore[arg-type]
        parts.append(f"\n## dray {name}\n\n```text\n{help_of(name)}```\n")
        inner = group.commands[name]
        for below in inner.list_commands(None) if isinstance(inner, click.Group) else ():  # type: ignore[arg-type]
            parts.append(f"\n### dray {name} {below}\n\n```text\n{help_of(name, below)}```\n")
    return "".join(parts)


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
