"""Version constraints as templates ask for them (``semverCompare``), for Kubernetes' versions."""

from __future__ import annotations

import re
from typing import NamedTuple

_VERSION = re.compile(
    r"v?(\d{1,9})(?:\.(\d{1,9}|[xX*]))?(?:\.(\d{1,9}|[xX*]))?(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?"
)
_CONSTRAINT = re.compile(r"(=|==|!=|>=|=>|<=|=<|>|<|~|~>|\^)?\s*(v?[0-9][0-9A-Za-z.*+-]*|\*)")


class _Version(NamedTuple):
    parts: tuple[int, int, int]
    given: int
    pre: str

    @property
    def order(self) -> tuple[tuple[int, int, int], bool, tuple[tuple[int, int, str], ...]]:
        names = [
            (0, int(word), "") if word.isdecimal() else (1, 0, word)
            for word in self.pre.split(".")
            if word
        ]
        return self.parts, not self.pre, tuple(names)


def compare(constraint: str, version: str) -> bool:
    """Tell whether a version satisfies a constraint (sprig's ``semverCompare``).

    Raises ``ValueError`` for what is neither. As there, a pre-release satisfies only a constraint
    that names a pre-release itself, such as ``>=1.21-0``.
    """
    found = _parse(version)
    groups = constraint.split("||")
    return any(all(_holds(op, text, found) for op, text in _conditions(g)) for g in groups)


def _conditions(group: str) -> list[tuple[str, str]]:
    text = re.sub(r"\s+-\s+", " <= ", group) if re.search(r"\s-\s", group) else group
    if text != group:
        text = ">= " + text.strip()
    found = _CONSTRAINT.findall(text)
    if not found or _CONSTRAINT.sub("", text).strip(" ,"):
        raise ValueError("no constraint")
    return [(str(op), str(version)) for op, version in found]


def _parse(text: str) -> _Version:
    if text == "*":
        return _Version((0, 0, 0), 0, "")
    match = _VERSION.fullmatch(text.strip())
    if match is None:
        raise ValueError("no version")
    numbers = [int(part) for part in match.groups()[:3] if part and part.isdecimal()]
    given = len(numbers)
    padded = (*numbers, 0, 0, 0)
    return _Version((padded[0], padded[1], padded[2]), given, match.group(4) or "")


def _holds(op: str, text: str, version: _Version) -> bool:
    wanted = _parse(text)
    if version.pre and not wanted.pre:
        return False
    low, found = wanted.order, version.order
    if op == ">":
        return found > low if wanted.given == 3 else _cut(version, wanted) > _cut(wanted, wanted)
    if op == "<":
        return found < low
    if op in {">=", "=>"}:
        return found >= low
    if op in {"<=", "=<"}:
        return found <= low if wanted.given == 3 else _cut(version, wanted) <= _cut(wanted, wanted)
    if op == "^":
        width = 1 if wanted.parts[0] else 2 if wanted.parts[1] else 3
        return found >= low and version.parts[:width] == wanted.parts[:width]
    if op in {"~", "~>"}:
        return (
            found >= low
            and version.parts[: min(wanted.given, 2)] == wanted.parts[: min(wanted.given, 2)]
        )
    same = _cut(version, wanted) == _cut(wanted, wanted)
    same = same and (wanted.given < 3 or version.pre == wanted.pre)
    return same != (op == "!=")


def _cut(version: _Version, wanted: _Version) -> tuple[int, ...]:
    return version.parts[: wanted.given]
