"""Lists of OMS whose rows are shards of files: read, and joined to files.

A file that is one shard has the shard's digest. Of a file in several only length and number are
known without reading it again. Source: what the ``model-signing`` library 1.1 writes. Its rows are
called ``path:start:end``; an empty file has none.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bundle.errors import NotTrusted

if TYPE_CHECKING:
    from collections.abc import Iterable

_NAME = re.compile(r"([^:]+):(0|[1-9][0-9]{0,15}):([1-9][0-9]{0,15})")


@dataclass(frozen=True, slots=True)
class Row:
    """What was signed of a file: the hex SHA-256 of all of it, and its size in bytes where told.

    In several ``shards`` it has no digest.
    """

    digest: str
    size: int | None = None
    shards: int = 1


def join(pairs: Iterable[tuple[str, str]], step: int, where: str) -> list[tuple[str, Row]]:
    """Return the files that the shards of ``step`` bytes make up, by path.

    Raises :class:`NotTrusted` for rows that leave a gap, overlap, or are cut elsewhere.
    """
    found: dict[str, list[tuple[int, int, str]]] = {}
    for name, digest in pairs:
        match = _NAME.fullmatch(name)
        if match is None:
            raise NotTrusted(f"{where} lists {name[:200]!r}, which is no shard: PATH:START:END")
        found.setdefault(match[1], []).append((int(match[2]), int(match[3]), digest))
    return [(path, _file(path, sorted(shards), step, where)) for path, shards in found.items()]


def _file(path: str, shards: list[tuple[int, int, str]], step: int, where: str) -> Row:
    size = shards[-1][1]
    for number, (start, end, _digest) in enumerate(shards):
        if (start, end) != (number * step, min((number + 1) * step, size)) or start >= end:
            message = f"{where} lists shards of {path!r} that are not {step} bytes each, to its end"
            raise NotTrusted(message)
    return Row(shards[0][2] if len(shards) == 1 else "", size, len(shards))
