"""Bytes that a target has already, read back and hashed before they are used anywhere else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bundle.digest import verified
from bundle.errors import TargetError, VerificationError

if TYPE_CHECKING:
    import hashlib
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from bundle.digest import Digest

    Open = Callable[[int], AbstractContextManager[Iterator[bytes]]]


@dataclass(frozen=True)
class Held:
    """A blob at ``place`` in a target; satisfies :class:`importer.targets.base.Blob`.

    ``open_at`` opens it at an offset. What the target says of it is no proof: every reading is
    hashed, and other bytes are the target's fault, not the medium's.
    """

    digest: Digest
    size: int
    place: str
    open_at: Open

    def blocks(self, *, offset: int = 0, sha: hashlib._Hash | None = None) -> Iterator[bytes]:
        """Yield the bytes from ``offset`` on; the last block only after the digest has matched."""
        try:
            with self.open_at(offset) as blocks:
                yield from verified(
                    blocks,
                    digest=self.digest,
                    size=self.size,
                    what=self.place,
                    start=offset,
                    sha=sha,
                )
        except VerificationError as error:
            raise TargetError(
                f"{self.place} is not what was imported there: {error.message}",
                hint="something changed it: import the bundle again that brought it",
                case="changed",
            ) from None

    def read(self) -> bytes:
        """Return all bytes, verified."""
        return b"".join(self.blocks())

    def prove(self) -> None:
        """Read and hash it all; raise :class:`TargetError` when the bytes are others."""
        for _block in self.blocks():
            pass
