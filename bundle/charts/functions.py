"""The functions of Helm's templates that decide names: Go's own, and of sprig what charts use."""

from __future__ import annotations

import base64
import hashlib
import json
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from bundle.charts import helmyaml, semver, textfunctions
from bundle.charts.chart import merged
from bundle.charts.engine import MARK, UNKNOWN, is_unknown, show

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Function = Callable[..., Any]

MOST = 100_000
"""Items of a list that a function makes."""


def table() -> dict[str, Function]:
    """Return every function by its name in templates.

    All but those in ``_CARRY`` have an unknown result when an argument is unknown; functions that
    are missing here (certificates, random text, regular expressions) are unknown themselves.
    """
    known: dict[str, Function] = {**textfunctions.TABLE, **_PLAIN}
    return {name: _guarded(function) for name, function in known.items()} | _CARRY


def _guarded(function: Function) -> Function:
    def call(*arguments: Any) -> Any:
        return UNKNOWN if any(is_unknown(item) for item in arguments) else function(*arguments)

    return call


# -- comparing ------------------------------------------------------------------------------------


def _equal(first: object, *others: object) -> bool:
    return any(first == other and _same_kind(first, other) for other in others)


def _same_kind(one: object, other: object) -> bool:
    return isinstance(one, bool) == isinstance(other, bool)


def _kind(value: object) -> str:
    names = {dict: "map", list: "slice", str: "string", bool: "bool", int: "int64"}
    return "invalid" if value is None else names.get(type(value), "float64")  # helmyaml.Number


def _has(item: object, items: Any) -> bool:
    return item in (items or [])


# -- mappings and lists ---------------------------------------------------------------------------


def _dict(*pairs: Any) -> dict[str, Any]:
    return {show(pairs[n]): pairs[n + 1] for n in range(0, len(pairs) - 1, 2)}


def _set(mapping: dict[str, Any], key: str, value: object) -> dict[str, Any]:
    mapping[key] = value
    return mapping


def _unset(mapping: dict[str, Any], key: str) -> dict[str, Any]:
    mapping.pop(key, None)
    return mapping


def _merge(*mappings: dict[str, Any]) -> dict[str, Any]:
    """The first wins, and is changed itself (sprig, "merge")."""
    into = mappings[0]
    for other in mappings[1:]:
        result = merged(other, into)
        into.clear()
        into.update(result)
    return into


def _overwrite(*mappings: dict[str, Any]) -> dict[str, Any]:
    into = mappings[0]
    for other in mappings[1:]:
        result = merged(into, other)
        into.clear()
        into.update(result)
    return into


def _dig(*arguments: Any) -> Any:
    *keys, default, value = arguments
    for key in keys:
        if not isinstance(value, dict) or key not in value:
            return default
        value = value[key]
    return value


def _index(value: Any, *keys: Any) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else value[key]
    return value


def _join(glue: str, items: Any) -> str:
    return glue.join(show(item) for item in (items if isinstance(items, list) else [items]))


def _count(*bounds: int) -> list[int]:
    found = range(*bounds)
    if len(found) > MOST:
        raise ValueError("too many")
    return list(found)


def _uniq(items: list[Any]) -> list[Any]:
    return [item for number, item in enumerate(items) if item not in items[:number]]


# -- what carries the unknown along ---------------------------------------------------------------


def _default(default: object, value: object = None) -> object:
    return value if is_unknown(value) or value else default


def _coalesce(*values: Any) -> Any:
    return next((value for value in values if is_unknown(value) or value), None)


def _ternary(yes: object, no: object, test: object) -> object:
    return UNKNOWN if is_unknown(test) else yes if test else no


def _not(value: object) -> object:
    return UNKNOWN if is_unknown(value) else not value


def _required(_why: object, value: object = None) -> object:
    return UNKNOWN if value is None or value == "" else value


def plain(value: object) -> Any:
    """Return a value as data, with the mark in place of what is unknown."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value if isinstance(value, str | int | float | bool | None) else MARK


def _get(mapping: Mapping[str, Any], key: str) -> Any:
    return mapping.get(key, "")


_CARRY: dict[str, Function] = {
    "default": _default,
    "coalesce": _coalesce,
    "ternary": _ternary,
    "not": _not,
    "required": _required,
    "fail": lambda *_: UNKNOWN,
    "dict": _dict,
    "list": lambda *items: list(items),
    "tuple": lambda *items: list(items),
    "set": _set,
    "unset": _unset,
    "get": _get,
    "hasKey": lambda mapping, key: UNKNOWN if is_unknown(mapping) else key in mapping,
    "merge": _merge,
    "mustMerge": _merge,
    "mergeOverwrite": _overwrite,
    "mustMergeOverwrite": _overwrite,
    "append": lambda items, item: [*(items or []), item],
    "mustAppend": lambda items, item: [*(items or []), item],
    "prepend": lambda items, item: [item, *(items or [])],
    "concat": lambda *lists: [item for items in lists for item in items or []],
    "toYaml": lambda value: helmyaml.dump(plain(value)),
    "toJson": lambda value: json.dumps(plain(value), sort_keys=True, separators=(",", ":")),
    "toPrettyJson": lambda value: json.dumps(plain(value), sort_keys=True, indent=2),
    "toRawJson": lambda value: json.dumps(plain(value), sort_keys=True, separators=(",", ":")),
    "mustToYaml": lambda value: helmyaml.dump(plain(value)),
    "mustToJson": lambda value: json.dumps(plain(value), sort_keys=True, separators=(",", ":")),
    "mustToPrettyJson": lambda value: json.dumps(plain(value), sort_keys=True, indent=2),
    "quote": lambda *values: " ".join(textfunctions.quoted(v) for v in values if v is not None),
    "squote": lambda *values: " ".join(f"'{show(v)}'" for v in values if v is not None),
    "indent": textfunctions.indent,
    "nindent": lambda count, text: "\n" + str(textfunctions.indent(count, text)),
    "print": lambda *values: "".join(show(value) for value in values),
    "toString": show,
    "lookup": lambda *_: {},
    "deepCopy": deepcopy,
}

_PLAIN: dict[str, Function] = {
    "eq": _equal,
    "ne": lambda one, other: not _equal(one, other),
    "lt": lambda one, other: one < other,
    "le": lambda one, other: one <= other,
    "gt": lambda one, other: one > other,
    "ge": lambda one, other: one >= other,
    "empty": lambda value=None: not value,
    "kindOf": _kind,
    "kindIs": lambda kind, value: (
        kind == _kind(value) or (kind == "int" and _kind(value) == "int64")
    ),
    "typeOf": lambda value: {"map": "map[string]interface {}"}.get(_kind(value), _kind(value)),
    "typeIs": lambda kind, value: kind == _kind(value),
    "has": _has,
    "keys": lambda *mappings: [key for mapping in mappings for key in mapping],
    "values": lambda mapping: list(mapping.values()),
    "pick": lambda mapping, *keys: {key: mapping[key] for key in keys if key in mapping},
    "omit": lambda mapping, *keys: {k: v for k, v in mapping.items() if k not in keys},
    "pluck": lambda key, *mappings: [m[key] for m in mappings if key in m],
    "dig": _dig,
    "index": _index,
    "len": lambda value: len(value or ""),
    "first": lambda items: items[0] if items else None,
    "last": lambda items: items[-1] if items else None,
    "rest": lambda items: items[1:],
    "initial": lambda items: items[:-1],
    "reverse": lambda items: items[::-1],
    "uniq": _uniq,
    "compact": lambda items: [item for item in items if item],
    "without": lambda items, *out: [item for item in items if item not in out],
    "slice": lambda items, *at: items[slice(*(at if len(at) > 1 else (*at, None)))],
    "sortAlpha": lambda items: sorted(show(item) for item in items),
    "join": _join,
    "until": _count,
    "untilStep": _count,
    "add": lambda *items: sum(int(item) for item in items),
    "add1": lambda item: int(item) + 1,
    "sub": lambda one, other: int(one) - int(other),
    "mul": lambda one, *more: [one := int(one) * int(item) for item in more][-1],
    "div": lambda one, other: int(int(one) / int(other)),
    "mod": lambda one, other: int(one) % int(other),
    "max": lambda *items: max(int(item) for item in items),
    "min": lambda *items: min(int(item) for item in items),
    "int": lambda value: int(value or 0),
    "int64": lambda value: int(value or 0),
    "atoi": lambda value: int(value or 0),
    "float64": lambda value: float(value or 0),
    "semverCompare": semver.compare,
    "fromYaml": helmyaml.load,
    "fromJson": json.loads,
    "b64enc": lambda text: base64.b64encode(show(text).encode()).decode(),
    "b64dec": lambda text: base64.b64decode(text).decode(),
    "sha256sum": lambda text: hashlib.sha256(show(text).encode()).hexdigest(),
    "fromYamlArray": helmyaml.load,
    "fromJsonArray": json.loads,
    "mustFromJson": json.loads,
    "base": lambda path: show(path).rstrip("/").rpartition("/")[2] or ("/" if path else "."),
    "ext": lambda path: "".join(show(path).rpartition("/")[2].rpartition(".")[1:]),
    "isAbs": lambda path: show(path).startswith("/"),
    "mustFirst": lambda items: items[0] if items else None,
    "mustLast": lambda items: items[-1] if items else None,
    "mustHas": _has,
    "mustUniq": _uniq,
    "chunk": lambda size, items: [items[at : at + size] for at in range(0, len(items), size)],
    "all": lambda *items: all(items),
    "any": lambda *items: any(items),
}
