"""What to do about a chunk that is not as signed: one wording for verify, import and repair."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bundle.manifest import Manifest

PARITY = "dray repair makes it again; the chunks can be imported without it"


def spelled(numbers: Iterable[int]) -> str:
    """Return numbers as ``--chunks`` takes them: ``3,17,20-25``."""
    found = sorted(set(numbers))
    starts = found[:1] + [after for before, after in pairwise(found) if after != before + 1]
    ends = [before for before, after in pairwise(found) if after != before + 1] + found[-1:]
    return ",".join(
        str(start) if start == end else f"{start}-{end}"
        for start, end in zip(starts, ends, strict=True)
    )


def low_side(manifest: Manifest, numbers: Iterable[int]) -> str:
    """Return the command for the low side: these chunks again, or a new bundle where none can be.

    The bytes of encrypted chunks depend on random keys that nobody keeps.
    """
    if manifest.recipients:
        return "dray export SPEC --to DIR --encrypt-to KEY --new"
    name = f"{manifest.name}.manifest.json"
    return f"dray export SPEC --chunks {spelled(numbers)} --of {name} --to DIR"


def of_chunk(manifest: Manifest, number: int) -> str:
    """Return the hint about a chunk that is damaged."""
    if any(number in group.chunks for group in manifest.parity):
        return "dray repair restores it from parity, or says why it cannot"
    return "copy this file again from the low side; if it is bad there too: " + low_side(
        manifest, [number]
    )
