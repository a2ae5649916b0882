"""YAML as Helm reads values and manifests: typed, with anchors, and bounded against bombs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import yaml

from bundle import yamlparser

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_NODES: Final = 500_000
"""Nodes of a document with every alias written out."""
MAX_WRITTEN: Final = 150_000
"""Nodes and documents as written; in memory each comes to some 400 bytes."""
MAX_DEPTH: Final = 60


class _Loader(yamlparser.LOADER):  # type: ignore[misc]
    """The safe loader with the scalars of Helm's YAML: no dates, no base 60."""

    yaml_implicit_resolvers: dict[str, list[Any]] = {}  # noqa: RUF012


def _resolve(tag: str, pattern: str, first: str) -> None:
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(pattern), list(first))


_resolve(
    "bool",
    r"^(?:true|True|TRUE|false|False|FALSE|[yY]|yes|Yes|YES|[nN]|no|No|NO|on|On|ON|off|Off|OFF)$",
    "tTfFyYnNoO",
)
_resolve("int", r"^[-+]?(?:0x[0-9a-fA-F]{1,15}|0[0-7]{0,20}|[1-9][0-9]{0,30})$", "-+0123456789")
_resolve(
    "float",
    r"^[-+]?(?:\.[0-9]{1,30}|[0-9]{1,30}\.[0-9]{0,30}(?:[eE][-+]?[0-9]{1,3})?"
    r"|[0-9]{1,30}[eE][-+]?[0-9]{1,3})$",
    "-+.0123456789",
)
_resolve("null", r"^(?:~|null|Null|NULL|)$", "~nN")
_Loader.yaml_implicit_resolvers.setdefault("", []).append(
    ("tag:yaml.org,2002:null", re.compile("^$"))
)
_resolve("merge", r"^<<$", "<")


class Number(int):
    """A whole number of YAML. To templates it is a float, so a large one prints as 2.024e+07."""

    __slots__ = ()


def _integer(loader: Any, node: Any) -> Number:
    return Number(loader.construct_yaml_int(node))


def _mapping(loader: Any, node: Any) -> Iterator[dict[str, Any]]:
    """Build a mapping as Helm has it: by way of JSON, so every key is text."""
    found: dict[str, Any] = {}
    yield found
    found.update({_key(key): value for key, value in loader.construct_mapping(node).items()})


def _key(key: object) -> str:
    if isinstance(key, bool):
        return "true" if key else "false"
    return "null" if key is None else str(key)


def _truth(loader: Any, node: Any) -> bool:
    return str(loader.construct_scalar(node)).lower() in {"true", "yes", "on", "y"}


_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)
_Loader.add_constructor("tag:yaml.org,2002:bool", _truth)
_Loader.add_constructor("tag:yaml.org,2002:int", _integer)


def load(text: str) -> Any:
    """Return the one document in ``text``; raise ``ValueError`` with the reason if there is none.

    Refused are nesting deeper than 60, more than 150,000 nodes, or 500,000 once every alias is
    written out, and an alias inside what it names.
    """
    found = load_all(text)
    if len(found) > 1:
        raise ValueError("it has more than one document")
    return found[0] if found else None


def load_all(text: str) -> list[Any]:
    """Return every document in ``text``; raise ``ValueError`` as :func:`load` does."""
    try:
        _check(text)
        return list(yaml.load_all(text, Loader=_Loader))
    except yaml.YAMLError as fault:
        mark = getattr(fault, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark else ""
        raise ValueError(f"{where}{getattr(fault, 'problem', None) or 'no YAML'}") from None
    except (RecursionError, TypeError, OverflowError) as fault:
        raise ValueError(f"no YAML: {type(fault).__name__}") from None


def _check(text: str) -> None:
    """Count what the document would have with its aliases written out, before anything is built."""
    if reason := yamlparser.fault(len(text)):
        raise ValueError(reason)
    sizes: dict[str, int] = {}
    open_: list[tuple[str | None, int]] = []
    total = 0
    for event in _bounded(_events(text)):
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in sizes:
                raise ValueError("an alias of nothing, or of what it stands in")
            total += sizes[event.anchor]
        elif isinstance(event, yaml.CollectionStartEvent):
            total += 1
            open_.append((event.anchor, total))
            if len(open_) > MAX_DEPTH:
                raise ValueError(f"nested deeper than {MAX_DEPTH}")
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, start = open_.pop()
            if anchor:
                sizes[anchor] = total - start + 1
        elif isinstance(event, yaml.ScalarEvent):
            total += 1
            if event.anchor:
                sizes[event.anchor] = 1
        if total > MAX_NODES:
            raise ValueError(f"more than {MAX_NODES} nodes")


def _bounded(events: Iterator[Any]) -> Iterator[Any]:
    written = 0
    for event in events:
        written += isinstance(event, (yaml.NodeEvent, yaml.DocumentStartEvent))
        if written > MAX_WRITTEN:
            raise ValueError(f"more than {MAX_WRITTEN} nodes are written in it")
        yield event


def _events(text: str) -> Iterator[Any]:
    yield from yaml.parse(text, Loader=yamlparser.LOADER)


def dump(value: object) -> str:
    """Return ``value`` as block YAML, as Helm's ``toYaml`` does: without a last line end."""
    text: str = yaml.dump(
        value, Dumper=_Dumper, default_flow_style=False, allow_unicode=True, width=1 << 30
    )
    return text.removesuffix("...\n").rstrip("\n")


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002, RUF100
        return True


_Dumper.add_representer(Number, lambda dumper, number: dumper.represent_int(int(number)))
