"""Strict decoding of documents: JSON with nothing odd in it, and objects read field by field.

The same field reader serves the documents that people write (spec, lock, trust file) and those that
machines write (manifest): whoever calls it says how a fault is reported.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final, NoReturn, TypeVar

from bundle import weight
from bundle.digest import Digest, is_digest

Path = tuple[str | int, ...]
"""Where a value stands in a document: keys and list indexes from the top."""

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from bundle.errors import DrayError

    Fault = Callable[[Path, str, str], DrayError]
    T = TypeVar("T")

MAX_DEPTH = weight.DEPTH
MAX_INTEGER = 2**53 - 1
"""The largest integer that every JSON reader holds exactly (RFC 8259, section 6)."""
_LONGEST_NUMBER = 400
_MISSING: Final = object()


def parse_json(data: bytes, *, limit: int, foreign: bool = False, structs: bool = False) -> object:
    """Return the JSON document in ``data``, or raise ``ValueError`` with the reason.

    Refused: more than ``limit`` bytes, anything but UTF-8, duplicate keys, NaN and infinities,
    fractions, integers beyond 2**53-1, nesting deeper than 40, lone surrogates, and what would
    take far more memory than its length lets expect (:mod:`bundle.weight`). A ``foreign`` document,
    which others' programs wrote, may hold any number; it is returned as it is written. With
    ``structs`` a whole number may have a fraction, ``.0``: protobuf's ``Struct`` knows no other.
    """
    if len(data) > limit:
        msg = f"{len(data)} bytes are more than the {limit} allowed"
        raise ValueError(msg)
    text = data.decode("utf-8")
    words = weight.check(text, weight.FOREIGN if foreign else weight.ALLOWED)
    document = json.loads(
        text,
        object_pairs_hook=lambda pairs: _unique(pairs, words),
        parse_constant=_refuse_number,
        parse_float=_as_written if foreign else _whole if structs else _refuse_number,
        parse_int=_as_written if foreign else _integer,
    )
    if "\\u" in text:
        _check_surrogates(document)
    return document


def _unique(pairs: list[tuple[str, object]], words: dict[str, str]) -> dict[str, object]:
    found = dict(pairs)
    weight.share(found, words)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                msg = f"duplicate key {key[:100]!r}"
                raise ValueError(msg)
            seen.add(key)
    return found


def _refuse_number(text: str) -> NoReturn:
    msg = f"not an integer: {text[:40]}"
    raise ValueError(msg)


def _whole(text: str) -> int:
    digits = text.removesuffix(".0")
    return _integer(digits) if digits.lstrip("-").isdecimal() else _refuse_number(text)


def _as_written(text: str) -> str:
    if len(text) > _LONGEST_NUMBER:
        msg = f"a number of {len(text)} characters: {text[:40]}"
        raise ValueError(msg)
    return text


def _integer(text: str) -> int:
    if len(text) > 17 or abs(int(text)) > MAX_INTEGER:
        msg = f"integer out of range: {text[:40]}"
        raise ValueError(msg)
    return int(text)


def _check_surrogates(value: object) -> None:
    if isinstance(value, str):
        value.encode("utf-8")  # raises UnicodeEncodeError, a ValueError
    elif isinstance(value, dict):
        for key, item in value.items():
            _check_surrogates(key)
            _check_surrogates(item)
    elif isinstance(value, list):
        for item in value:
            _check_surrogates(item)


def dump_json(document: object) -> bytes:
    """Return ``document`` as people can read it and as the same bytes every time."""
    return (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode()


def compact_json(document: object) -> bytes:
    """Return ``document`` in its one compact form: sorted keys, no white space."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode()


def spell(path: Path) -> str:
    """Return a path as people write it: ``images[0].name``."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


class Key(str):
    """The last step of a path that means the key itself, not the value under it."""

    __slots__ = ()


class Fields:
    """An object being read: each field once, by type, and nothing left over.

    ``fault(path, message, hint)`` makes the exception that is raised.
    """

    def __init__(self, value: object, path: Path, fault: Fault) -> None:
        self.path = path
        self.fault = fault
        if not isinstance(value, dict):
            raise fault(path, f"must be a mapping, not {_kind(value)}", "")
        self._left: dict[str, object] = dict(value)

    def __contains__(self, key: str) -> bool:
        return key in self._left

    def wrong(self, key: str, message: str, hint: str = "") -> DrayError:
        """Return the fault for the field ``key``."""
        return self.fault((*self.path, key), message, hint)

    def raw(self, key: str, default: object = _MISSING) -> object:
        """Take a field whatever its type is."""
        value = self._left.pop(key, default)
        if value is _MISSING:
            raise self.fault(self.path, f"{key!r} is missing", "")
        return value

    def text(
        self,
        key: str,
        default: str | None = None,
        *,
        pattern: str = "",
        choices: Sequence[str] = (),
        limit: int = 4096,
    ) -> str:
        """Take a string; ``pattern`` must match all of it."""
        value = self.raw(key, _MISSING if default is None else default)
        if not isinstance(value, str):
            hint = f'write it in quotes: {key}: "{value}"' if isinstance(value, int | float) else ""
            raise self.wrong(key, f"must be text, not {_kind(value)}", hint)
        if value == default:
            return value
        if choices and value not in choices:
            raise self.wrong(key, f"is {value[:60]!r}", "allowed: " + ", ".join(choices))
        if len(value) > limit or (pattern and not re.fullmatch(pattern, value)):
            raise self.wrong(key, f"is not allowed: {value[:100]!r}", "")
        return value

    def integer(
        self, key: str, default: int | None = None, *, low: int = 0, high: int = MAX_INTEGER
    ) -> int:
        """Take an integer from ``low`` to ``high``."""
        value = self.raw(key, _MISSING if default is None else default)
        if not isinstance(value, int) or isinstance(value, bool):
            raise self.wrong(key, f"must be a whole number, not {_kind(value)}", "")
        if not low <= value <= high:
            raise self.wrong(key, f"is {value}, not from {low} to {high}", "")
        return value

    def flag(self, key: str, *, default: bool = False) -> bool:
        """Take true or false."""
        value = self.raw(key, default)
        if not isinstance(value, bool):
            raise self.wrong(key, f"must be true or false, not {_kind(value)}", "")
        return value

    def digest(self, key: str) -> Digest:
        """Take a sha256 digest."""
        value = self.raw(key)
        if not isinstance(value, str) or not is_digest(value):
            raise self.wrong(key, "must be sha256: and 64 lower-case hex digits", "")
        return Digest(value)

    def items(self, key: str, *, required: bool = False) -> Iterator[tuple[Path, object]]:
        """Take a list; each item comes with its path, which is made when it is asked for."""
        where = (*self.path, key)
        items = self._list(key, required=required)
        return (((*where, number), item) for number, item in enumerate(items))

    def _list(self, key: str, *, required: bool = False) -> list[object]:
        value = self.raw(key, _MISSING if required else [])
        if not isinstance(value, list):
            raise self.wrong(key, f"must be a list, not {_kind(value)}", "")
        return value

    def objects(self, key: str, *, required: bool = False) -> Iterator[Fields]:
        """Take a list of objects."""
        for path, item in self.items(key, required=required):
            yield Fields(item, path, self.fault)

    def texts(self, key: str, *, pattern: str = "") -> tuple[str, ...]:
        """Take a list of strings."""
        found: list[str] = []
        for number, item in enumerate(self._list(key)):
            if not isinstance(item, str):
                message = f"must be text, not {_kind(item)}"
                raise self.fault((*self.path, key, number), message, "")
            if len(item) > 4096 or (pattern and not re.fullmatch(pattern, item)):
                message = f"is not allowed: {item[:100]!r}"
                raise self.fault((*self.path, key, number), message, "")
            found.append(item)
        return tuple(found)

    def child(self, key: str) -> Fields:
        """Take an object; a missing one reads as empty."""
        return Fields(self.raw(key, {}), (*self.path, key), self.fault)

    def mapping(self, key: str) -> Mapping[str, str]:
        """Take an object whose values are all strings."""
        inner = self.child(key)
        return {name: inner.text(name) for name in list(inner.names())}

    def names(self) -> list[str]:
        """The fields that were not taken yet."""
        return list(self._left)

    def done(self, known: Sequence[str] = ()) -> None:
        """Refuse what was not taken; ``known`` helps the hint."""
        for key in self._left:
            near = _nearest(key, known)
            hint = f"did you mean {near!r}?" if near else ""
            if known and not near:
                hint = "known here: " + ", ".join(sorted(known))
            raise self.wrong(Key(key), "is not a known key", hint)


def _nearest(key: str, known: Sequence[str]) -> str:
    import difflib  # noqa: PLC0415  (only on the way out)

    close = difflib.get_close_matches(key, known, n=1)
    return close[0] if close else ""


def _kind(value: object) -> str:
    names = {
        dict: "a mapping",
        list: "a list",
        str: "text",
        bool: "true or false",
        type(None): "nothing",
    }
    # Spelt for numbers only: a text may be of megabytes.
    return names.get(type(value)) or f"the number {value!r}"[:60]
