"""Faults of the emulated NGC drawn from a seed: any of them, at any kind of request, some at once.

All of them pass: each hits a few requests and no more. What no client could notice is not drawn: a
complete answer that says less than there is (a 404, a shorter list of tags).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from bundle.digest import BLOCK

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from fixtures.ngc import EmulatedNgc, Fault

STALLED: Final = 1.0
"""Seconds of silence after which a connection is given up, in these tests."""
PASSING = (408, 425, 429, 500, 502, 503, 504)
REFUSED = (401, 403)
CONTENT = {
    "layer": "GET layers.nvcr.io/",
    "file": "GET xfiles.*/files/",
    "archive": r"GET helm.*/charts/.*\.tgz$",
}
DOCUMENTS = {
    "index": "GET xfiles.*/index.yaml",
    "manifest": "(GET|HEAD) nvcr.io/v2/.*/manifests/sha256:",
    "tag": "(GET|HEAD) nvcr.io/v2/.*/manifests/[^/:]*$",
    "referrers": "GET nvcr.io/v2/.*/referrers/",
    "token": "GET nvcr.io/proxy_auth",
    "exchange": "GET authn.nvidia.com/token",
    "listing": "GET api.*/versions/[^/]+/files$",
    "version": "GET api.*/versions/[^/]+$",
    "signature": "GET api.*/signature$",
    "signed": r"GET api.*/[^/]+/files$",
}
REDIRECTS = {"blob": "GET nvcr.io/v2/.*/blobs/", "helm index": "GET helm.*/index.yaml"}


_COSTS: dict[str, Callable[[int, int], int]] = {
    # Of a block that never came whole nothing is kept.
    "stall": lambda _sent, _size: BLOCK,
    # One wrong byte spoils all that has one digest.
    "flip": lambda _sent, size: size,
    # What is thrown away because another part was asked for.
    "no ranges": lambda _sent, size: size,
    "other range": lambda sent, _size: sent,
    "no range told": lambda sent, _size: sent,
}
"""Bytes that a fault of content may cost, by what was sent of it and by its object's size."""


@dataclass
class Plan:
    """The faults that were drawn, each with the kind of request that it hits, and its mode."""

    seed: int
    drawn: list[tuple[str, str, Fault]] = field(default_factory=list)

    @property
    def hits(self) -> int:
        """How many requests were spoiled so far."""
        return sum(fault.hits for _, _, fault in self.drawn)

    @property
    def modes(self) -> Counter[str]:
        """How many requests each kind of fault has spoiled."""
        found: Counter[str] = Counter()
        for _, mode, fault in self.drawn:
            found[mode] += fault.hits
        return found

    def cost(self, fault: Fault, sent: int, size: int) -> int:
        """Return how many bytes of an object of ``size`` may be asked for again after a fault."""
        mode = next((mode for _, mode, drawn in self.drawn if drawn is fault), "")
        return _COSTS[mode](sent, size) if mode in _COSTS else 0

    def __str__(self) -> str:
        rows = (f"{mode} at {what} x{fault.hits}" for what, mode, fault in self.drawn if fault.hits)
        return f"DRAY_FAULT_SEED={self.seed}: " + "; ".join(rows)


def draw(ngc: EmulatedNgc, dice: random.Random, count: int, plan: Plan, *, locking: bool) -> None:
    """Switch ``count`` faults on, in addition to those of the plan that are left.

    While ``locking``, files get no wrong bytes: of the old ones NGC has no SHA-256 to compare with.
    """
    for _ in range(count):
        kind = dice.choice(("content", "content", "document", "redirect"))
        places = {"content": CONTENT, "document": DOCUMENTS, "redirect": REDIRECTS}[kind]
        what = dice.choice(sorted(places))
        modes = {"content": _CONTENT_MODES, "document": _MODES, "redirect": _REDIRECT_MODES}[kind]
        choice = [mode for mode in sorted(modes) if what in _ONLY.get(mode, {what})]
        mode = dice.choice(choice)
        if locking and (what, mode) == ("file", "flip"):
            mode = "late"
        how = modes[mode](ngc, dice)
        how.setdefault("times", dice.choice((1, 1, 2, 4, 9)))
        skip = dice.choice((0, 0, 0, 1, 2, 6))
        plan.drawn.append((what, mode, ngc.faults.add(places[what], skip=skip, **how)))


def _offset(dice: random.Random) -> int:
    return dice.choice((0, 1, dice.randrange(2_000), dice.randrange(200_000), BLOCK, BLOCK + 7))


def _expire(ngc: EmulatedNgc) -> Callable[[], object]:
    def both() -> None:
        ngc.passes.expire_tokens()
        ngc.passes.expire_urls()

    return both


def _status(_ngc: EmulatedNgc, dice: random.Random) -> dict[str, Any]:
    late = dice.choice(({}, {"retry_after": "1"}, {"retry_after": "Wed, 21 Oct 2015 07:28:00 GMT"}))
    return {"status": dice.choice(PASSING), **late}


def _edit(_ngc: EmulatedNgc, dice: random.Random) -> dict[str, Any]:
    return {"edit": dice.choice((_nothing, _other_total, _failed, _not_an_object))}


def _nothing(_body: Any) -> Any:
    return {}


def _not_an_object(body: Any) -> Any:
    return [body]


def _other_total(body: Any) -> Any:
    info = body.get("paginationInfo", {})
    about = body.get("modelVersion", body.get("recipeVersion", {}))
    about["totalFileCount"] = about.get("totalFileCount", 0) + 1
    return {**body, "paginationInfo": {**info, "totalResults": info.get("totalResults", 0) + 1}}


def _failed(body: Any) -> Any:
    told = {"statusCode": "INTERNAL_ERROR", "requestId": "drawn", "statusDescription": "drawn"}
    return {**body, "requestStatus": told}


_MODES: dict[str, Any] = {
    "status": _status,
    "refused": lambda _n, dice: {"status": dice.choice(REFUSED), "times": dice.choice((1, 2))},
    "cut": lambda _n, dice: {"cut_after": dice.randrange(300)},
    "stall": lambda _n, dice: {"stall_after": dice.randrange(300), "times": 1},
    "late": lambda _n, dice: {"delay": dice.random() / 10},
    "slow": lambda _n, dice: {"rate": dice.choice((20_000, 400_000))},
    "truncate": lambda _n, dice: {"truncate": dice.randrange(200)},
    "flip": lambda _n, dice: {"flip_at": dice.randrange(300)},
    "malformed": lambda _n, _d: {"malformed": True},
    "edit": _edit,
    "expire before": lambda n, _d: {"before": _expire(n)},
    "expire after": lambda n, _d: {"after": _expire(n)},
    "other type": lambda _n, _d: {"headers": {"Content-Type": "text/html"}},
}
_CONTENT_MODES: dict[str, Any] = {
    **{name: _MODES[name] for name in ("status", "late", "expire before", "expire after")},
    "refused": lambda _n, dice: {"status": dice.choice(REFUSED), "times": 1},
    "cut": lambda _n, dice: {"cut_after": _offset(dice)},
    "stall": lambda _n, dice: {"stall_after": _offset(dice), "times": 1},
    "flip": lambda _n, dice: {"flip_at": _offset(dice), "times": dice.choice((1, 2))},
    "truncate": lambda _n, dice: {"truncate": _offset(dice)},
    "slow": lambda _n, _d: {"rate": 2_000_000},
    "cut and expire": lambda n, dice: {"cut_after": _offset(dice), "after": _expire(n)},
    "no ranges": lambda _n, _d: {"ignore_range": True},
    "other range": lambda _n, _d: {"headers": {"Content-Range": "bytes 3-4/5"}},
    "no range told": lambda _n, _d: {"headers": {"Content-Range": None}},
}
_REDIRECT_MODES: dict[str, Any] = {
    **{name: _MODES[name] for name in ("status", "refused", "late", "expire before", "cut")},
    "expire after": _MODES["expire after"],
    "nowhere": lambda _n, _d: {"headers": {"Location": None}},
    "back to itself": lambda _n, _d: {"headers": {"Location": "/"}},
}
_JSON = {"listing", "version", "signed"}
_ONLY: dict[str, set[str]] = {
    # JSON over TLS has no digest: a wrong letter in a path or a hash would be believed.
    "flip": {"layer", "file", "archive", "manifest"},
    "edit": _JSON,
    "malformed": {*_JSON, "manifest", "tag", "token", "exchange", "signature", "referrers"},
    "truncate": {"layer", "file", "archive", "manifest", "tag", *_JSON, "token", "referrers"},
    "other type": {"manifest", "tag", "token", "listing"},
}
