"""Changes to documents as documents: what bytes alone hardly ever do without breaking the form.

JSON, and rows of JSON: keys dropped, doubled, renamed, values exchanged for other values of the
same document or for ones at the edge of what is allowed. What is no JSON is left to the fuzzer.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

EDGES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2**31, 2**53 - 1, 2**53, 2**64, 0.5, [], {}, [[]], [None]),
    *("", "a", "0", "/", "..", "a/b", "../a", "A", "~", "a\x1b[31m", "a\nb", "\ud800", "\u202e"),
    *("2026-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "https://[::1", "nvcr.io/a:b", "a@b"),
    *("a" * 300, "sha256:" + "0" * 64, {"": None}, [[[[[[[[]]]]]]]]),
)


class _Twice(str):
    """A key that stands twice: a text of its own, so that a mapping holds both."""

    __slots__ = ()

    def __hash__(self) -> int:
        return id(self)

    def __eq__(self, other: object) -> bool:
        return self is other


def mutate(data: bytes, source: random.Random) -> bytes | None:
    """Return the document after one to four changes, or nothing where it is none."""
    lines = data.split(b"\n") if data.count(b"\n{") else [data]
    at = source.randrange(len(lines))
    try:
        document = json.loads(lines[at])
    except (ValueError, RecursionError):
        return None
    for _ in range(source.randint(1, 4)):
        document = _changed(document, source)
    lines[at] = json.dumps(document, ensure_ascii=bool(source.getrandbits(1))).encode(
        "utf-8", "surrogatepass"
    )
    return b"\n".join(lines)


def _changed(document: Any, source: random.Random) -> Any:
    places = list(_places(document))
    if not places:
        return source.choice(EDGES)
    where, key = source.choice(places)
    match source.randrange(7):
        case 0:
            del where[key]
        case 1:
            where[key] = _copy(source.choice(EDGES))
        case 2 | 3:
            other, there = source.choice(places)
            where[key] = _copy(other[there])
        case 4 if isinstance(where, dict):
            where[_Twice(key)] = _copy(where[key])
        case 5 if isinstance(where, dict):
            where[f"{source.choice(places)[1]}"] = where.pop(key)
        case 6 if isinstance(where, list):
            where.extend([_copy(where[key]) for _ in range(source.choice((1, 1, 2, 100)))])
        case _:
            where[key] = _nudged(where[key], source)
    return document


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    if not isinstance(value, dict | list):
        return
    for key, item in list(value.items() if isinstance(value, dict) else enumerate(value)):
        yield value, key
        yield from _places(item)


def _copy(value: Any) -> Any:
    return json.loads(json.dumps(value))


def _nudged(value: Any, source: random.Random) -> Any:
    if isinstance(value, bool | None):
        return not value
    if isinstance(value, int | float):
        return source.choice((value + 1, value - 1, -value, value * 512, str(value)))
    if isinstance(value, str):
        at = source.randrange(len(value) + 1)
        more = source.choice(("", "/", ".", "\0", " ", "é", ":", "@", "-", "a", "0", "\\", value))
        return value[:at] + more + value[at + source.randrange(2) :]
    return [value]
