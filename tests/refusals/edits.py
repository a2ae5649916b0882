"""Changes of a manifest before it is signed again: one value, one item more, one item less."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.factory import Bundle

    Body = dict[str, Any]
    Tell = Callable[[Bundle], object]

OTHER = "sha256:" + "0" * 64


def lie(change: Callable[[Body], object]) -> Tell:
    return lambda bundle: bundle.lie(change)


def put(*path: str | int, value: object) -> Tell:
    """Set one value of the manifest."""

    def change(body: Any) -> None:
        for step in path[:-1]:
            body = body[step]
        body[path[-1]] = value

    return lie(change)


def add(*path: str | int, amount: int) -> Tell:
    def change(body: Any) -> None:
        for step in path[:-1]:
            body = body[step]
        body[path[-1]] += amount

    return lie(change)


def again(*path: str | int, **changes: object) -> Tell:
    """Put a copy of the first of a list at its end."""

    def change(body: Any) -> None:
        for step in path:
            body = body[step]
        body.append({**copy.deepcopy(body[0]), **changes})

    return lie(change)


def remove(*path: str | int) -> Tell:
    def change(body: Any) -> None:
        for step in path[:-1]:
            body = body[step]
        del body[path[-1]]

    return lie(change)
