"""The seeds: a few inputs for each target in ``fixtures/corpora``, good ones and past failures."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]
CORPORA = ROOT / "fixtures" / "corpora"
CACHE = ROOT / ".cache" / "fuzz"


def seeds(target: str) -> list[tuple[str, bytes]]:
    """Return the names and bytes of a target's seeds, in order of name."""
    return [(path.name, path.read_bytes()) for path in sorted((CORPORA / target).iterdir())]
