"""What a list of another tool names, and where; nothing of it is guessed or left out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bundle import reference
from bundle.decode import Fields
from bundle.errors import UsageError
from bundle.reference import NamingError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bundle.decode import Path
    from bundle.strictyaml import Document

SKIP = "skip"
"""The answer that leaves an image behind."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where something is named: ``file`` as people know it, and the line in it, from 1."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Image:
    """An image by its full name; ``platforms`` is empty for all that the list's tool would take."""

    name: str
    place: Place
    platform: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart in one version; ``discover``: the images that it names are wanted too."""

    repo: str
    name: str
    version: str
    place: Place
    discover: bool = False
    why: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that the list says and the spec does not do, or a warning of the list's tool."""

    place: Place
    text: str

    def __str__(self) -> str:
        return f"{self.place}: {self.text}"


@dataclass
class Found:
    """Everything that was read. ``everywhere``: an image is wanted for all its platforms.

    ``answers`` maps names as they are written to full names or :data:`SKIP`; ``used`` are those
    that something asked for, ``open`` the names that still need one.
    """

    answers: Mapping[str, str] = field(default_factory=dict)
    images: list[Image] = field(default_factory=list)
    charts: list[Chart] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    everywhere: bool = False
    used: set[str] = field(default_factory=set)
    open: dict[str, Finding] = field(default_factory=dict)

    def image(self, text: str, place: Place, *, platform: str = "", why: str = "") -> None:
        """Take an image, by the answer where there is one; a name that is none is kept open."""
        answer = self.answers.get(text, text)
        if text in self.answers:
            self.used.add(text)
            why = f"{why}, written {text}" if why else f"written {text}"
        if answer == SKIP:
            self.findings.append(Finding(place, f"{text} is left behind, as answered"))
            return
        try:
            name = reference.parse(answer)
            if not name.tag and not name.digest:
                raise NamingError(f"{answer!r} has neither a tag nor a digest")
        except NamingError as error:
            self.open.setdefault(text, Finding(place, str(error)))
            return
        self.images.append(Image(str(name), place, platform, why))

    def warn(self, place: Place, text: str) -> None:
        """Keep what has to be acknowledged."""
        self.findings.append(Finding(place, text))

    def check(self) -> None:
        """Raise :class:`UsageError` for names that need an answer, and answers nobody needs."""
        if self.open:
            rows = "".join(f"\n  {finding}" for finding in self.open.values())
            one = next(iter(self.open))
            raise UsageError(
                f"{_names(len(self.open))}:{rows}",
                hint=f"answer each: --answer '{one}=registry/path:tag', or '{one}={SKIP}'",
            )
        if unused := sorted(set(self.answers) - self.used):
            raise UsageError(
                f"nothing is called {unused[0][:200]!r}, which --answer answers",
                hint="write the name as it stands in the file",
            )


def _names(number: int) -> str:
    if number == 1:
        return "1 name does not say which image it means"
    return f"{number} names do not say which images they mean"


def place_of(document: Document, path: Path) -> Place:
    """Return the place of a value."""
    return Place(document.name, document.mark(path)[0])


def set_fields(value: object, path: Path, document: Document) -> Fields:
    """Return an object's fields, those of no value left out: Go writes an empty list as null."""
    if isinstance(value, dict):
        value = {key: item for key, item in value.items() if item is not None}
    return Fields(value, path, document.fault)
