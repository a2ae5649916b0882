"""A spec of what was found: each line with its source, and every comment and warning kept."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bundle.errors import UsageError
from bundle.options import shown
from bundler import spec, starter

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bundler.adopt.files import Comment
    from bundler.adopt.found import Chart, Found, Image, Place

_PLAIN: Final = re.compile(r"[A-Za-z][A-Za-z0-9./_:@+-]*[A-Za-z0-9/]")
_LINE: Final = 4000
"""Characters of a comment: what is longer is the output of another program, and ends here."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What the person says besides: the stream, the platforms, why the warnings are accepted."""

    stream: str
    platforms: Sequence[str] = ()
    accepted: str = ""


@dataclass(frozen=True, slots=True)
class _Entry:
    """An entry of the spec, and where the lists have it."""

    places: Sequence[Place]
    notes: Sequence[str]
    text: str

    @classmethod
    def of(cls, same: Sequence[Image] | Sequence[Chart], text: str) -> _Entry:
        """Return the entry for what stands in several places."""
        notes = [f"{item.place} {item.why}".rstrip() for item in same]
        return cls([item.place for item in same], notes, text)


def text(found: Found, comments: Sequence[Comment], wish: Wish) -> str:
    """Return the spec; raise :class:`UsageError` when what was found makes none."""
    if not found.images and not found.charts:
        raise UsageError("the files name nothing to carry")
    kept = _Kept(comments)
    lines = [
        "# Read from lists of other tools by `dray adopt`: where each entry stands is above it.",
        "# Review it, then: dray lock.",
        *_findings(found, wish),
        "apiVersion: dray/v1",
        f"stream: {starter.quoted(wish.stream)}",
        *_platforms(found, wish),
    ]
    for key, entries in (("images", _images(found, wish)), ("charts", _charts(found))):
        if entries:
            lines += ["", f"{key}:"]
            for entry in entries:
                notes = [*kept.before(entry.places[0]), *entry.notes]
                lines += [f"  # {_line(note)}" for note in notes]
                lines.append(f"  - {entry.text}")
    lines += [f"# {_line(note)}" for note in kept.rest()]
    made = "\n".join(lines) + "\n"
    _check(made, found)
    return made


def _check(made: str, found: Found) -> None:
    """Raise :class:`UsageError` for a name that a spec refuses, with its place in the list."""
    try:
        spec.parse(made.encode(), Path("dray.yaml"))
    except UsageError as error:
        line = re.match(r"dray\.yaml:(\d+):", error.message)
        above = made.split("\n")[: int(line[1]) - 1] if line else []
        source = next((row for row in reversed(above) if row.startswith("  # ")), "")
        message = error.message.partition(": ")[2]
        raise UsageError(
            f"{source.strip('# ') or 'the files'}: {message}", hint=error.hint
        ) from None


def _findings(found: Found, wish: Wish) -> list[str]:
    if not found.findings:
        return []
    head = f"# Warnings, accepted because: {_line(wish.accepted)}"
    return [head, *(f"#   {_line(str(finding))}" for finding in found.findings)]


def _platforms(found: Found, wish: Wish) -> list[str]:
    if wish.platforms:
        return [f"platforms: [{', '.join(wish.platforms)}]"]
    if found.everywhere:
        return ["# Hauler takes all platforms where none is named.", "platforms: all"]
    return [f"platforms: [{', '.join(spec.DEFAULT_PLATFORMS)}]"]


def _images(found: Found, wish: Wish) -> list[_Entry]:
    together: dict[str, list[Image]] = {}
    for image in found.images:
        together.setdefault(image.name, []).append(image)
    return [_Entry.of(same, _image(name, same, wish)) for name, same in together.items()]


def _image(name: str, same: Sequence[Image], wish: Wish) -> str:
    named = dict.fromkeys(image.platform for image in same)
    if wish.platforms or "" in named:
        return _word(name)
    return f"{{name: {_word(name)}, platforms: [{', '.join(map(_word, named))}]}}"


def _charts(found: Found) -> list[_Entry]:
    together: dict[tuple[str, str, str], list[Chart]] = {}
    for chart in found.charts:
        together.setdefault((chart.repo.rstrip("/"), chart.name, chart.version), []).append(chart)
    return [_Entry.of(same, _chart(*key, same)) for key, same in together.items()]


def _chart(repo: str, name: str, version: str, same: Sequence[Chart]) -> str:
    fields = {"repo": repo, "name": name, "version": version}
    fields |= {"images": "discover"} if any(chart.discover for chart in same) else {}
    return "{" + ", ".join(f"{key}: {_word(value)}" for key, value in fields.items()) + "}"


def _word(value: str) -> str:
    """Return text as YAML has it: plain where that is safe, else in quotes, as JSON writes it."""
    return value if _PLAIN.fullmatch(value) and not _is_word(value) else json.dumps(value)


def _is_word(value: str) -> bool:
    return value in {"true", "false", "null"}


def _line(value: str) -> str:
    """Return text as one line of a comment: it comes from a stranger's file."""
    line = shown(" ".join(value.split()))
    return line if len(line) <= _LINE else f"{line[:_LINE]}… ({len(line)} characters)"


class _Kept:
    """The comments, each given out once: above the first entry that stands at it or after it."""

    def __init__(self, comments: Iterable[Comment]) -> None:
        self._left: dict[str, list[Comment]] = {}
        for comment in comments:
            self._left.setdefault(comment.place.file, []).append(comment)

    def before(self, place: Place) -> list[str]:
        waiting = self._left.get(place.file, [])
        found = [comment for comment in waiting if comment.place.line <= place.line]
        self._left[place.file] = [comment for comment in waiting if comment not in found]
        return [f"{comment.place}: {comment.text}" for comment in found]

    def rest(self) -> list[str]:
        return [f"{c.place}: {c.text}" for left in self._left.values() for c in left]
