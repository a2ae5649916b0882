"""Documents beside a spec and its lock, by their digests: what a scan on this side has made.

The lock pins them. They are no cache: a lock that names one cannot be exported without it.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

from bundle.durable import replace_file
from bundle.errors import SourceError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from bundle.artifact import Content
    from bundle.digest import Digest
    from bundler.sources.base import OpenAt


def folder(spec: Path) -> Path:
    """Return the folder beside the spec: ``dray.yaml`` has ``dray.scans``."""
    stem = spec.name.removesuffix(".yaml").removesuffix(".yml")
    return spec.with_name(f"{stem}.scans")


def put(spec: Path, digest: Digest, data: bytes) -> None:
    """Keep a document; raise :class:`UsageError`."""
    place = folder(spec)
    try:
        place.mkdir(exist_ok=True)
        replace_file(place / f"{digest.hex}.json", data)
    except OSError as error:
        reason = (error.strerror or "unknown reason").lower()
        raise UsageError(f"cannot write below {place}: {reason}") from None


def opener(spec: Path, content: Content) -> OpenAt:
    """Return what opens a document, at an offset; whoever reads it compares the digest."""
    path = folder(spec) / f"{content.digest.hex}.json"

    def open_at(offset: int, end: int | None = None) -> AbstractContextManager[Iterator[bytes]]:
        try:
            data = path.read_bytes()
        except OSError as error:
            raise SourceError(
                f"{path}: {(error.strerror or 'cannot be read').lower()}",
                hint="the lock names it: take it from where the lock came from, or run dray scan",
            ) from None
        return nullcontext(iter([data[offset:end]]))

    return open_at


def sweep(spec: Path, wanted: set[str]) -> None:
    """Remove the documents that are not ``wanted`` (hex digests): no lock names them any more."""
    place = folder(spec)
    for path in place.glob("*.json") if place.is_dir() else ():
        if len(path.stem) == 64 and path.stem not in wanted:
            path.unlink(missing_ok=True)
