"""What a JSON text would become in memory, told before it is parsed: its depth and its weight.

A parser turns ``{"a":1},`` into thirty times its bytes. Nothing that is written by people or
programs is like that for megabytes, so what is too heavy for its length is refused unparsed.
"""

from __future__ import annotations

import re

DEPTH = 40
"""Levels of nesting."""
ALLOWED, FREE = 10, 6_000_000
"""Bytes of memory that each byte of the text may come to, beside what any text may."""

_OBJECT, _LIST, _TEXT, _NUMBER = 232, 130, 60, 36
_KEY, _KEYS, _NEW_KEY = 60, 16, 300
"""Bytes of a key, and of one behind the first sixteen of an object: those are hardly ever known
from the object before, and CPython keeps each in three tables while it parses."""

FEW, BYTES_EACH = 500_000, 10
"""Events (nodes, and the ends of lists and mappings) that any YAML document may have, and how long
it is at least for each beyond these: a node is 160 bytes in memory, with its place."""
TOO_MANY = "far more small parts than a document of its length has"

# Possessive, and a string that nobody closes goes to the end: no text takes more than linear time.
_TOKEN = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[\[\]{}:]|[0-9][0-9.eE+-]*+', re.DOTALL)
_COSTS = {"{": _OBJECT, "[": _LIST, '"': _TEXT}


def events(length: int) -> int:
    """Return how many events a YAML document of ``length`` characters may make a parser tell."""
    return max(FEW, length // BYTES_EACH)


def check(text: str) -> None:
    """Raise ``ValueError`` for a text that is nested too deeply or too heavy for its length."""
    allowed, weight, keys = ALLOWED * len(text) + FREE, 0, [0]
    for token in _TOKEN.finditer(text):
        first = text[token.start()]
        if first in "{[":
            if len(keys) > DEPTH:
                msg = f"nested deeper than {DEPTH}"
                raise ValueError(msg)
            keys.append(0)
        elif first in "}]":
            if len(keys) > 1:
                keys.pop()
            continue
        elif first == ":":
            keys[-1] += 1
            weight += _KEY if keys[-1] <= _KEYS else _NEW_KEY
            continue
        weight += _COSTS.get(first, _NUMBER)
        if weight > allowed:
            raise ValueError(TOO_MANY)
