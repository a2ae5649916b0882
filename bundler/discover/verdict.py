"""From mentions to images: the same name once, answers applied, and every open question at once."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from bundle.charts import naming
from bundle.errors import UsageError
from bundle.reference import NamingError
from bundler.discover import nodes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bundle.charts.manifests import Doubt
    from bundle.charts.mentions import Mention
    from bundler.spec import Nodes

SKIP: Final = "skip"
CARRY: Final = "carry"


@dataclass(frozen=True, slots=True)
class FoundImage:
    """An image that a chart names: always with a registry host, and with a tag or a digest.

    ``why`` is the first of ``places`` that name it. ``expanded_from`` is the chart's own name where
    the operator appends to it. ``carried`` is false for what is switched off.
    """

    reference: str
    why: str
    expanded_from: str = ""
    carried: bool = True
    places: tuple[str, ...] = ()


@dataclass
class Item:
    """All mentions of one name."""

    name: str
    mentions: list[Mention] = field(default_factory=list)

    @property
    def carried(self) -> bool:
        """Whether something that is switched on names it."""
        return any(mention.enabled for mention in self.mentions)

    @property
    def places(self) -> tuple[str, ...]:
        """Where it is named: what is switched on first, values before what is made of them."""
        ranked = sorted(self.mentions, key=_rank)
        return tuple(dict.fromkeys(mention.place for mention in ranked))

    @property
    def suffixes(self) -> list[str]:
        """What is appended: as many ways as there are kinds of places, plain included."""
        counted = [m for m in self.mentions if m.enabled] or self.mentions
        return sorted({mention.suffix for mention in counted})


def _rank(mention: Mention) -> tuple[bool, bool, str]:
    # Values stay in the order of their file; helm prints manifests by kind, not by file.
    return not mention.enabled, not mention.loose, "" if mention.loose else mention.place


@dataclass
class Judge:
    """Decides on the mentions of one chart, which ``what`` names in messages."""

    what: str
    nodes: Nodes
    architectures: Sequence[str]
    answers: Mapping[str, str]
    open: list[tuple[str, str]] = field(default_factory=list)
    used: set[str] = field(default_factory=set)

    def images(self, mentions: Sequence[Mention], doubts: Sequence[Doubt]) -> list[FoundImage]:
        """Return the images by reference; raise :class:`UsageError` with all that is open."""
        found: dict[str, FoundImage] = {}
        missing: list[str] = []
        for item in items(mentions):
            for image in self._item(item, missing):
                known = found.get(image.reference)
                if known is None or (image.carried and not known.carried):
                    found[image.reference] = image
        for doubt in doubts:
            if self._answer(doubt.place) != SKIP:
                self.open.append((doubt.place, "helm would know: install it"))
        self._raise_missing(missing)
        self._raise_open()
        self._raise_unused()
        return [found[name] for name in sorted(found)]

    def _answer(self, *keys: str) -> str:
        for key in keys:
            if key in self.answers:
                self.used.add(key)
                return self.answers[key]
        return ""

    def _item(self, item: Item, missing: list[str]) -> list[FoundImage]:
        why = item.places[0]
        answer = self._answer(why, item.name)
        if answer == SKIP:
            return []
        if answer and answer != CARRY:
            return [FoundImage(answer, why, item.name, True, item.places)]
        carried = item.carried or answer == CARRY
        try:
            naming.whole(item.name)
        except NamingError as fault:
            if carried:
                self.open.append((why, str(fault)))
            return []
        return self._expanded(item, missing, carried=carried)

    def _expanded(self, item: Item, missing: list[str], *, carried: bool) -> list[FoundImage]:
        found: list[FoundImage] = []
        why = item.places[0]
        for kind in item.suffixes:
            try:
                names = nodes.expand(item.name, kind, self.nodes, self.architectures)
            except nodes.MissingNodes as fault:
                if carried:
                    missing.append(f"  {why}: {item.name} needs {fault}")
                continue
            for name in names:
                if fault_of := _fault(name):
                    self.open.append((why, fault_of))
                elif name == item.name or self._answer(name) != SKIP:
                    origin = "" if name == item.name else item.name
                    found.append(FoundImage(name, why, origin, carried, item.places))
        return found

    def _raise_missing(self, missing: Sequence[str]) -> None:
        if missing:
            message = f"{self.what}: the spec does not say what the nodes are:\n"
            rows = "\n".join(dict.fromkeys(missing))
            hint = "nodes: {os: [ubuntu22.04], kernels: [5.15.0-113-generic]}, as they really are"
            raise UsageError(message + rows, hint=hint)

    def _raise_open(self) -> None:
        if self.open:
            asked = dict(self.open)
            rows = [f"  {place}: {reason}" for place, reason in asked.items()]
            count = f"{len(asked)} names" if len(asked) > 1 else "a name"
            message = f"{self.what}: {count} of images cannot be told:\n" + "\n".join(rows)
            lines = [f'    "{place}": HOST/PATH:TAG, or {SKIP}' for place in asked]
            hint = "say in the spec what is meant, beside images: discover\n  answers:\n"
            raise UsageError(message, hint=hint + "\n".join(lines))

    def _raise_unused(self) -> None:
        if unused := [key for key in self.answers if key not in self.used]:
            rows = "\n".join(f"  {key}" for key in unused)
            hint = "dray lock --why shows each image with the place to answer by; take the rest out"
            raise UsageError(f"{self.what}: answers that nothing asks for:\n{rows}", hint=hint)


def _fault(name: str) -> str:
    try:
        naming.whole(name)
    except NamingError as fault:
        return str(fault)
    return ""


def items(mentions: Sequence[Mention]) -> list[Item]:
    """Put mentions of one name together.

    A template may complete or change what values say: a name from values that a manifest has with
    more around it (a registry before, a tag after) is that manifest's name, and no image of its
    own.
    """
    found: dict[str, Item] = {}
    for mention in (m for m in mentions if not m.loose):
        found.setdefault(mention.name, Item(mention.name)).mentions.append(mention)
    rendered = list(found)
    for mention in (m for m in mentions if m.loose):
        names = [mention.name] if mention.name in found else _made_of(mention.name, rendered)
        for name in names:
            # The manifest knows whether it is there; the values only where it is from.
            live = mention.enabled and any(m.enabled and not m.loose for m in found[name].mentions)
            found[name].mentions.append(replace(mention, enabled=live))
        if not names or (names == [mention.name] and mention.enabled):
            item = found.setdefault(mention.name, Item(mention.name))
            item.mentions.append(mention)
    return list(found.values())


def _made_of(name: str, rendered: Sequence[str]) -> list[str]:
    path, tag, digest = naming.split(name)
    made = []
    for candidate in rendered:
        whole_path, whole_tag, whole_digest = naming.split(candidate)
        same = whole_path == path or whole_path.endswith(f"/{path}")
        if same and tag in whole_tag and digest in whole_digest:
            made.append(candidate)
    return made
