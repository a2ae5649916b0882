"""At which instants a run is killed: a few by default, every one when asked for."""

from __future__ import annotations

import itertools
import os
import random

POINTS = int(os.environ.get("DRAY_KILL_POINTS", "5"))
"""How many instants of each kind; a whole sweep takes minutes: set it to 1000."""


def spread(total: int, seed: str, most: int = POINTS) -> list[int]:
    """Return up to ``most`` numbers from 1 to ``total``, one out of each equal part."""
    if total <= most:
        return list(range(1, total + 1))
    chosen = random.Random(seed)
    edges = [total * number // most for number in range(most + 1)]
    return [chosen.randint(low + 1, high) for low, high in itertools.pairwise(edges)]
