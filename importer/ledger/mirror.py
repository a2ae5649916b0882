"""The ledger's copies at the targets: read before an import, written after it.

A copy proves nothing: whoever may write to the target may write a copy. So it can only make an
import refused (a sequence that is higher there, another manifest under the same one), which a
reason overrides; nothing of it is ever taken into this host's own ledger.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bundle.errors import NotTrusted, TargetError
from importer.ledger.head import NAME, Head

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from bundle.state import State
    from importer.ledger.book import Ledger
    from importer.ledger.shelf import Shelf
    from importer.targets.base import Target


@dataclass(frozen=True, slots=True)
class Claim:
    """What a copy says: the head of the ledger of ``head.host``, read at ``place``."""

    place: str
    head: Head


@dataclass(frozen=True, slots=True)
class Mirrors:
    """The claims that were found; ``unread`` maps places that could not be read to the reason.

    ``silent`` maps those that did not answer to what went wrong: there may be any claim.
    """

    claims: tuple[Claim, ...]
    unread: Mapping[str, str]
    silent: Mapping[str, TargetError] = field(default_factory=dict)

    def of(self, stream: str) -> list[tuple[Claim, State]]:
        """Return the claims about a stream, the highest first."""
        found = [
            (claim, claim.head.streams[stream])
            for claim in self.claims
            if stream in claim.head.streams
        ]
        return sorted(found, key=lambda pair: pair[1].place, reverse=True)

    def check(self, ledger: Ledger) -> None:
        """Raise :class:`NotTrusted` when a copy of this host's ledger is ahead of it."""
        for claim in self.claims:
            head = claim.head
            if head.ledger != ledger.chain.name or ledger.chain.holds(head.number, head.digest):
                continue
            have = len(ledger.chain.entries)
            raise NotTrusted(
                f"the ledger of this host has {have} entries, none of which is number "
                f"{head.number} of its copy {claim.place}",
                hint="it was cut back or exchanged: restore it from a backup. If the copy lies: "
                "remove it, or --ignore-mirror REASON",
                case="mirror",
            )


def shelves(targets: Iterable[Target]) -> list[Shelf]:
    """Return the shelf of each target, each place once."""
    found = {shelf.label: shelf for shelf in (target.shelf() for target in targets)}
    return list(found.values())


def read(places: Sequence[Shelf]) -> Mirrors:
    """Read every head at these places.

    A place that refuses to be read, and a head that is none, are passed over and told: whoever
    could make them so could as well have removed them. A place that fails otherwise is silent.
    """
    claims: list[Claim] = []
    unread: dict[str, str] = {}
    silent: dict[str, TargetError] = {}
    for shelf in places:
        try:
            names = [name for name in shelf.names() if re.fullmatch(rf"{NAME}\.json", name)]
        except TargetError as error:
            if error.case == "denied":
                unread[shelf.label] = error.message
            else:
                silent[shelf.label] = error
            continue
        for name in names:
            place = f"{shelf.label}/{name}"
            try:
                claims += _claims(shelf, name, place)
            except (NotTrusted, TargetError) as error:
                unread[place] = error.message
    return Mirrors(tuple(claims), unread, silent)


def _claims(shelf: Shelf, name: str, place: str) -> list[Claim]:
    """Return what a head says, and the furthest that it has said before if that was more.

    In a bucket that keeps versions, a head that somebody has put back has the true one behind it.
    """
    data = shelf.read(name, Head.limit)
    found = [] if data is None else [Claim(place, _head(data, name, place))]
    number = found[0].head.number if found else 0
    ahead: Claim | None = None
    for version, before in shelf.earlier(name, Head.limit):
        where = f"{place} (its version {version})"
        with suppress(NotTrusted):
            head = _head(before, name, where)
            if head.number > number:
                ahead, number = Claim(where, head), head.number
    return [*found, ahead] if ahead else found


def _head(data: bytes, name: str, place: str) -> Head:
    head = Head.read(data, lambda message: NotTrusted(f"{place} {message}"))
    if f"{head.ledger}.json" != name:
        raise NotTrusted(f"{place} is the head of another ledger")
    return head


def write(places: Sequence[Shelf], ledger: Ledger) -> dict[str, str]:
    """Copy the ledger and its head to these places; return the places that failed, and why.

    The entries go first: a head never names an entry that is not there.
    """
    failed: dict[str, str] = {}
    head, data = ledger.head(), ledger.data()
    for shelf in places:
        try:
            shelf.write(f"{head.ledger}.jsonl", data)
            shelf.write(f"{head.ledger}.json", head.to_bytes())
        except TargetError as error:
            failed[shelf.label] = error.message
    return failed
