"""Runs parsed templates; what cannot be known is carried along as unknown, never guessed."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from bundle.charts.chart import text_of
from bundle.charts.files import Files
from bundle.charts.helmyaml import Number
from bundle.charts.template import TemplateError, parse

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bundle.charts.template import Node, Pipe, Term

    Function = Callable[..., Any]

MARK: Final = "\ue000"
"""Stands in the text for what is not known: no name has this character."""
STEPS: Final = 400_000
"""Actions that a file may run: about a second."""
OUTPUT: Final = 32 << 20
"""Characters that a chart may print."""
DEPTH: Final = 50
_INCLUDED = re.compile(r"\binclude\s+[\"`]([^\"`]+)[\"`]")


class Unknown:
    """A value that this reader cannot compute."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "…"


UNKNOWN: Final = Unknown()


def is_unknown(value: object) -> bool:
    """Tell whether a value is unknown, or a text with something unknown in it."""
    return isinstance(value, Unknown) or (isinstance(value, str) and MARK in value)


def show(value: object) -> str:
    """Return a value as Go's ``%v`` prints it."""
    if isinstance(value, Unknown):
        return MARK
    if isinstance(value, dict):
        return "map[" + " ".join(f"{k}:{show(v)}" for k, v in sorted(value.items())) + "]"
    if isinstance(value, list):
        return "[" + " ".join(show(item) for item in value) + "]"
    if isinstance(value, float | Number):
        return _float(value)
    return text_of(value)


def _float(value: float) -> str:
    """Return a float as Go prints it: with an exponent from 1e+06 on."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else f"{'-' if value < 0 else '+'}Inf"
    _sign, digits, shift = Decimal(repr(float(value))).normalize().as_tuple()
    power = len(digits) + int(shift) - 1
    if value and not -4 <= power < 6:
        mantissa = f"{digits[0]}.{''.join(map(str, digits[1:]))}".rstrip(".")
        return f"{'-' if value < 0 else ''}{mantissa}e{power:+03d}"
    return str(int(value)) if value == int(value) else repr(float(value))


@dataclass
class Engine:
    """Templates by name, functions by name, and how much work is left.

    ``doubts`` are the conditions that could not be decided and that matter: what was not run
    speaks of an image. The part that a condition leads to is run, as if it held.
    """

    templates: dict[str, list[Node]]
    functions: dict[str, Function]
    doubts: list[str] = field(default_factory=list)
    steps: int = STEPS
    output: int = OUTPUT
    failed: int = 0
    depth: int = 0

    def render(self, name: str, dot: object) -> str:
        """Run a named template; raise :class:`TemplateError` when it asks for too much."""
        if name not in self.templates:
            shown = repr(name[:60]) if MARK not in name else "a template whose name is not known"
            self.doubts.append(f"{shown} is taken in, and is not there")
            return MARK
        self.depth += 1
        try:
            if self.depth > DEPTH:
                raise TemplateError("templates in one another, too deep")
            return _Run(self, [{"$": dot}]).nodes(self.templates[name], dot)
        finally:
            self.depth -= 1

    def text(self, source: str, dot: object) -> str:
        """Run a template that is given as text (``tpl``)."""
        if is_unknown(source):
            return MARK
        parsed = parse(source)
        self.templates.update(parsed.defined)
        self.depth += 1
        try:
            if self.depth > DEPTH:
                raise TemplateError("templates in one another, too deep")
            return _Run(self, [{"$": dot}]).nodes(parsed.body, dot)
        finally:
            self.depth -= 1

    def speaks(self, nodes: Sequence[Node]) -> bool:
        """Tell whether nodes, or templates that they take in, speak of an image."""
        left, seen = [*nodes], set[str]()
        while left:
            node = left.pop()
            if "image" in node.text.lower():
                return True
            names = {node.text} if node.kind == "template" else set(_INCLUDED.findall(node.text))
            for name in names - seen:
                left += self.templates.get(name, ())
            seen |= names
            left += [*node.body, *node.other]
        return False

    def spend(self, printed: int = 0) -> None:
        """Count a step; stop what would not end."""
        self.steps -= 1
        self.output -= printed
        if self.steps < 0 or self.output < 0:
            raise TemplateError("it does not come to an end")

    def call(self, name: str, arguments: Sequence[Any]) -> Any:
        """Call a function; what it cannot do is unknown."""
        function = self.functions.get(name)
        if function is None:
            return UNKNOWN
        try:
            return function(*arguments)
        except TemplateError:
            raise
        except (TypeError, ValueError, KeyError, IndexError, AttributeError, ArithmeticError):
            return UNKNOWN


@dataclass
class _Run:
    engine: Engine
    frames: list[dict[str, Any]]
    leaving: str = ""
    """``break`` or ``continue`` from the moment that it is met until its range is left."""

    def nodes(self, nodes: Sequence[Node], dot: object) -> str:
        parts: list[str] = []
        for node in nodes:
            part = self.node(node, dot)
            self.engine.spend(len(part))
            parts.append(part)
            if self.leaving:
                break
        return "".join(parts)

    def node(self, node: Node, dot: object) -> str:
        if node.kind == "text":
            return node.text
        if node.kind in {"break", "continue"}:
            self.leaving = node.kind
            return ""
        if node.kind == "template":
            inner = self.pipe(node.pipe, dot) if node.pipe else None
            return self.engine.render(node.text, inner)
        if node.pipe is None:
            raise TemplateError("an action without a value")
        self.frames.append({})
        if node.kind == "output":
            self.frames.pop()
            value = self.pipe(node.pipe, dot)
            if isinstance(value, Unknown) and _INCLUDED.search(node.text):
                self.missed(node)
            return "" if node.pipe.names else show(value)
        try:
            value = self.pipe(node.pipe, dot)
            if node.kind == "range":
                return self.loop(node, value, dot)
            holds = self.holds(node, value)
            inner = value if node.kind == "with" and holds else dot
            return self.nodes(node.body if holds else node.other, inner)
        finally:
            self.frames.pop()

    def missed(self, node: Node) -> None:
        """Note that all that an include printed is not known, where that may be an image."""
        names = _INCLUDED.findall(node.text)
        if any(self.engine.speaks(self.engine.templates.get(name, ())) for name in names):
            self.engine.doubts.append(node.text.strip())

    def holds(self, node: Node, value: object) -> bool:
        if is_unknown(value):
            if self.engine.speaks(node.other) or _leaves(node.body):
                self.engine.doubts.append(node.text.strip())
            return True
        return bool(value)

    def loop(self, node: Node, value: object, dot: object) -> str:
        if is_unknown(value):
            if self.engine.speaks(node.body):
                self.engine.doubts.append(node.text.strip())
            return ""
        items: list[tuple[Any, Any]] = []
        if isinstance(value, dict):
            items = sorted(value.items())
        elif isinstance(value, list):
            items = list(enumerate(value))
        elif isinstance(value, int) and not isinstance(value, bool):
            items = [(n, n) for n in range(min(value, self.engine.steps))]
        if not items:
            return self.nodes(node.other, dot)
        names = node.pipe.names if node.pipe else ()
        parts = []
        for key, item in items:
            self.frames.append(dict(zip(names, (key, item)[-len(names) :] if names else ())))  # noqa: B905
            parts.append(self.nodes(node.body, item))
            self.frames.pop()
            left, self.leaving = self.leaving, ""
            if left == "break":
                break
        return "".join(parts)

    def pipe(self, pipe: Pipe, dot: object) -> Any:
        self.engine.spend()
        value: Any = None
        for number, command in enumerate(pipe.commands):
            value = self.command(command, dot, [value] if number else [])
        if len(pipe.names) == 1:
            self.assign(pipe.names[0], value, declares=pipe.declares)
        return value

    def assign(self, name: str, value: object, *, declares: bool) -> None:
        for frame in reversed(self.frames):
            if declares or name in frame:
                frame[name] = value
                return

    def command(self, terms: Sequence[Term], dot: object, piped: list[Any]) -> Any:
        first = terms[0]
        if first.kind == "func":
            return self.function(first.value, terms[1:], dot, piped)
        arguments = [self.argument(term, dot) for term in terms[1:]] + piped
        value = self.term(first, dot)
        if callable(value):
            return _called(value, arguments)
        return UNKNOWN if arguments else value

    def argument(self, term: Term, dot: object) -> Any:
        """Return a term's value; a method without arguments is called, as Go does."""
        value = self.term(term, dot)
        return _called(value, []) if callable(value) else value

    def function(self, name: str, terms: Sequence[Term], dot: object, piped: list[Any]) -> Any:
        if name in {"and", "or"}:
            return self.junction(name, terms, dot, piped)
        arguments = [self.argument(term, dot) for term in terms] + piped
        if name == "include" and len(arguments) == 2:
            return self.engine.render(show(arguments[0]), arguments[1])
        if name == "tpl" and len(arguments) == 2:
            return self.engine.text(show(arguments[0]), arguments[1])
        return self.engine.call(name, arguments)

    def junction(self, name: str, terms: Sequence[Term], dot: object, piped: list[Any]) -> Any:
        """``and`` and ``or`` stop at what decides them; one that is unknown decides nothing."""
        value: Any = None
        unknown = False
        for number in range(len(terms) + len(piped)):
            value = self.term(terms[number], dot) if number < len(terms) else piped[0]
            unknown = unknown or is_unknown(value)
            if not is_unknown(value) and bool(value) == (name == "or"):
                return value
        return UNKNOWN if unknown else value

    def term(self, term: Term, dot: object) -> Any:
        if term.kind == "literal":
            return term.value
        if term.kind == "func":
            return self.function(term.value, (), dot, [])
        if term.kind == "dot":
            return _look(dot, term.fields)
        if term.kind == "paren":
            return _look(self.pipe(term.value, dot), term.fields)
        for frame in reversed(self.frames):
            if term.value in frame:
                return _look(frame[term.value], term.fields)
        return UNKNOWN


def _look(value: Any, fields: tuple[str, ...]) -> Any:
    for name in fields:
        if isinstance(value, Unknown):
            return UNKNOWN
        if isinstance(value, Files):
            value = value.method(name)
        else:
            value = value.get(name) if isinstance(value, dict) else None
    return value


def _called(function: Callable[..., Any], arguments: Sequence[Any]) -> Any:
    if any(is_unknown(item) for item in arguments):
        return UNKNOWN
    try:
        return function(*arguments)
    except (TypeError, ValueError, KeyError):
        return UNKNOWN


def _leaves(nodes: Sequence[Node]) -> bool:
    """Tell whether some of a range is left out where these nodes are run."""
    return any(
        node.kind in {"break", "continue"} or _leaves(node.body) or _leaves(node.other)
        for node in nodes
        if node.kind != "range"
    )
