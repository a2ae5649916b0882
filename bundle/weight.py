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

_OBJECT, _LIST, _TEXT, _NUMBER = 212, 120, 60, 36
_KNOWN, _NEW, _KEYS = 14, 360, 4096
"""Bytes of a key that the text had before (an object has room for five), and of a new one, which
CPython keeps in three tables while it parses; and how many keys are told apart. Scanners' reports
have the same few keys in a hundred thousand objects."""

FEW, BYTES_EACH = 500_000, 10
"""Events (nodes, and the ends of lists and mappings) that any YAML document may have, and how long
it is at least for each beyond these: a node is 160 bytes in memory, with its place."""
TOO_MANY = "far more small parts than a document of its length has"

# Possessive, and a string that nobody closes goes to the end: no text takes more than linear time.
_TOKEN = re.compile(r'"(?:[^"\\]++|\\.)*+(?:"[ \t\r\n]*+:?)?|[\[\]{}]|[0-9][0-9.eE+-]*+', re.DOTALL)
_COSTS = {"{": _OBJECT, "[": _LIST, '"': _TEXT}


def events(length: int) -> int:
    """Return how many events a YAML document of ``length`` characters may make a parser tell."""
    return max(FEW, length // BYTES_EACH)


def check(text: str) -> None:
    """Raise ``ValueError`` for a text that is nested too deeply or too heavy for its length."""
    allowed, weight, depth = ALLOWED * len(text) + FREE, 0, 0
    known: set[str] = set()
    for token in _TOKEN.finditer(text):
        said = token.group()
        first = said[0]
        if first in "{[":
            depth += 1
            if depth > DEPTH:
                msg = f"nested deeper than {DEPTH}"
                raise ValueError(msg)
        elif first in "}]":
            depth -= 1
            continue
        elif said[-1] == ":" and first == '"':
            weight += _KNOWN if said in known else _NEW
            if len(known) < _KEYS:
                known.add(said)
            continue
        weight += _COSTS.get(first, _NUMBER)
        if weight > allowed:
            raise ValueError(TOO_MANY)
