"""Who has to sign, and whether those who did are enough: roles, thresholds, people counted once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bundle.errors import NotTrusted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MAX_ROLES = 8
"""The most roles of one stream."""


@dataclass(frozen=True, slots=True)
class Role:
    """Names of keys, and of how many people one of them must have signed.

    ``name`` is empty where there is but one role and nobody has named it.
    """

    keys: tuple[str, ...]
    threshold: int
    name: str = ""


@dataclass(frozen=True, slots=True)
class Stream:
    """The roles of a stream, every one of which must be filled, nobody in two of them.

    ``epoch`` counts the restarts of the stream's sequence.
    """

    roles: tuple[Role, ...]
    epoch: int = 0

    @classmethod
    def of(cls, keys: tuple[str, ...], threshold: int, epoch: int = 0) -> Stream:
        """Return the stream with one role that has no name."""
        return cls((Role(keys, threshold),), epoch)

    @property
    def keys(self) -> tuple[str, ...]:
        """Every key that may sign, in the order of the file."""
        return tuple(dict.fromkeys(key for role in self.roles for key in role.keys))

    @property
    def threshold(self) -> int:
        """How many people must sign in all."""
        return sum(role.threshold for role in self.roles)


@dataclass(frozen=True, slots=True)
class Signers:
    """Who signed for a stream, of those who may: the evidence that goes into the receipt.

    ``names`` are keys, one of each person; ``roles`` says which of them fill the named roles.
    """

    names: tuple[str, ...]
    threshold: int
    epoch: int
    roles: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __str__(self) -> str:
        """The names, each with the role that it fills."""
        role_of = {name: role for role, names in self.roles.items() for name in names}
        return ", ".join(
            f"{name} ({role_of[name]})" if name in role_of else name for name in self.names
        )


def fill(roles: Sequence[Role], signed: Mapping[str, str]) -> list[list[str]]:
    """Return, for each role, the people who fill its places; nobody fills two.

    ``signed`` maps the keys that signed to the people whose they are. As many places are filled as
    can be: who could fill two roles makes way where somebody else could not (augmenting paths).
    """
    may = [{signed[key] for key in role.keys if key in signed} for role in roles]
    held: list[list[str]] = [[] for _ in roles]

    def place(person: str, tried: set[int]) -> bool:
        for number, role in enumerate(roles):
            if person not in may[number] or number in tried:
                continue
            tried.add(number)
            if len(held[number]) < role.threshold:
                held[number].append(person)
                return True
            for other in held[number]:
                if place(other, tried):
                    held[number].remove(other)
                    held[number].append(person)
                    return True
        return False

    for person in sorted(set(signed.values())):
        place(person, set())
    return [sorted(people) for people in held]


@dataclass(frozen=True, slots=True)
class Ballot:
    """One count: the roles to fill, the keys that signed, and whose keys there are.

    ``people`` maps every key of the trust file to a person, ``signed`` those that signed.
    """

    roles: tuple[Role, ...]
    people: Mapping[str, str]
    signed: Mapping[str, str]

    def filled(self) -> dict[str, tuple[str, ...]]:
        """Return, by role, the keys that fill it: of each person the first one, by name."""
        found = {}
        for role, people in zip(self.roles, fill(self.roles, self.signed), strict=True):
            firsts: dict[str, str] = {}
            for key in sorted(key for key in role.keys if key in self.signed):
                firsts.setdefault(self.signed[key], key)
            found[role.name] = tuple(sorted(firsts[person] for person in people))
        return found

    def names(self) -> tuple[str, ...]:
        """Return one key of each person who signed and may: of one who fills a role, that one."""
        firsts = {self.signed[key]: key for keys in self.filled().values() for key in keys}
        for key in sorted(key for role in self.roles for key in role.keys if key in self.signed):
            firsts.setdefault(self.signed[key], key)
        return tuple(sorted(firsts.values()))

    def signers(self, epoch: int) -> Signers:
        """Return who signed, for the receipt."""
        needed = sum(role.threshold for role in self.roles)
        return Signers(self.names(), needed, epoch, _named(self.filled()))

    def is_enough(self) -> bool:
        """Whether every role is filled."""
        return self._places(self.signed) == sum(role.threshold for role in self.roles)

    def waiting(self) -> list[str]:
        """Return the keys whose signature would fill one place more."""
        now = self._places(self.signed)
        keys = dict.fromkeys(key for role in self.roles for key in role.keys)
        more = (key for key in keys if key not in self.signed)
        return [key for key in more if self._places({**self.signed, key: self.people[key]}) > now]

    def _places(self, signed: Mapping[str, str]) -> int:
        return sum(len(people) for people in fill(self.roles, signed))

    def too_few(self, what: str, ignored: Mapping[str, str]) -> NotTrusted:
        """Return the refusal: what is needed, who signed, who is missing, for which role.

        ``ignored`` maps the names of signature files that count for nothing to the reason.
        """
        message = f"{what} needs {_needed(self.roles)}; {self._missing()}"
        filled = self.filled()
        names = self.names()
        message += f", signed by {Signers(names, 0, 0, _named(filled))}" if names else ""
        for reason in [*self._uncounted(names), *_reasons(ignored)]:
            message += f"; {reason}"
        waiting = self.waiting()
        if not waiting:
            return NotTrusted(message, hint="the trust file names too few people")
        who = waiting[0] if len(waiting) == 1 else f"one of {', '.join(waiting)}"
        return NotTrusted(message, hint=f"let {who} add a signature: dray sign DIR")

    def _missing(self) -> str:
        filled = self.filled()
        short = {role: role.threshold - len(filled[role.name]) for role in self.roles}
        named = [f"{count} {role.name}" for role, count in short.items() if count and role.name]
        return f"{', '.join(named) or sum(short.values())} missing"

    def _uncounted(self, names: tuple[str, ...]) -> list[str]:
        said = []
        may = {key for role in self.roles for key in role.keys}
        first = {self.signed[name]: name for name in names}
        for key in sorted(self.signed.keys() & may - set(names)):
            person = self.signed[key]
            said.append(f"{key} and {first[person]} are one person's, {person}, who counts once")
        if others := sorted(self.signed.keys() - may):
            said.append(f"{', '.join(others)} signed but may not")
        return said


def _needed(roles: tuple[Role, ...]) -> str:
    if not roles[0].name:
        count, keys = roles[0].threshold, ", ".join(roles[0].keys)
        return f"{count} signature{'s' if count > 1 else ''} of {keys}"
    wanted = [f"{role.threshold} {role.name} of {', '.join(role.keys)}" for role in roles]
    return " and ".join(wanted)


def _reasons(ignored: Mapping[str, str]) -> list[str]:
    return [f"{name}: {reason}" for name, reason in list(ignored.items())[:4]]


def _named(filled: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    return {role: keys for role, keys in filled.items() if role}
