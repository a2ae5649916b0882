"""Reads one file of another tool: which tool's it is, its documents, and its comments."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bundle import strictyaml
from bundle.errors import UsageError
from bundler.adopt import aicr, hauler
from bundler.adopt.found import Finding, Place

if TYPE_CHECKING:
    from bundle.strictyaml import Document
    from bundler.adopt.found import Found

LIMIT: Final = 4 << 20
"""Bytes of a list: about 40,000 images."""
HINT: Final = "take manifests of Hauler (Images, Charts), or `aicr mirror list --format yaml`"
_COMMENT: Final = re.compile(r"(?:^|[ \t])#[ \t]*(.*?)[ \t\r]*$")
_WARNING: Final = re.compile(
    r"\b(?:warn(?:ing)?s?|errors?|fail(?:ed|ure|s)?|skip(?:ped|ping)?|missing|incomplete"
    r"|omit(?:ted|s)?|todo|fixme|unknown|could not|cannot|unable)\b",
    re.IGNORECASE,
)
"""Words of a comment that speaks of something that is not as it should be."""


@dataclass(frozen=True, slots=True)
class Comment:
    """A comment of a file, without its sign."""

    place: Place
    text: str


def read(data: bytes, name: str, found: Found) -> list[Comment]:
    """Take what a file names; return its comments, those that warn among the findings too.

    Raises :class:`UsageError` with file, line and column for what is none of the known lists.
    """
    documents = strictyaml.parse_all(data, name=name, limit=LIMIT)
    if not documents:
        raise UsageError(f"{name} is empty", hint=HINT)
    for document in documents:
        _document(document, found)
    comments = list(_comments(data.decode(), name))
    found.findings += [
        Finding(comment.place, f"a comment says: {comment.text}")
        for comment in comments
        if _WARNING.search(comment.text)
    ]
    return comments


def _document(document: Document, found: Found) -> None:
    value = document.value
    if hauler.is_hauler(value):
        hauler.read(document, found)
    elif aicr.is_aicr(value):
        aicr.read(document, found)
    else:
        kind = value.get("kind") if isinstance(value, dict) else None
        what = f"a {kind[:60]!r}" if isinstance(kind, str) else "no list that is known here"
        raise document.fault((), f"this is {what}", HINT)


def _comments(text: str, name: str) -> list[Comment]:
    # By lines, for the parser drops them. A sign inside quotes is taken for one too: what is kept
    # in a comment too many does no harm.
    found = []
    for number, line in enumerate(text.split("\n"), 1):
        if (match := _COMMENT.search(line)) and match[1]:
            found.append(Comment(Place(name, number), match[1]))
    return found
