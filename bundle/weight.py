"""What a JSON text would become in memory, told before it is parsed: its depth and its weight.

A parser turns ``{"a":1},`` into thirty times its bytes. Nothing that is written by people or
programs is like that for megabytes, so what is too heavy for its length is refused unparsed.
"""

from __future__ import annotations

import re
import sys

DEPTH = 40
"""Levels of nesting."""
ALLOWED, FREE = 5, 6_000_000
"""Bytes of memory that each byte of the text may come to, beside what any text may."""
FOREIGN = 6
"""The same of what scanners write, who are fond of objects with one key."""

_OBJECT, _LIST, _TEXT, _NUMBER, _SMALL = 192, 96, 68, 48, 20
_ROOM = {**dict.fromkeys(range(1, 6), 0), 6: 90}
_KEY, _NEW = 30, 360
"""What keys cost that an object has room for, the next one, and each after that; and a key that the
text did not have before, which CPython keeps in three tables while it parses."""
_AGAIN, _APART, _WORD = 8, 4096, 100
"""What a word costs that is a value once more; how many keys and words are told apart, and how long
they may be. Scanners' reports have the same few in a hundred thousand objects."""

FEW, BYTES_EACH = 500_000, 12
"""Events (nodes, and the ends of lists and mappings) that any YAML document may have, and how long
it is at least for each beyond these: a node is 160 bytes in memory, with its place."""
TOO_MANY = "far more small parts than a document of its length has"

# Possessive, and a string that nobody closes goes to the end: no text takes more than linear time.
_TOKEN = re.compile(r'"(?:[^"\\]++|\\.)*+(?:"[ \t\r\n]*+:?)?|[\[\]{}]|[0-9][0-9.eE+-]*+', re.DOTALL)


def events(length: int) -> int:
    """Return how many events a YAML document of ``length`` characters may make a parser tell."""
    return max(FEW, length // BYTES_EACH)


def check(text: str, allowed: int = ALLOWED) -> dict[str, str]:
    """Raise ``ValueError`` for a text that is nested too deeply or too heavy for its length.

    Returned are words that are values of keys, each once: so they were weighed, and whoever parses
    the text has to keep them so.
    """
    # With one wide character in it, a text takes up to four bytes for each.
    most = (allowed + 4) * len(text) + FREE - max(4 * len(text), sys.getsizeof(text))
    weight, is_value = 0, False
    known: dict[str, str] = {}
    words: dict[str, str] = {}
    open_ = [0]  # of each object and list that is not closed: how many keys it has
    for token in _TOKEN.finditer(text):
        start, end = token.span()
        first = text[start]
        if first == '"' and text[end - 1] == ":":
            open_[-1] += 1
            weight += _ROOM.get(open_[-1], _KEY)
            weight += 0 if _again(text, start, end, known) else _NEW
            is_value = True
            continue
        if first == '"':
            again = is_value and _again(text, start + 1, end - 1, words)
            weight += _AGAIN if again else _TEXT
        elif first in "{[":
            open_.append(0)
            _check_depth(len(open_) - 1)
            weight += _OBJECT if first == "{" else _LIST
        elif first not in "}]":
            weight += _NUMBER if end - start > 1 else _SMALL
        elif len(open_) > 1:
            open_.pop()
        is_value = False
        if weight > most:
            raise ValueError(TOO_MANY)
    return words


def share(found: dict[str, object], words: dict[str, str]) -> None:
    """Keep each of the words once in an object, as :func:`check` has weighed it."""
    for key, value in found.items():
        if type(value) is str and value in words:
            found[key] = words[value]


def _check_depth(depth: int) -> None:
    if depth > DEPTH:
        msg = f"nested deeper than {DEPTH}"
        raise ValueError(msg)


def _again(text: str, start: int, end: int, known: dict[str, str]) -> bool:
    """Whether a short piece of the text is known; else it is from now on, if there is room."""
    if end - start > _WORD:
        return False
    piece = text[start:end]
    if piece in known:
        return True
    if len(known) < _APART:
        known[piece] = piece
    return False
