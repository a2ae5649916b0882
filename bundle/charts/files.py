"""The files of a chart as templates see them: ``.Files``, and what ``.Files.Glob`` leaves of it."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, Final

from bundle.charts import helmyaml

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_OWN: Final = frozenset(
    {
        "Chart.yaml",
        "Chart.lock",
        "values.yaml",
        "values.schema.json",
        "requirements.yaml",
        "requirements.lock",
    }
)
LONGEST: Final = 400
"""Characters of a pattern: matching takes their number times that of a path's."""
MOST: Final = 64
"""Patterns that braces may stand for."""


class Files(dict[str, str]):
    """Texts by path; a method of Helm's ``Files`` is what a template finds under its name."""

    @classmethod
    def of(cls, files: Mapping[str, bytes]) -> Files:
        """Return a chart's files without its templates and what describes it."""
        return cls(
            (path, data.decode(errors="replace"))
            for path, data in sorted(files.items())
            if path not in _OWN and not path.startswith(("templates/", "charts/"))
        )

    def method(self, name: str) -> Any:
        """Return a method by its name, or nothing."""
        known: dict[str, Callable[..., Any]] = {
            "Get": lambda path: self.get(path, ""),
            "GetBytes": lambda path: self.get(path, ""),
            "Lines": lambda path: self.get(path, "").splitlines(),
            "Glob": self.glob,
            "AsConfig": self.as_config,
            "AsSecrets": self.as_secrets,
        }
        return known.get(name)

    def glob(self, pattern: str) -> Files:
        """Return the files whose path matches; raise ``ValueError`` for what is no pattern."""
        found = [_tokens(plain) for plain in _braces(pattern)]
        return Files(
            (path, text)
            for path, text in self.items()
            if any(_matches(tokens, path) for tokens in found)
        )

    def as_config(self) -> str:
        """Return the texts by the last step of their paths, as the data of a ConfigMap."""
        named = {path.rpartition("/")[2]: text for path, text in self.items()}
        return helmyaml.dump(named) if named else ""

    def as_secrets(self) -> str:
        """Return the same for a Secret."""
        named = {path.rpartition("/")[2]: text.encode() for path, text in self.items()}
        coded = {name: base64.b64encode(data).decode() for name, data in named.items()}
        return helmyaml.dump(coded) if coded else ""


def _braces(pattern: str) -> list[str]:
    """Return the patterns without braces that ``a{b,c}`` stands for."""
    if len(pattern) > LONGEST:
        raise ValueError("a pattern that is too long")
    found, done = [pattern], list[str]()
    while found:
        head, brace, rest = found.pop().partition("{")
        inner, closed, tail = rest.partition("}")
        if brace and (not closed or "{" in inner):
            raise ValueError("braces in a pattern")
        if not brace:
            done.append(head)
        else:
            found += [head + part + tail for part in inner.split(",")]
        if len(found) + len(done) > MOST:
            raise ValueError("a pattern for too many")
    return done


def _tokens(pattern: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    letters = iter(pattern.replace("**", "\0"))
    for letter in letters:
        if letter in "*?\0":
            found.append((letter, ""))
        elif letter == "[":
            found.append(("[", _class(letters)))
        elif letter == "\\":
            found.append(("=", next(letters, "")))
        else:
            found.append(("=", letter))
    return found


def _class(letters: Iterator[str]) -> str:
    inner = ""
    for letter in letters:
        if letter == "]":
            return inner
        inner += letter
    raise ValueError("a class that nothing closes")


def _matches(tokens: list[tuple[str, str]], path: str) -> bool:
    """Follow all readings of a pattern at once: no pattern takes long."""
    states = _rest({0}, tokens)
    for letter in path:
        following: set[int] = set()
        for state in states:
            if state == len(tokens):
                continue
            kind, text = tokens[state]
            if kind == "\0" or (kind == "*" and letter != "/"):
                following.add(state)
            elif kind != "*" and _one(kind, text, letter):
                following.add(state + 1)
        states = _rest(following, tokens)
    return len(tokens) in states


def _rest(states: set[int], tokens: list[tuple[str, str]]) -> set[int]:
    """Add the states that stars lead to without a letter."""
    for state in sorted(states):
        at = state
        while at < len(tokens) and tokens[at][0] in "*\0":
            at += 1
            states.add(at)
    return states


def _one(kind: str, text: str, letter: str) -> bool:
    if kind == "=":
        return letter == text
    if kind == "?":
        return letter != "/"
    negated = text.startswith("!")
    inside, at, text = False, 0, text.removeprefix("!")
    while at < len(text):
        if text[at + 1 : at + 2] == "-" and at + 2 < len(text):
            inside, at = inside or text[at] <= letter <= text[at + 2], at + 3
        else:
            inside, at = inside or text[at] == letter, at + 1
    return inside is not negated
