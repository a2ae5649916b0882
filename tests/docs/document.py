"""A document as it is run: its fenced blocks, a shell session made of them, and what must come out.

What the first word after the fence says of a block:

``console``        ``$ commands``, each followed by all that it prints
``cron``           crontab lines; their commands are run, and must succeed
``yaml /path``     a file, written before the next command (any language, with a path)
``yaml spec``      a spec, or keys of one, that must be valid; not written
``yaml targets``   the same for a target file
``sh``             commands that are run elsewhere: each stands in a table of the tests
``text``           nothing to run

In output, a line ``...`` stands for any lines and ``…`` for any text within a line. A command must
end with exit code 0, unless the next one is ``echo $?``.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_FENCE = re.compile(r"^```(\w+)(?:[ \t]+(\S+))?\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_CRON = re.compile(r"(?:\S+\s+){5}(.+)")
END = "@@end-of-command@@"
ASKS_FOR_CODE = "echo $?"


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block; ``where`` is ``file:line``, ``about`` the second word after the fence."""

    language: str
    about: str
    text: str
    where: str

    @property
    def is_file(self) -> bool:
        """Whether the block is a file to be written."""
        return self.about.startswith("/")


@dataclass(frozen=True, slots=True)
class Command:
    """A command of a document and the output that it shows after it."""

    line: str
    output: str
    where: str
    exact: bool = True


def blocks(path: Path) -> list[Block]:
    """Return the fenced blocks of a document; a fence without a language is refused."""
    text = path.read_text(encoding="utf-8")
    found = [
        Block(m[1], m[2] or "", m[3], f"{path.name}:{text.count(chr(10), 0, m.start()) + 1}")
        for m in _FENCE.finditer(text)
    ]
    assert len(found) * 2 == len(re.findall(r"^```", text, re.MULTILINE)), f"{path}: odd fences"
    return found


def commands(block: Block) -> Iterator[Command]:
    """Yield the commands of a ``console`` or ``cron`` block."""
    if block.language == "cron":
        for line in block.text.splitlines():
            match = _CRON.fullmatch(line)
            assert match, f"{block.where}: not a crontab line: {line}"
            yield Command(match[1], "", block.where, exact=False)
        return
    if block.language != "console":
        return
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        head, *rest = re.split(r"(?<!\\)\n", part, maxsplit=1)
        yield Command(head, "".join(rest), block.where)


def matches(expected: str, actual: str) -> bool:
    """Whether the output is what a document shows."""
    pattern = ""
    for line in expected.splitlines():
        if line.strip() == "...":
            pattern += r"(?:.*\n)*?"
        else:
            pattern += re.escape(line.rstrip()).replace("…", ".*?") + r"[ ]*\n"
    return re.fullmatch(pattern, actual) is not None


@dataclass
class Session:
    """One document in one shell, below ``root``. ``words`` replaces texts of the document."""

    root: Path
    words: Mapping[str, str]
    environment: Mapping[str, str]
    registries: str = ""
    _script: list[str] = field(default_factory=list)
    _commands: list[Command] = field(default_factory=list)

    def add(self, block: Block) -> None:
        """Take a block up."""
        if block.is_file:
            self._write(block)
        elif block.language in {"console", "cron"}:
            for command in commands(block):
                self._commands.append(command)
                line = self.here(command.line)
                self._script.append(f'{line}\n_code=$?; echo "{END} $_code"; (exit $_code)\n')

    def here(self, text: str) -> str:
        """Return the document's text with this run's own places in it."""
        for word, own in self.words.items():
            text = text.replace(word, own)
        return text

    def _write(self, block: Block) -> None:
        kept = self.root / f"block-{len(self._script)}"
        text = self.here(block.text)
        if re.search(r"^stream:", text, re.MULTILINE) and "registries:" not in text:
            text += self.registries
        kept.write_text(text, encoding="utf-8")
        target = self.here(block.about)
        # The code of the last command lives on: `echo $?` may be the next.
        self._script.append(f'mkdir -p "$(dirname {target})"; cp {kept} {target}; (exit $_code)\n')

    def run(self) -> list[str]:
        """Run it all; return what is not as the document says."""
        script = self.root / "session.sh"
        script.write_text("_code=0\n" + "".join(self._script), encoding="utf-8")
        done = subprocess.run(
            ["/bin/sh", str(script)],
            cwd=self.root,
            env=dict(self.environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            timeout=300,
            check=False,
        )
        outputs = re.split(rf"^{END} (\d+)\n", done.stdout, flags=re.MULTILINE)
        pairs = list(zip(outputs[::2], outputs[1::2], strict=False))
        if len(pairs) != len(self._commands):
            return [f"the shell ended early: {done.stdout[-2000:]}"]
        return list(self._differences(pairs))

    def _differences(self, pairs: list[tuple[str, str]]) -> Iterator[str]:
        lines = [command.line for command in self._commands]
        following = [*lines, ""][1:]
        for command, (output, code), after in zip(self._commands, pairs, following, strict=True):
            said = self._there(output)
            if os.environ.get("SHOW_DOCUMENTS"):
                sys.stdout.write(f"$ {command.line}\n{said}")
            if code != "0" and after != ASKS_FOR_CODE:
                yield f"{command.where}: exit code {code}: $ {command.line}\n{said}"
            elif command.exact and not matches(command.output, said):
                yield f"{command.where}: $ {command.line}\n{said}"

    def _there(self, text: str) -> str:
        """Return output with the document's own words where this run's stand."""
        for word, own in self.words.items():
            text = text.replace(own, word)
        return text
