"""The first trust file of a stream; its later versions are signed by the keys that it names."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from bundle import instant
from bundle.quorum import Role, Stream
from bundle.trust import Trust
from bundler.finish import put

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from bundle.signature import PublicKey

LIFETIME = timedelta(days=365)


def first(path: Path, stream: str, keys: Mapping[str, PublicKey]) -> Path:
    """Write version 1: every key may change the trust file and sign for ``stream``, alone."""
    names = tuple(keys)
    trust = Trust(
        version=1,
        expires=instant.now() + LIFETIME,
        keys=dict(keys),
        root=Role(names, 1),
        streams={stream: Stream.of(names, 1)},
    )
    put(path, trust.to_bytes())
    return path
