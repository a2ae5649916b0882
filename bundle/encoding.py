"""How a stored blob becomes the blob: nothing to do, or Zstandard frames to decode."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bundle.errors import VerificationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

FRAME = 4 << 20
"""Bytes of the blob in each Zstandard frame: frames are made, resumed and read one by one."""
WINDOW = 8 << 20
"""The largest window that a reader grants, in bytes: memory stays flat whatever a frame says."""


def decode(blocks: Iterable[bytes], encoding: str, *, size: int, what: str) -> Iterator[bytes]:
    """Yield the blob's bytes out of its stored bytes, and never more than ``size`` and one block.

    Raises :class:`VerificationError` for frames that are damaged, ask for too much memory, or yield
    more than the signed size.
    """
    return iter(blocks) if encoding == "identity" else _zstd(blocks, size, what)


def _zstd(blocks: Iterable[bytes], size: int, what: str) -> Iterator[bytes]:
    import zstandard  # noqa: PLC0415  (only bundles with compressed blobs need it)

    decoder, seen = zstandard.ZstdDecompressor(max_window_size=WINDOW), 0
    source: Any = _Source(blocks)
    try:
        with decoder.stream_reader(source, read_across_frames=True, closefd=False) as stream:
            while block := stream.read(1 << 20):
                seen += len(block)
                if seen > size:
                    raise VerificationError(f"{what} decodes to more than the {size} bytes signed")
                yield block
    except zstandard.ZstdError as error:
        raise VerificationError(f"{what} is no valid Zstandard stream: {error}") from None


class _Source:
    """Blocks as a file to read from."""

    def __init__(self, blocks: Iterable[bytes]) -> None:
        self._blocks = iter(blocks)
        self._rest = b""

    def read(self, count: int) -> bytes:
        if not self._rest:
            self._rest = next(self._blocks, b"")
        taken, self._rest = self._rest[:count], self._rest[count:]
        return taken
