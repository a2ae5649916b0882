"""Licences: SPDX expressions judged by lists of names, and where documents state them.

Source: SPDX 2.3, annex D "SPDX license expressions"; CycloneDX 1.6, ``licenses``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from bundle.gate import cyclonedx
from bundle.gate.pattern import matches

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bundle.gate.foreign import Node

_TOKEN = re.compile(r"\s*(\(|\)|[A-Za-z0-9.:+_-]+)")
_NONE = frozenset({"", "NOASSERTION", "NONE"})
_DEEPEST = 50


@dataclass(frozen=True, slots=True)
class Declared:
    """The licence of one package, or of the artifact itself; ``expression`` empty: not known."""

    package: str
    expression: str
    source: str


def is_one(document: Node) -> bool:
    """Whether a document is an SBOM in SPDX 2."""
    return "spdxVersion" in document


def declared(document: Node) -> Iterator[Declared]:
    """Yield the licences of an SBOM's packages; raise :class:`bundle.gate.foreign.Unreadable`."""
    if not is_one(document):
        yield from _components(document)
        return
    for package in document.objects("packages"):
        if package.text("primaryPackagePurpose") in {"CONTAINER", "FILE"}:
            continue
        concluded, said = (
            package.text(key, limit=1 << 16) for key in ("licenseConcluded", "licenseDeclared")
        )
        chosen = said if concluded in _NONE else concluded
        yield Declared(_named(package, "versionInfo"), "" if chosen in _NONE else chosen, "spdx")


def _components(document: Node) -> Iterator[Declared]:
    for one in cyclonedx.components(document):
        if one.text("type") in {"operating-system", "file", "container"}:
            continue
        parts = []
        for choice in one.objects("licenses"):
            about = choice.child("license")
            parts.append(choice.text("expression") or about.text("id") or about.text("name"))
        known = [part for part in parts if part not in _NONE]
        # Several stand side by side: whoever does not say which may be chosen gets all of them.
        text = known[0] if len(known) == 1 else " AND ".join(_grouped(part) for part in known)
        yield Declared(_named(one, "version"), text, "cyclonedx")


def _grouped(part: str) -> str:
    return f"({part})" if " " in part else part


def _named(package: Node, version: str) -> str:
    return f"{package.text('name')} {package.text(version)}".strip()


def permits(expression: str, allow: Sequence[str], deny: Sequence[str]) -> bool:
    """Whether an expression can be kept under lists of names: any choice of an OR, all of an AND.

    ``X WITH Y`` counts as allowed or denied as ``X`` does, unless its whole is listed. What is no
    expression is taken for one name.
    """
    tokens = _tokens(expression)
    if tokens:
        try:
            return _Reader(tokens, tuple(allow), tuple(deny)).all()
        except ValueError:
            pass
    return _leaf(expression.strip(), tuple(allow), tuple(deny))


def _tokens(expression: str) -> list[str]:
    found, place = [], 0
    text = expression.rstrip()
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            return []
        found.append(match[1])
        place = match.end()
    return found


@lru_cache(256)  # the packages of an image have a few licences between them
def _leaf(name: str, allow: tuple[str, ...], deny: tuple[str, ...]) -> bool:
    base = re.split(r"\s+WITH\s+", name, maxsplit=1, flags=re.IGNORECASE)[0]
    if base != name and (_listed(name, deny) or _listed(name, allow)):
        return not _listed(name, deny)
    if _listed(base, deny):
        return False
    return not allow or _listed(base, allow)


def _listed(name: str, patterns: Sequence[str]) -> bool:
    return any(matches(pattern.lower(), name.lower()) for pattern in patterns)


class _Reader:
    """Reads an expression from left to right; AND binds closer than OR."""

    def __init__(self, tokens: list[str], allow: tuple[str, ...], deny: tuple[str, ...]) -> None:
        self.tokens, self.allow, self.deny = tokens, allow, deny
        self.place = self.depth = 0

    def all(self) -> bool:
        found = self.either()
        if self.place != len(self.tokens):
            raise ValueError
        return found

    def either(self) -> bool:
        found = self.both()
        while self.take("OR"):
            found = self.both() or found
        return found

    def both(self) -> bool:
        found = self.one()
        while self.take("AND"):
            found = self.one() and found
        return found

    def one(self) -> bool:
        token = self.next()
        if token == "(":  # noqa: S105  (a bracket)
            self.depth += 1
            if self.depth > _DEEPEST:
                raise ValueError
            found = self.either()
            self.depth -= 1
            if self.next() != ")":
                raise ValueError
            return found
        if token.upper() in {")", "AND", "OR", "WITH"}:
            raise ValueError
        if self.take("WITH"):
            token = f"{token} WITH {self.next()}"
        return _leaf(token, self.allow, self.deny)

    def next(self) -> str:
        if self.place >= len(self.tokens):
            raise ValueError
        self.place += 1
        return self.tokens[self.place - 1]

    def take(self, word: str) -> bool:
        if self.place < len(self.tokens) and self.tokens[self.place].upper() == word:
            self.place += 1
            return True
        return False
