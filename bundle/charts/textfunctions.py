"""Helm's functions on text: trimming, casing, splitting, printing."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from bundle.charts.engine import show

if TYPE_CHECKING:
    from collections.abc import Callable

LIMIT: Final = 1 << 20
"""Characters that one function may make."""
_VERB = re.compile(r"%(?:%|[-+# 0]*[0-9]{0,2}(?:\.[0-9]{1,2})?([svdqtfxgT]))")


def indent(count: int, text: object) -> str:
    """Put ``count`` spaces before every line."""
    if not 0 <= count <= 200:
        raise ValueError("indent")
    return "\n".join(" " * count + line for line in show(text).split("\n"))


def quoted(value: object) -> str:
    """Return a value in double quotes."""
    return json.dumps(show(value), ensure_ascii=False)


def printf(pattern: str, *values: Any) -> str:
    """Format as Go does, for the verbs that charts use."""
    left = list(values)

    def verb(match: re.Match[str]) -> str:
        kind = match.group(1)
        if kind is None:
            return "%"
        value = left.pop(0)
        if kind == "q":
            return quoted(value)
        if kind in {"d", "f", "x", "g"}:
            return str(match.group() % value)
        return show(value)

    found = _VERB.sub(verb, pattern)
    if left:
        raise ValueError("more values than verbs")
    return found


def _trunc(count: int, text: str) -> str:
    return text[count:] if count < 0 else text[:count]


def _repeat(count: int, text: str) -> str:
    if count * len(text) > LIMIT:
        raise ValueError("too long")
    return text * count


def _split(separator: str, text: str) -> dict[str, str]:
    return {f"_{number}": part for number, part in enumerate(text.split(separator))}


def _replace(old: str, new: str, text: str) -> str:
    found = text.replace(old, new)
    if len(found) > LIMIT:
        raise ValueError("too long")
    return found


def _camel(text: str) -> str:
    return "".join(part[:1].upper() + part[1:] for part in re.split(r"[-_ ]", text))


def _kebab(text: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[_ ]+", "-", text).lower()


TABLE: Final[dict[str, Callable[..., Any]]] = {
    "printf": printf,
    "println": lambda *values: " ".join(show(value) for value in values) + "\n",
    "cat": lambda *values: " ".join(show(value) for value in values if value not in (None, "")),
    "upper": lambda text: show(text).upper(),
    "lower": lambda text: show(text).lower(),
    "title": lambda text: re.sub(r"\b[a-z]", lambda found: found.group().upper(), show(text)),
    "untitle": lambda text: show(text)[:1].lower() + show(text)[1:],
    "camelcase": lambda text: _camel(show(text)),
    "kebabcase": lambda text: _kebab(show(text)),
    "snakecase": lambda text: _kebab(show(text)).replace("-", "_"),
    "nospace": lambda text: "".join(show(text).split()),
    "trim": lambda text: show(text).strip(),
    "trimAll": lambda letters, text: show(text).strip(letters),
    "trimPrefix": lambda prefix, text: show(text).removeprefix(prefix),
    "trimSuffix": lambda suffix, text: show(text).removesuffix(suffix),
    "trunc": lambda count, text: _trunc(count, show(text)),
    "substr": lambda start, end, text: show(text)[start : end if end >= 0 else None],
    "replace": lambda old, new, text: _replace(old, new, show(text)),
    "repeat": lambda count, text: _repeat(count, show(text)),
    "contains": lambda part, text: part in show(text),
    "hasPrefix": lambda prefix, text: show(text).startswith(prefix),
    "hasSuffix": lambda suffix, text: show(text).endswith(suffix),
    "split": lambda separator, text: _split(separator, show(text)),
    "splitList": lambda separator, text: show(text).split(separator),
    "splitn": lambda separator, count, text: {
        f"_{number}": part for number, part in enumerate(show(text).split(separator, count - 1))
    },
    "toStrings": lambda items: [show(item) for item in items],
}
