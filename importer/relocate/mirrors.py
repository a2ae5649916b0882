"""Source names to target names, as prefixes: what mirrors and policies can be told.

Every rule sends each loaded repository below it to where that was loaded, and no rule reaches a
repository that was loaded from another source.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from importer.relocate.world import Stored


@dataclass(frozen=True, slots=True)
class Mirror:
    """``source``, a host or the beginning of a repository, is found at ``target``.

    ``alone`` is one repository for which nothing is said about what is below it.
    """

    source: str
    target: str
    alone: bool = False

    @property
    def host(self) -> str:
        """The source's host."""
        return self.source.partition("/")[0]


@dataclass(frozen=True)
class Mirrors:
    """All rules, and ``whole``: the hosts of which everything is below one target, path for path.

    ``shared`` are those of them whose target holds repositories of another source as well.
    """

    rules: tuple[Mirror, ...]
    whole: Mapping[str, str]
    hosts: tuple[str, ...]
    shared: frozenset[str]

    def split(self) -> tuple[str, ...]:
        """Return the hosts that one rule cannot speak for."""
        return tuple(host for host in self.hosts if host not in self.whole)


def of(images: Iterable[Stored]) -> Mirrors:
    """Return the rules for these images; each source has one target."""
    pairs = {one.source: one.target for one in images}
    hosts = sorted({source.partition("/")[0] for source in pairs})
    rules: list[Mirror] = []
    whole: dict[str, str] = {}
    shared: set[str] = set()
    for host in hosts:
        own = {s: t for s, t in pairs.items() if s.startswith(f"{host}/")}
        if (target := common(host, own)) is not None:
            whole[host] = target
            if _reaches_others(host, target, pairs):
                shared.add(host)
        rules += _rules(host, own, pairs)
    return Mirrors(tuple(rules), whole, tuple(hosts), frozenset(shared))


def _rules(prefix: str, own: Mapping[str, str], pairs: Mapping[str, str]) -> Iterator[Mirror]:
    target = common(prefix, own)
    if target is not None and not _reaches_others(prefix, target, pairs):
        yield Mirror(prefix, target)
        return
    if prefix in own:
        yield Mirror(prefix, own[prefix], alone=True)
    below = [source for source in own if source != prefix]
    depth = prefix.count("/") + 2
    for longer in sorted({"/".join(source.split("/")[:depth]) for source in below}):
        inner = {s: own[s] for s in below if f"{s}/".startswith(f"{longer}/")}
        yield from _rules(longer, inner, pairs)


def common(prefix: str, own: Mapping[str, str]) -> str | None:
    """Return the one target below which each source has the path that it has below ``prefix``."""
    found = set()
    for source, target in own.items():
        rest = source.removeprefix(prefix)
        head = target.removesuffix(rest)
        # What is left must be a host, or a host with a path: not half a name.
        if not target.endswith(rest) or not head:
            return None
        found.add(head)
    return found.pop() if len(found) == 1 else None


def _reaches_others(prefix: str, target: str, pairs: Mapping[str, str]) -> bool:
    return any(
        f"{place}/".startswith(f"{target}/") and not f"{source}/".startswith(f"{prefix}/")
        for source, place in pairs.items()
    )
