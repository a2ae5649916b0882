"""A medium that returns other bytes than were written, for the tests of the reading back."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pytest


@dataclass
class Flips:
    """Flips byte ``at`` of files whose name contains ``name``, as often as ``times`` says."""

    name: str
    at: int
    times: int = 1

    def hit(self, name: str, start: int, count: int) -> int | None:
        """Return where in a read the byte is, when it is in it and still to be flipped."""
        if self.name not in name or not self.times or not start <= self.at < start + count:
            return None
        self.times -= 1
        return self.at - start


def damage(
    monkeypatch: pytest.MonkeyPatch, *flips: Flips, then: Callable[[], object] = lambda: None
) -> None:
    """Let the reading back find flipped bytes; ``then`` is called at each flip."""
    real = os.preadv

    def preadv(handle: int, buffers: Sequence[memoryview], offset: int) -> int:
        count = real(handle, buffers, offset)
        name = Path(f"/proc/self/fd/{handle}").readlink().name
        for flip in flips:
            if (place := flip.hit(name, offset, count)) is not None:
                buffers[0][place] ^= 1
                then()
        return count

    monkeypatch.setattr(os, "preadv", preadv)
