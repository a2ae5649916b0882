"""At which instants a run is killed: a few by default, every one when asked for."""

from __future__ import annotations

import itertools
import os
import random
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.e2e.desk import Done

POINTS = int(os.environ.get("DRAY_KILL_POINTS", "4"))
"""How many instants of each kind; a whole sweep takes minutes: set it to 1000."""


def spread(total: int, seed: str, most: int = POINTS) -> list[int]:
    """Return up to ``most`` numbers from 1 to ``total``, one out of each equal part."""
    if total <= most:
        return list(range(1, total + 1))
    chosen = random.Random(seed)
    edges = [total * number // most for number in range(most + 1)]
    return [chosen.randint(low + 1, high) for low, high in itertools.pairwise(edges)]


def outlived(ended: Done, step: int) -> bool:
    """Say whether the reaper's run was over before its step came, which else killed it.

    With threads a run may touch the disk a little less often than the one that was counted.
    """
    if ended.code == 0:
        assert int(ended.err.split()[-1]) < step, ended
        return True
    assert ended.code == -signal.SIGKILL, f"step {step}: {ended}"
    return False
