"""YAML as a strict subset: plain data, and the line and column of every key and value in it."""

from __future__ import annotations

import io
import re
from itertools import islice
from typing import TYPE_CHECKING, Any, cast

import yaml

from bundle import weight, yamlparser
from bundle.decode import MAX_DEPTH, MAX_INTEGER, Key, spell
from bundle.errors import UsageError
from bundle.written import Float
from bundle.yamlplaces import Places

if TYPE_CHECKING:
    from pathlib import Path as FilePath

    from bundle.decode import Path

_TOO_DEEP = f"nested deeper than {MAX_DEPTH}"
LIMIT = 1 << 20
"""Bytes that a document written by people may have."""

_FORBIDDEN = re.compile(
    "[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
"""What YAML refuses, and the line ends that only YAML 1.1 knows: editors do not show them."""
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?")
_WORDS: dict[str, bool | None] = {"true": True, "false": False, "null": None, "~": None, "": None}
_NUMERIC = frozenset("0123456789+-.")
_WORDS_KEPT, _LONG = 4096, 200
_MOST_DOCUMENTS = 10_000
_QUOTE = "write it in quotes when it is meant as text"


class Document:
    """What a file says, as plain data in ``value``, and where it says it."""

    def __init__(self, name: str, value: object, places: Places) -> None:
        self.name = name
        self.value = value
        self._places = places

    def mark(self, path: Path) -> tuple[int, int]:
        """Return line and column, from 1, of what ``path`` names: a value, or with Key a key.

        A path that leads nowhere is where its deepest part is: a missing field is at its mapping.
        """
        row, value = 0, self.value
        for step in path:
            at = self._places.inside(row, value).get(step)
            if at is None:
                break
            if isinstance(step, Key):
                row = at
                break
            row = at + isinstance(value, dict)
            value = cast("Any", value)[step]
        return _position(self._places.start[row])

    def where(self, path: Path) -> str:
        """Return ``FILE:LINE:COLUMN`` of what ``path`` names."""
        line, column = self.mark(path)
        return f"{self.name}:{line}:{column}"

    def fault(self, path: Path, message: str, hint: str = "") -> UsageError:
        """Return the error that says ``FILE:LINE:COLUMN: images[0].name: message``."""
        return _fault(self.where(path), path, message, hint)


def _position(packed: int) -> tuple[int, int]:
    return (packed >> 32) + 1, (packed & 0xFFFFFFFF) + 1


def _packed(mark: Any) -> int:
    return int(mark.line) << 32 | int(mark.column)


def _fault(where: str, path: Path, message: str, hint: str) -> UsageError:
    shown = spell(tuple(_shown(step) if isinstance(step, str) else step for step in path))
    return UsageError(f"{where}: {shown}: {message}" if shown else f"{where}: {message}", hint=hint)


def _shown(step: str) -> str:
    # Keys are the reader's text: they must not move a terminal's cursor, nor show a password.
    before, at, after = step.rpartition("@")
    step = f"…@{after}" if at and before else step
    return (step if step.isprintable() and step else repr(step))[:80]


def load(path: FilePath, *, limit: int = LIMIT, hint: str = "") -> Document:
    """Read and parse a file, see :func:`read` and :func:`parse`."""
    return parse(read(path, limit=limit, hint=hint), name=str(path), limit=limit)


def read(path: FilePath, *, limit: int = LIMIT, hint: str = "") -> bytes:
    """Return the bytes of a file, of one too large only the first ``limit`` and one more.

    Raises :class:`UsageError` with ``hint`` when it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(limit + 1)
    except OSError as error:
        reason = (error.strerror or "unknown reason").lower()
        raise UsageError(f"cannot read {path}: {reason}", hint=hint) from None


def parse(data: bytes, *, name: str, limit: int = LIMIT) -> Document:
    """Return the one YAML document in ``data``; ``name`` stands in messages for the file.

    Plain scalars are read so that nothing surprises: ``true`` and ``false`` are truth values,
    ``null``, ``~`` and nothing are null, decimal numbers are numbers; all else is text, so ``no``,
    ``on``, dates, ``0o17``, ``017`` and ``1:30`` are, and so is everything in quotes and every key.

    Raises :class:`UsageError` with line and column for more than ``limit`` bytes, anything but
    UTF-8, a byte order mark, control characters, syntax errors, directives, a second document,
    anchors, aliases, tags, merge keys, duplicate keys, keys that are no scalars, nesting deeper
    than 40, numbers beyond 2**53-1, and far more nodes than its length lets expect.
    """
    return _Reader(name, _checked(data, name, limit)).document()


def parse_all(data: bytes, *, name: str, limit: int = LIMIT) -> list[Document]:
    """Return every YAML document in ``data`` that says anything; else as :func:`parse`."""
    reader = _Reader(name, _checked(data, name, limit), many=True)
    reader.document()
    return [document for document in reader.found if document.value is not None]


def _checked(data: bytes, name: str, limit: int) -> bytes:
    if len(data) > limit:
        raise _fault(f"{name}:1:1", (), f"the file is larger than {limit} bytes", "")
    if reason := yamlparser.fault(len(data)):
        raise _fault(f"{name}:1:1", (), reason, yamlparser.HINT)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8")
        raise _fault(_end_of(before, name), (), "not UTF-8", "save the file as UTF-8") from None
    if bad := _FORBIDDEN.search(text):
        where, code = _end_of(text[: bad.start()], name), f"U+{ord(bad.group()):04X}"
        if code == "U+FEFF":
            hint = "save the file as UTF-8 without a byte order mark"
            raise _fault(where, (), "a byte order mark is not allowed", hint)
        raise _fault(where, (), f"the character {code} is not allowed", "")
    return data


def _end_of(text: str, name: str) -> str:
    line = text.count("\n")
    return f"{name}:{line + 1}:{len(text) - (text.rfind(chr(10)) + 1) + 1}"


class _Reader:
    """Builds a document from the parser's events: no recursion, no node graph, no constructors."""

    def __init__(self, name: str, data: bytes, *, many: bool = False) -> None:
        self.name = name
        self.data = data
        self.many = many
        self.found: list[Document] = []
        self.documents = 0
        self.value: object = None
        self.places = Places()
        self.open: list[dict[str, object] | list[object]] = []
        self.rows: list[int] = []  # of each open container: its row
        self.key: list[str | None] = []  # and the key that awaits its value
        self.words: dict[str, str] = {}

    def document(self) -> Document:
        """Read all events."""
        loader = yamlparser.LOADER(self.data)
        take = loader.get_event
        handlers = {
            yaml.ScalarEvent: self.scalar,
            yaml.MappingStartEvent: self.mapping,
            yaml.SequenceStartEvent: self.sequence,
            yaml.MappingEndEvent: self.end,
            yaml.SequenceEndEvent: self.end,
            yaml.AliasEvent: self.alias,
            yaml.DocumentStartEvent: self.start,
            yaml.DocumentEndEvent: self.finish,
        }
        try:
            for _ in range(weight.events(len(self.data))):
                if (event := take()) is None:
                    break
                if handler := handlers.get(type(event)):
                    handler(event)
            else:
                raise self.fault(event, weight.TOO_MANY, "")
        except yaml.YAMLError as error:
            raise self.syntax(error) from None
        finally:
            loader.dispose()
        return self.found[0] if self.found else self.made()

    def made(self) -> Document:
        """Return the document that was read, and begin the next one."""
        if not self.places.start:
            self.places.add(0, 0)
        made = Document(self.name, self.value, self.places)
        self.value, self.places = None, Places()
        return made

    def path(self) -> Path:
        """Return the path of the node that comes next."""
        steps: list[str | int] = []
        for container, key in zip(self.open, self.key, strict=True):
            if isinstance(container, list):
                steps.append(len(container) - 1)
            elif key is not None:
                steps.append(key)
        if self.open and isinstance(self.open[-1], list):
            steps[-1] = len(self.open[-1])  # all around it hold what is being read already
        return tuple(steps)

    def fault(self, event: Any, message: str, hint: str) -> UsageError:
        """Return the fault of an event."""
        line, column = _position(_packed(event.start_mark))
        return _fault(f"{self.name}:{line}:{column}", self.path(), message, hint)

    def syntax(self, error: yaml.YAMLError) -> UsageError:
        """Return the parser's own complaint."""
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        line, column = _position(_packed(mark)) if mark else (1, 1)
        problem = str(getattr(error, "problem", None) or "cannot be parsed")
        context = str(getattr(error, "context", None) or "")
        hint = next((hint for part, hint in _HINTS if part in problem), "")
        here = next(islice(io.BytesIO(self.data), line - 1, line), b"")
        before = here.decode().rstrip("\n")[:column]
        if before.endswith("\t"):
            hint = "indent with spaces: YAML does not take tabs for that"
        message = "not valid YAML: " + ", ".join(part for part in (context, problem) if part)
        if "nesting depth" in problem:  # libyaml's own limit, met before its first event
            message, hint = _TOO_DEEP, ""
        return _fault(f"{self.name}:{line}:{column}", (), message, hint)

    def start(self, event: Any) -> None:
        """Take the start of a document."""
        self.documents += 1
        if self.documents > 1 and not self.many:
            raise self.fault(event, "a second document starts here", "write one file for each")
        if self.documents > _MOST_DOCUMENTS:
            raise self.fault(event, f"more than {_MOST_DOCUMENTS} documents", "")
        if event.version or event.tags:
            raise self.fault(event, "YAML directives are not allowed", "leave the % line out")

    def finish(self, _event: Any) -> None:
        """Take the end of a document."""
        self.found.append(self.made())

    def alias(self, event: Any) -> None:
        """Refuse an alias."""
        raise self.fault(event, f"aliases (*{event.anchor[:60]}) are not allowed", _WRITE_OUT)

    def check(self, event: Any) -> None:
        """Refuse what no node may have."""
        if event.anchor is not None:
            raise self.fault(event, f"anchors (&{event.anchor[:60]}) are not allowed", _WRITE_OUT)
        if event.tag is not None:
            raise self.fault(
                event, f"YAML tags ({event.tag[:60]}) are not allowed", "leave the tag out"
            )

    def scalar(self, event: Any) -> None:
        """Take a key or a scalar value."""
        if event.anchor is not None or event.tag is not None:
            self.check(event)
        text: str = event.value
        if "\0" in text or not (text.isascii() or _encodable(text)):
            raise self.fault(event, "NUL and lone surrogates are not allowed", "")
        plain = not event.style and event.implicit[0]
        text = self.words.get(text) or self.remembered(text)
        if self.key and self.key[-1] is None and type(self.open[-1]) is dict:
            self.take_key(event, text, plain)
        else:
            value = self.resolve(event, text) if plain else text
            mark = event.start_mark
            self.places.add(mark.line, mark.column)
            self.put(value)

    def remembered(self, text: str) -> str:
        """Keep a word, for there are a few that stand in every row."""
        if len(self.words) < _WORDS_KEPT and len(text) < _LONG:
            self.words[text] = text
        return text

    def take_key(self, event: Any, text: str, plain: bool) -> None:
        """Take a key of the mapping that is open."""
        container, mark = self.open[-1], event.start_mark
        if plain and text == "<<":
            raise self.fault(event, "merge keys (<<) are not allowed", _WRITE_OUT)
        self.key[-1] = text
        if text in container:
            row = self.places.inside(self.rows[-1], container)[text]
            line, _column = _position(self.places.start[row])
            raise self.fault(event, f"duplicate key, first on line {line}", "remove one of them")
        self.places.add(mark.line, mark.column)

    def resolve(self, event: Any, text: str) -> object:
        """Return what a plain scalar means."""
        if text in _WORDS:
            return _WORDS[text]
        if text[0] not in _NUMERIC:
            return text
        if _INTEGER.fullmatch(text):
            if len(text) > 17 or abs(int(text)) > MAX_INTEGER:
                raise self.fault(event, f"the number {text[:40]} is too large", _QUOTE)
            return int(text)
        return Float(text) if _FLOAT.fullmatch(text) else text

    def mapping(self, event: Any) -> None:
        """Open a mapping."""
        self.nest(event, {})

    def sequence(self, event: Any) -> None:
        """Open a sequence."""
        self.nest(event, [])

    def nest(self, event: Any, container: dict[str, object] | list[object]) -> None:
        """Put a container where it belongs and make it the one that is open."""
        self.check(event)
        if self.open and self.key[-1] is None and isinstance(self.open[-1], dict):
            raise self.fault(event, "a key must be text", "")
        if len(self.open) >= MAX_DEPTH:
            raise self.fault(event, _TOO_DEEP, "")
        row = self.places.add(event.start_mark.line, event.start_mark.column)
        self.put(container, done=False)
        self.open.append(container)
        self.rows.append(row)
        self.key.append(None)

    def end(self, _event: Any) -> None:
        """Close the container that is open."""
        self.open.pop()
        self.key.pop()
        self.places.close(self.rows.pop())
        if self.key:
            self.key[-1] = None

    def put(self, value: object, *, done: bool = True) -> None:
        """Add a node to the container that is open; its key stays until the node is ``done``."""
        if not self.open:
            self.value = value
            return
        container = self.open[-1]
        if isinstance(container, list):
            container.append(value)
            return
        container[cast("str", self.key[-1])] = value
        if done:
            self.key[-1] = None


def _encodable(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


_WRITE_OUT = "write the value out where it is used"
_HINTS = (
    ("mapping values are not allowed", "put text that holds ': ' in quotes"),
    ("cannot start any token", "put text that starts with a special character in quotes"),
    ("could not find expected ':'", "a key needs ': ' after it"),
    ("did not find expected key", "is the indentation that of the lines before?"),
    ("expected <block end>", "is the indentation that of the lines before?"),
    ("did not find expected ',' or", "a bracket is not closed, or a comma is missing"),
    ("expected ',' or", "a bracket is not closed, or a comma is missing"),
)
