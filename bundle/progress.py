"""Progress for people: bytes, rate and time left, on a terminal only."""

from __future__ import annotations

import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def bar(
    total: int, label: str, *, quiet: bool = False, row: int = 0
) -> Iterator[Callable[[int], None]]:
    """Yield a function that takes bytes done; draw a bar on standard error when it is a terminal.

    ``total`` is in bytes; ``row`` puts a bar below others. The function may be called from any
    thread; negative numbers take back bytes that have to be done again.
    """
    if quiet or not sys.stderr.isatty():
        yield lambda _count: None
        return
    from tqdm import tqdm  # noqa: PLC0415  (an import that `dray --help` must not pay for)

    lock = threading.Lock()
    options: dict[str, Any] = {"unit": "B", "unit_scale": True, "desc": label, "leave": False}
    options["position"] = row
    with tqdm(
        total=total, file=sys.stderr, mininterval=0.2, dynamic_ncols=True, **options
    ) as shown:

        def advance(count: int) -> None:
            with lock:
                shown.update(count)

        yield advance


def human(count: int) -> str:
    """Return a number of bytes as people write it: ``1.5 GB`` (powers of 1000)."""
    amount = float(count)
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if abs(amount) < 1000 or unit == "TB":
            break
        amount /= 1000
    return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"


def counted(count: int, noun: str) -> str:
    """Return a number of things as people write it: ``1 chunk``, ``2 chunks``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
