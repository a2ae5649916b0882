"""Finds a refusal in the source of a module and takes it out, or changes a line of it."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Stale(LookupError):
    """The source has no such place, or more than one: the list is older than the code."""


@dataclass(frozen=True)
class Sabotage:
    """A check that is taken out of ``file``.

    Without ``new``, ``what`` is a part of what stands under an ``if`` that ends with a ``raise``,
    whose condition is never true after that. With it, ``what`` is text that becomes ``new``.
    ``tests`` are run first; those of the module, and the refusals, follow while all are green.
    """

    file: str
    what: str
    new: str | None = None
    tests: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The check in a line."""
        return f"{self.file}: {self.what.strip().splitlines()[0][:70]}"

    @property
    def key(self) -> str:
        """What tells it from all others: several may change one line."""
        return f"{self.file}: {self.what} -> {self.new}"

    def applied(self, source: str) -> str:
        """Return the source without the check; raise :class:`Stale`."""
        if self.new is not None:
            if source.count(self.what) != 1:
                raise Stale(f"{self.name}: stands there {source.count(self.what)} times")
            return source.replace(self.what, self.new)
        return _never(source, self)


def _never(source: str, sabotage: Sabotage) -> str:
    lines = source.splitlines(keepends=True)
    found = [
        condition
        for condition, body in refusals(ast.parse(source))
        if any(sabotage.what in "".join(lines[one.lineno - 1 : one.end_lineno]) for one in body)
    ]
    if len(found) != 1:
        raise Stale(f"{sabotage.name}: {len(found)} refusals say so")
    return _replaced(source, found[0], "False")


def refusals(tree: ast.AST) -> Iterator[tuple[ast.expr, list[ast.stmt]]]:
    """Yield the condition and the statements of each ``if`` that decides about a ``raise``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and any(isinstance(line, ast.Raise) for line in node.body):
            yield node.test, [line for line in node.body if not isinstance(line, ast.If)]


def _replaced(source: str, node: ast.expr, text: str) -> str:
    lines = source.encode().splitlines(keepends=True)
    assert node.end_lineno is not None
    assert node.end_col_offset is not None
    start = sum(map(len, lines[: node.lineno - 1])) + node.col_offset
    end = sum(map(len, lines[: node.end_lineno - 1])) + node.end_col_offset
    data = source.encode()
    return (data[:start] + text.encode() + data[end:]).decode()
