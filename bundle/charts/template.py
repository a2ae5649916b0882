"""Go templates, parsed: as much of text/template as charts use."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_DEPTH: Final = 80


class TemplateError(ValueError):
    """A template that cannot be read; the message says why."""


@dataclass(frozen=True, slots=True)
class Term:
    """An operand: ``kind`` is literal, dot, var, func or paren; ``fields`` are looked up in it."""

    kind: str
    value: Any = None
    fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Pipe:
    """Commands, each fed to the next; ``names`` are the variables that the result goes to."""

    commands: tuple[tuple[Term, ...], ...]
    names: tuple[str, ...] = ()
    declares: bool = False


@dataclass(slots=True)
class Node:
    """A piece of a template: text, output, template, if, with, range, break or continue."""

    kind: str
    text: str = ""
    pipe: Pipe | None = None
    body: list[Node] = field(default_factory=list)
    other: list[Node] = field(default_factory=list)


class Parsed(NamedTuple):
    """A file: what it prints, and the templates that it defines by name."""

    body: list[Node]
    defined: dict[str, list[Node]]


class _Token(NamedTuple):
    kind: str
    text: str
    apart: bool  # white space stands before it


_TOKEN = re.compile(
    r"""(?P<space>\s*)(?:
    (?P<string>"(?:[^"\\\n]|\\.)*"|`[^`]*`|'(?:[^'\\\n]|\\.)*')
    |(?P<number>[+-]?[0-9][0-9A-Za-z_.]*)
    |(?P<field>(?:\.[A-Za-z_][A-Za-z0-9_]*)+)|(?P<dot>\.)
    |(?P<var>\$[A-Za-z0-9_]*)|(?P<word>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<op>:=|[|()=,]))""",
    re.VERBOSE,
)
# Possessive, so that an action that nobody closes takes linear time.
_ACTION = re.compile(r'\{\{(?:"(?:[^"\\\n]|\\.)*+"|`[^`]*+`|[^}"`]|\}(?!\}))*+\}\}')
_COMMENT = re.compile(r"\{\{(-?)\s*/\*.*?\*/\s*(-?)\}\}", re.DOTALL)


def parse(source: str) -> Parsed:
    """Parse a file; raise :class:`TemplateError` for what is no template."""
    return _Parser(list(_pieces(source))).file()


def _pieces(source: str) -> Iterator[tuple[str, str]]:
    """Yield ``("text", …)`` and ``("action", …)``, white space trimmed as the marks say."""
    start, trim = 0, False
    while (opened := source.find("{{", start)) >= 0:
        found = _COMMENT.match(source, opened) or _ACTION.match(source, opened)
        if found is None:
            raise TemplateError("an action that nothing closes")
        inner, left, right = _marks(found.group())
        text = source[start:opened]
        text = text.lstrip() if trim else text
        yield "text", text.rstrip() if left else text
        if not inner.startswith("/*"):
            yield "action", inner
        start, trim = found.end(), right
    rest = source[start:]
    yield "text", rest.lstrip() if trim else rest


def _marks(action: str) -> tuple[str, bool, bool]:
    inner = action[2:-2]
    comment = re.fullmatch(r"-?\s*/\*.*\*/\s*-?", inner, re.DOTALL)
    left = inner.startswith("-") and (comment is not None or inner[1:2].isspace())
    inner = inner[1:] if left else inner
    right = inner.endswith("-") and (comment is not None or inner[-2:-1].isspace())
    inner = inner[:-1] if right else inner
    return inner.strip(), left, right


def _tokens(text: str) -> list[_Token]:
    found, at = [], 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            raise TemplateError(f"{text[at : at + 20]!r} in an action")
        kind = match.lastgroup
        found.append(_Token(kind, match.group(kind), bool(match.group("space")) or at == 0))
        at = match.end()
    return found


class _Parser:
    """Actions to nodes, by recursive descent."""

    def __init__(self, pieces: list[tuple[str, str]]) -> None:
        self.pieces = pieces
        self.at = 0
        self.defined: dict[str, list[Node]] = {}

    def file(self) -> Parsed:
        body, ended = self.nodes(0)
        if ended:
            raise TemplateError(f"{ended!r} that ends nothing")
        return Parsed(body, self.defined)

    def nodes(self, depth: int) -> tuple[list[Node], str]:
        """Return nodes up to ``end`` or ``else``, and that action; at the end of the file, none."""
        if depth > MAX_DEPTH:
            raise TemplateError("nested too deeply")
        found: list[Node] = []
        while self.at < len(self.pieces):
            kind, text = self.pieces[self.at]
            self.at += 1
            if kind == "text":
                if text:
                    found.append(Node("text", text))
                continue
            word = re.match(r"[a-z]+(?![\w])", text)
            keyword = word.group() if word else ""
            if keyword in {"end", "else"}:
                return found, text
            found += self.action(keyword, text, depth)
        return found, ""

    def action(self, keyword: str, text: str, depth: int) -> list[Node]:
        rest = text[len(keyword) :]
        if keyword in {"if", "with", "range"}:
            return [self.branch(keyword, rest, depth)]
        if keyword in {"define", "block"}:
            name, pipe = self.named(rest)
            self.defined[name] = self.closed(depth)
            return [Node("template", name, pipe)] if keyword == "block" else []
        if keyword == "template":
            name, pipe = self.named(rest)
            return [Node("template", name, pipe)]
        if keyword in {"break", "continue"} and not rest.strip():
            return [Node(keyword)]
        return [Node("output", text, _pipe(text))]

    def closed(self, depth: int) -> list[Node]:
        body, ended = self.nodes(depth + 1)
        if ended != "end":
            raise TemplateError("a definition that nothing ends")
        return body

    def branch(self, kind: str, text: str, depth: int) -> Node:
        node = Node(kind, text, _pipe(text))
        node.body, ended = self.nodes(depth + 1)
        if ended.startswith("else"):
            rest = ended[4:].strip()
            if rest:
                again = rest.split(maxsplit=1)[0]
                node.other = [self.branch(again, rest[len(again) :], depth + 1)]
                return node
            node.other, ended = self.nodes(depth + 1)
        if ended != "end":
            raise TemplateError(f"{kind!r} that nothing ends")
        return node

    def named(self, text: str) -> tuple[str, Pipe | None]:
        tokens = _tokens(text)
        if not tokens or tokens[0].kind != "string":
            raise TemplateError("a template without a name")
        rest = _Reader(tokens[1:])
        return _string(tokens[0].text), rest.pipe() if rest.tokens else None


def _pipe(text: str) -> Pipe:
    reader = _Reader(_tokens(text))
    pipe = reader.pipe()
    if reader.tokens:
        raise TemplateError(f"{reader.tokens[0].text[:20]!r} in an action")
    return pipe


class _Reader:
    """Tokens to a pipeline."""

    def __init__(self, tokens: list[_Token]) -> None:
        self.tokens = tokens
        self.depth = 0

    def pipe(self) -> Pipe:
        names, declares = self.names()
        commands = [self.command()]
        while self.tokens and self.tokens[0].text == "|":
            self.tokens.pop(0)
            commands.append(self.command())
        return Pipe(tuple(commands), names, declares)

    def names(self) -> tuple[tuple[str, ...], bool]:
        for count, shape in ((1, ["var", "op"]), (3, ["var", "op", "var", "op"])):
            head = self.tokens[: count + 1]
            if [token.kind for token in head] == shape and head[-1].text in {":=", "="}:
                if count == 3 and head[1].text != ",":
                    continue
                del self.tokens[: count + 1]
                return tuple(t.text for t in head if t.kind == "var"), head[-1].text == ":="
        return (), False

    def command(self) -> tuple[Term, ...]:
        terms: list[Term] = []
        while self.tokens and self.tokens[0].text not in {"|", ")"}:
            terms.append(self.term())
        if not terms:
            raise TemplateError("an empty command")
        return tuple(terms)

    def term(self) -> Term:
        token = self.tokens.pop(0)
        if token.kind == "string":
            return Term("literal", _string(token.text))
        if token.kind == "number":
            return Term("literal", _number(token.text))
        if token.kind == "field":
            return Term("dot", None, tuple(token.text[1:].split(".")))
        if token.kind == "dot":
            return Term("dot")
        if token.kind == "var":
            return Term("var", token.text, self.fields())
        if token.kind == "word":
            words = {"true": True, "false": False, "nil": None}
            literal = token.text in words
            return Term("literal", words[token.text]) if literal else Term("func", token.text)
        if token.text == "(":
            return self.paren()
        raise TemplateError(f"{token.text!r} in an action")

    def paren(self) -> Term:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise TemplateError("nested too deeply")
        inner = self.pipe()
        if not self.tokens or self.tokens.pop(0).text != ")":
            raise TemplateError("a bracket that nothing closes")
        self.depth -= 1
        return Term("paren", inner, self.fields())

    def fields(self) -> tuple[str, ...]:
        if self.tokens and self.tokens[0].kind == "field" and not self.tokens[0].apart:
            return tuple(self.tokens.pop(0).text[1:].split("."))
        return ()


def _string(text: str) -> str:
    if text.startswith("`"):
        return text[1:-1]
    try:
        return str(json.loads('"' + text[1:-1].replace("\\'", "'") + '"', strict=False))
    except ValueError:
        raise TemplateError(f"a string that cannot be read: {text[:40]}") from None


def _number(text: str) -> int | float:
    try:
        return int(text.replace("_", ""), 0) if re.fullmatch(r"[+-]?\w+", text) else float(text)
    except ValueError:
        raise TemplateError(f"{text[:40]!r} is no number") from None
