"""Patterns for image tags: comparisons of the numbers in a tag, and globs.

A pattern is one or more terms with commas between them; a tag has to match every term.

``>=24.12-py3``
    A comparison: ``>=``, ``>``, ``<=``, ``<``, ``=`` or ``!=``, then a version. A version is
    numbers with dots between them, and what stands around them: in ``v25.3.0-base-ubuntu22.04``
    the numbers are 25, 3 and 0, the prefix is ``v``, the suffix ``-base-ubuntu22.04``. Numbers
    compare as numbers, one by one; missing ones are 0: ``<26`` refuses 26.01 and takes 25.12.
``24.*-py3``
    A glob: ``*`` is any number of characters and ``?`` is one.
``24.12-py3``
    The tag itself.

Prefix and suffix are never compared. They must be exactly those of the comparisons; comparisons
that write none go by the others. So ``>=24.12-py3, <26`` takes 25.01-py3 and neither 25.01 nor
25.01-py3-igpu. When no comparison writes one, the tag has none, or what a glob beside them says.
Tags that signing tools make (``sha256-<hex>`` and ``sha256-<hex>.sig``) match no pattern.
"""

from __future__ import annotations

import fnmatch
import operator
import re
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING

from bundle.artifact import TAG

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_OPERATORS: dict[str, Callable[[int, int], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
    "=": operator.eq,
}
_TERM = re.compile(r"(>=|<=|!=|>|<|=)?\s*([A-Za-z0-9_.*?-]+)")
_VERSION = re.compile(r"([A-Za-z]{0,20})([0-9]{1,18}(?:\.[0-9]{1,18}){0,9})((?:\.?[^0-9.].*)?)")
_SIGNING = re.compile(r"sha256-[0-9a-f]{64}(?:\..*)?")
_PIECE = re.compile(r"[0-9]+|[^0-9]+")


@dataclass(frozen=True, slots=True)
class Version:
    """A tag as a version: its numbers, and what stands before and after them."""

    prefix: str
    numbers: tuple[int, ...]
    suffix: str

    @classmethod
    def of(cls, tag: str) -> Version | None:
        """Return the version that ``tag`` is, or nothing when there is none in it."""
        match = _VERSION.fullmatch(tag)
        if not match:
            return None
        numbers = tuple(int(number) for number in match[2].split("."))
        return cls(match[1], numbers, match[3])


def compare(left: tuple[int, ...], right: tuple[int, ...]) -> int:
    """Return -1, 0 or 1 as ``left`` is less than, equal to or more than ``right``."""
    for one, other in zip_longest(left, right, fillvalue=0):
        if one != other:
            return -1 if one < other else 1
    return 0


@dataclass(frozen=True, slots=True)
class Comparison:
    """An operator and the numbers that a tag's are compared with."""

    operator: str
    numbers: tuple[int, ...]

    def holds(self, numbers: tuple[int, ...]) -> bool:
        """Whether ``numbers`` stand in this relation."""
        return _OPERATORS[self.operator](compare(numbers, self.numbers), 0)


@dataclass(frozen=True, slots=True)
class TagPattern:
    """A pattern that was read by :meth:`parse`."""

    text: str
    comparisons: tuple[Comparison, ...]
    globs: tuple[re.Pattern[str], ...]
    prefix: str | None
    suffix: str | None

    @classmethod
    def parse(cls, text: str) -> TagPattern:
        """Return the pattern that ``text`` is; raise ``ValueError`` with the reason if none."""
        comparisons: list[Comparison] = []
        globs: list[re.Pattern[str]] = []
        versions: list[Version] = []
        if len(text) > 500:
            raise ValueError("longer than 500 characters")
        for term in text.split(","):
            match = _TERM.fullmatch(term.strip())
            if not match:
                raise ValueError(_reason(term.strip()))
            sign, word = match.groups()
            if sign is None:
                globs.append(re.compile(fnmatch.translate(word)))  # atomic groups: never slow
                continue
            version = Version.of(word)
            if version is None or not re.fullmatch(TAG, word):  # a tag, so with no * in it
                msg = f"{term.strip()[:60]!r} compares with no version such as 24.12"
                raise ValueError(msg)
            versions.append(version)
            comparisons.append(Comparison(sign, version.numbers))
        prefix = _agreed("prefix", {version.prefix for version in versions}, free=bool(globs))
        suffix = _agreed("suffix", {version.suffix for version in versions}, free=bool(globs))
        return cls(text, tuple(comparisons), tuple(globs), prefix, suffix)

    def matches(self, tag: str) -> bool:
        """Whether ``tag`` is one of those that the pattern means."""
        if not re.fullmatch(TAG, tag) or _SIGNING.fullmatch(tag):
            return False
        if not all(glob.fullmatch(tag) for glob in self.globs):
            return False
        if not self.comparisons:
            return True
        version = Version.of(tag)
        if version is None:
            return False
        around = (self.prefix, version.prefix), (self.suffix, version.suffix)
        return all(wanted is None or wanted == has for wanted, has in around) and all(
            comparison.holds(version.numbers) for comparison in self.comparisons
        )

    @property
    def matches_all(self) -> bool:
        """Whether nothing is left out but what signing tools made."""
        return set(self.text) <= set("*, ")

    def select(self, tags: Iterable[str]) -> list[str]:
        """Return the tags that match, each once, oldest version first (see :func:`order`)."""
        return sorted({tag for tag in tags if self.matches(tag)}, key=order)


def _reason(term: str) -> str:
    if not term:
        return "a term is missing beside a comma"
    if "||" in term or " " in term:
        return f"{term[:60]!r} is not one term: separate terms that all must match by commas"
    return f"{term[:60]!r} is neither a comparison such as >=24.12-py3 nor a glob such as 24.*-py3"


def _agreed(what: str, found: set[str], *, free: bool) -> str | None:
    written = sorted(found - {""})
    if len(written) > 1:
        msg = f"no tag has both the {what} {written[0][:40]!r} and the {what} {written[1][:40]!r}"
        raise ValueError(msg)
    if written:
        return written[0]
    return None if free else ""


def order(tag: str) -> tuple[object, ...]:
    """Return a sort key: by version, then prefix, suffix, spelling; tags without version first."""
    version = Version.of(tag)
    if version is None:
        return (0, (), "", (), tag)
    numbers = version.numbers
    while numbers and numbers[-1] == 0:
        numbers = numbers[:-1]
    return (1, numbers, version.prefix, _pieces(version.suffix), tag)


def _pieces(text: str) -> tuple[tuple[int, int, str], ...]:
    """Return text so that the numbers in it sort as numbers: rc.2 before rc.10."""
    found: list[tuple[int, int, str]] = []
    for piece in _PIECE.findall(text):
        digits = piece.lstrip("0")
        found.append((0, len(digits), digits) if piece[0] in "0123456789" else (1, 0, piece))
    return tuple(found)
