"""The option about the publishers' signatures that verify and import share."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from bundle.options import FILE, option

if TYPE_CHECKING:
    from collections.abc import Callable

    F = TypeVar("F", bound=Callable[..., object])


def policy_option(function: F) -> F:
    """Add ``--policy``."""
    added: F = option(
        "--policy",
        type=FILE,
        help="Policy file: whose signatures of the publishers must be on what.",
    )(function)
    return added
