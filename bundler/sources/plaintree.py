"""Helm's YAML as what it is to Helm: mappings, lists and text, read with bounds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from bundle import weight, yamlparser
from bundle.decode import MAX_DEPTH

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Tree = dict[str, "Tree"] | list["Tree"] | str | None

_TOO_DEEP = f"nested deeper than {MAX_DEPTH}"
_NOTHING = frozenset({"", "~", "null", "Null", "NULL"})


def read(data: bytes, path: Sequence[str] = (), *, local_tags: bool = False) -> Tree:
    """Return what stands under ``path`` in the document, and nothing when there is no such key.

    An index has thousands of charts of which one is wanted: the others are checked for form and
    dropped. Scalars stay text, because a version is no number whether it is quoted or not. Raises
    ``ValueError`` for anything but one UTF-8 document, for aliases and tags, for a key given twice
    on the way, and for nesting deeper than 40. With ``local_tags``, an application's own tags
    (``!name``; YAML 1.2, 3.2.1.2) are passed over: what they mark is read without them.
    """
    if reason := yamlparser.fault(len(data)):
        raise ValueError(reason)
    length = len(data.decode("utf-8-sig"))  # the parser takes UTF-8, and here nothing else is
    events = _events(data, weight.events(length), local_tags=local_tags)
    for expected in (yaml.StreamStartEvent, yaml.DocumentStartEvent):
        if not isinstance(next(events), expected):
            raise ValueError("it is empty")
    found = _down(events, next(events), tuple(path), 0)
    next(events)  # the end of the document
    if not isinstance(next(events), yaml.StreamEndEvent):
        raise ValueError("it has more than one document")
    return found


def _events(data: bytes, most: int, *, local_tags: bool) -> Iterator[Any]:
    try:
        for number, event in enumerate(yaml.parse(data, Loader=yamlparser.LOADER)):
            line = _line(event)
            if number > most:
                raise ValueError(f"line {line}: {weight.TOO_MANY}")
            if isinstance(event, yaml.AliasEvent):
                raise ValueError(f"line {line}: an alias")
            tag = getattr(event, "tag", None)
            if tag is not None and not (local_tags and tag.startswith("!")):
                raise ValueError(f"line {line}: a tag")
            yield event
    except yaml.YAMLError as fault:
        mark = getattr(fault, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark else ""
        problem = getattr(fault, "problem", None) or "no YAML"
        if "nesting depth" in problem:  # libyaml's own limit, met before its first event
            problem = _TOO_DEEP
        raise ValueError(f"{where}{problem}") from None


def _down(events: Iterator[Any], first: Any, path: tuple[str, ...], depth: int) -> Tree:
    if not path:
        return _value(events, first, depth)
    if not isinstance(first, yaml.MappingStartEvent):
        raise ValueError(f"line {_line(first)}: no mapping with {path[0]!r} in it")
    found: Tree = None
    for key, value in _pairs(events):
        if key == path[0]:
            found = _down(events, value, path[1:], depth + 1)
        else:
            _skip(events, value, depth + 1)
    return found


def _value(events: Iterator[Any], first: Any, depth: int) -> Tree:
    _check_depth(first, depth)
    if isinstance(first, yaml.ScalarEvent):
        return None if first.implicit[0] and first.value in _NOTHING else str(first.value)
    if isinstance(first, yaml.MappingStartEvent):
        return {key: _value(events, value, depth + 1) for key, value in _pairs(events)}
    items: list[Tree] = []
    while not isinstance(item := next(events), yaml.SequenceEndEvent):
        items.append(_value(events, item, depth + 1))
    return items


def _pairs(events: Iterator[Any]) -> Iterator[tuple[str, Any]]:
    """Yield the keys of a mapping, each with the event that its value begins with."""
    seen: set[str] = set()
    while not isinstance(key := next(events), yaml.MappingEndEvent):
        line = _line(key)
        if not isinstance(key, yaml.ScalarEvent):
            raise ValueError(f"line {line}: a key that is no text")
        if key.value in seen:
            raise ValueError(f"line {line}: duplicate key {key.value[:60]!r}")
        seen.add(key.value)
        yield key.value, next(events)


def _skip(events: Iterator[Any], first: Any, depth: int) -> None:
    level = 0
    event = first
    while True:
        if isinstance(event, yaml.CollectionStartEvent):
            level += 1
            _check_depth(event, depth + level)
        elif isinstance(event, yaml.CollectionEndEvent):
            level -= 1
        if level == 0:
            return
        event = next(events)


def _check_depth(event: Any, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise ValueError(f"line {_line(event)}: {_TOO_DEEP}")


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1
