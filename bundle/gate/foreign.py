"""JSON that others' programs wrote: bounded, read by type where it is used, passed over elsewhere.

A field of another type than its format says is a fault: a report that is half understood would let
through what it lists. ``null`` and a missing field are the same, as Go's programs write them.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bundle.decode import parse_json, spell
from bundle.errors import GateRefused

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bundle.decode import Path

LIMIT = 64 << 20
"""Bytes of a document: reports about images of 20 GB have some 20 MB."""
MOST = 200_000
"""Rows of one list."""
_NONE: frozenset[str] = frozenset()
"""The one that a hundred thousand rows share."""
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_MOMENT = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]([0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.[0-9]{1,12})?"
    r"\s?(Z|z|[+-][0-9]{2}:?[0-9]{2})?"
)


class Unreadable(GateRefused):
    """A report, a VEX document or an SBOM that cannot be read, and so says nothing."""

    usual_hint = "have it made again; a gate does not pass on what it cannot read"


class Node:
    """An object of a foreign document; ``what`` names the document in messages."""

    def __init__(self, value: object, path: Path, what: str) -> None:
        self.path, self.what = path, what
        if not isinstance(value, dict):
            raise self.fault("is no object")
        self._all: dict[str, object] = value

    def __contains__(self, key: str) -> bool:
        return self._all.get(key) is not None

    def fault(self, message: str, *more: str | int) -> Unreadable:
        """Return the error about this object, or about what ``more`` leads to."""
        place = spell((*self.path, *more))
        return Unreadable(f"{self.what}: {place} {message}" if place else f"{self.what} {message}")

    def text(self, key: str, *, limit: int = 2048) -> str:
        """Return a text, or a number as it is written; empty when it is not there."""
        value = self._all.get(key)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise self.fault("is no text", key)
        if len(value) > limit:
            raise self.fault(f"is longer than {limit} characters", key)
        return value

    def need(self, key: str, *, limit: int = 512) -> str:
        """Return a text that must be there."""
        if not (value := self.text(key, limit=limit)):
            raise self.fault("is missing", key)
        return value

    def flag(self, key: str, *, default: bool) -> bool:
        """Return true or false."""
        value = self._all.get(key)
        if value is not None and not isinstance(value, bool):
            raise self.fault("is neither true nor false", key)
        return default if value is None else value

    def is_list(self, key: str) -> bool:
        """Whether a field is a list."""
        return isinstance(self._all.get(key), list)

    def is_text(self, key: str) -> bool:
        """Whether a field is a text."""
        return isinstance(self._all.get(key), str)

    def child(self, key: str) -> Node:
        """Return an object; a missing one reads as empty."""
        value = self._all.get(key)
        return Node({} if value is None else value, (*self.path, key), self.what)

    def items(self, key: str) -> Iterator[tuple[Path, object]]:
        """Yield the items of a list, each with its path; a missing list is empty."""
        value = self._all.get(key)
        if value is None:
            return
        if not isinstance(value, list):
            raise self.fault("is no list", key)
        if len(value) > MOST:
            raise self.fault(f"has more than {MOST} rows", key)
        for number, item in enumerate(value):
            yield (*self.path, key, number), item

    def objects(self, key: str) -> Iterator[Node]:
        """Yield the objects of a list."""
        for path, item in self.items(key):
            yield Node(item, path, self.what)

    def texts(self, key: str) -> tuple[str, ...]:
        """Return the texts of a list."""
        found = [item for _path, item in self.items(key)]
        if not all(isinstance(item, str) and len(item) <= 2048 for item in found):
            raise self.fault("holds what is no text", key)
        return tuple(str(item) for item in found)

    def moment(self, key: str) -> datetime | None:
        """Return a moment (RFC 3339), None when it is not there."""
        return when(text, self, key) if (text := self.text(key)) else None


def when(text: str, node: Node, key: str) -> datetime:
    """Return the moment that a text spells; what has no zone is taken for UTC."""
    match = _MOMENT.fullmatch(text.strip())
    try:
        if match is None:
            raise ValueError
        zone = (match[3] or "Z").upper().replace("Z", "+00:00")
        return datetime.fromisoformat(f"{match[1]}T{match[2]}{zone}").astimezone(UTC)
    except (ValueError, OverflowError):
        raise node.fault(f"is no moment: {text[:40]!r}", key) from None


def read(data: bytes, what: str) -> Node:
    """Return the document in ``data``; raise :class:`Unreadable`."""
    try:
        return Node(parse_json(data, limit=LIMIT, foreign=True), (), what)
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"{what} is no JSON that can be read: {error}") from None


def digests(*texts: str) -> frozenset[str]:
    """Return every digest that stands in ``texts``, in purls too."""
    found: frozenset[str] = _NONE
    for text in texts:
        if "sha256" in text:
            found |= set(_DIGEST.findall(text.replace("%3A", ":").replace("%3a", ":")))
    return found
