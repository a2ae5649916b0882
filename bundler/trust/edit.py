"""Changes of a trust file: each returns the next version's content, and writes nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bundle import trust
from bundle.errors import UsageError
from bundle.quorum import Role, Stream

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bundle.signature import PublicKey
    from bundle.trust import Trust


@dataclass(frozen=True, slots=True)
class Seat:
    """A role of a stream, as ``STREAM`` or ``STREAM:ROLE``; or the root role."""

    stream: str
    role: str = ""
    is_root: bool = False

    def __str__(self) -> str:
        return "root" if self.is_root else ":".join(filter(None, (self.stream, self.role)))


ROOT = Seat("", is_root=True)


def seats(streams: Sequence[str], *, root: bool) -> list[Seat]:
    """Return what ``--stream`` and ``--root`` name."""
    named = [text.partition(":") for text in streams]
    return [Seat(stream, role) for stream, _, role in named] + ([ROOT] if root else [])


def add(
    before: Trust, name: str, key: PublicKey, where: Sequence[Seat], *, person: str = ""
) -> Trust:
    """Let a key sign for ``where``; streams and roles that are not there yet are made."""
    if name in before.receipts.keys or key in before.receipts.keys.values():
        raise UsageError(
            f"{name!r} is a key that signs receipts, and so nothing else",
            hint="no key may vouch for both ends of the way",
        )
    known = next((other for other, one in before.keys.items() if one == key), "")
    if known and known != name:
        raise UsageError(
            f"this key is in the trust file already, as {known!r}",
            hint=f"a key has one name: --name {known}",
        )
    if name in before.keys and not known:
        raise UsageError(
            f"{name!r} is another key in the trust file",
            hint="give this one another name with --name; --person says that both are of one",
        )
    people = {**before.people, **({name: person} if person else {})}
    after = replace(before, keys={**before.keys, name: key}, people=people)
    for seat in where:
        after = _seat(after, seat, _joined(name))
    return after


def add_receipts(before: Trust, name: str, key: PublicKey, *, site: str = "") -> Trust:
    """Let a key sign receipts of imports at ``site``, and nothing else."""
    if name in before.keys or key in before.keys.values():
        raise UsageError(
            f"{name!r} is a key that signs bundles or the trust file, and so no receipts",
            hint="take receipt.pub of the high side: dray receipt keygen made it there",
        )
    return replace(before, receipts=before.receipts.add(name, key, site))


def _joined(name: str) -> Callable[[Role], Role]:
    return lambda role: role if name in role.keys else replace(role, keys=(*role.keys, name))


def _left(name: str) -> Callable[[Role], Role]:
    return lambda role: replace(role, keys=tuple(key for key in role.keys if key != name))


def revoke(before: Trust, name: str, where: Sequence[Seat]) -> Trust:
    """Take a key out of ``where``; out of everything, and out of the file, when that is empty."""
    if name in before.receipts.keys and not where:
        return replace(before, receipts=before.receipts.without(name))
    if name not in before.keys:
        known = ", ".join([*before.keys, *before.receipts.keys])
        raise UsageError(f"{name!r} is no key of the trust file", hint=f"keys: {known}")
    after = before
    for seat in where or _all(before):
        after = _seat(after, seat, _left(name), make=False)
    if where:
        return after
    keys = {other: key for other, key in before.keys.items() if other != name}
    people = {other: person for other, person in before.people.items() if other != name}
    return replace(after, keys=keys, people=people)


def threshold(before: Trust, where: Sequence[Seat], count: int) -> Trust:
    """Have ``count`` people sign for each of ``where``."""
    after = before
    for seat in where:
        after = _seat(after, seat, lambda role: replace(role, threshold=count), make=False)
    return after


def raise_epoch(before: Trust, stream: str) -> Trust:
    """Have the stream's sequence begin anew."""
    known = _stream(before, stream)
    return replace(
        before, streams={**before.streams, stream: replace(known, epoch=known.epoch + 1)}
    )


def check(after: Trust) -> Trust:
    """Return the trust file as whoever reads it will have it; raise :class:`UsageError`."""
    try:
        return trust.read(after.to_bytes(), what="the new trust file")
    except UsageError as error:
        hint = error.hint or "--threshold and --root-threshold say how many must sign"
        raise UsageError(error.message, hint=hint) from None


def _all(before: Trust) -> list[Seat]:
    found = [ROOT]
    for name, stream in before.streams.items():
        found += [Seat(name, role.name) for role in stream.roles]
    return found


def _stream(before: Trust, name: str) -> Stream:
    if name not in before.streams:
        known = ", ".join(sorted(before.streams)) or "none"
        raise UsageError(f"the trust file has no stream {name!r}", hint=f"streams: {known}")
    return before.streams[name]


def _seat(before: Trust, seat: Seat, change: Callable[[Role], Role], *, make: bool = True) -> Trust:
    if seat.is_root:
        return replace(before, root=change(before.root))
    if make and seat.stream not in before.streams:
        stream = Stream((change(Role((), 1, seat.role)),))
    else:
        stream = _in_stream(_stream(before, seat.stream), seat, change, make=make)
    return replace(before, streams={**before.streams, seat.stream: stream})


def _in_stream(known: Stream, seat: Seat, change: Callable[[Role], Role], *, make: bool) -> Stream:
    names = [role.name for role in known.roles]
    if seat.role not in names:
        if make and seat.role and "" not in names:
            return replace(known, roles=(*known.roles, change(Role((), 1, seat.role))))
        shown = ", ".join(f"{seat.stream}:{name}" if name else seat.stream for name in names)
        raise UsageError(f"the trust file has no {seat}", hint=f"its roles there: {shown}")
    roles = tuple(change(role) if role.name == seat.role else role for role in known.roles)
    return replace(known, roles=roles)
