"""Finds one file in an image's layers, from the last to the first; nothing is ever extracted."""

from __future__ import annotations

import gzip
import io
import posixpath
import tarfile
import zlib
from contextlib import ExitStack, closing
from typing import IO, TYPE_CHECKING, Final, NamedTuple

from bundle.tarstream import Blocks, Passing

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from bundle.digest import Descriptor

    Open = Callable[[Descriptor], Generator[bytes, None, None]]

UNPACKED_LIMIT: Final = 128 << 30
"""Bytes that the layers of one image may unpack to until the file is found."""
FILE_LIMIT: Final = 16 << 20
WHOLE: Final = 64 << 20
"""A layer of at most so many bytes is read to its end, so that its digest vouches for the file."""
WINDOW: Final = 64 << 20
"""Bytes that a zstd frame may make us keep: what level 21 makes, ``--ultra -22`` is beyond it."""
_LINKS: Final = 4
_ZSTD: Final = ("+zstd", ".zstd")


class _Seen(NamedTuple):
    """What a layer says about a path: its bytes, a link to another path, or that it is gone."""

    data: bytes | None = None
    link: str = ""
    hidden: bool = False


def find(layers: Sequence[Descriptor], path: str, open_blob: Open) -> bytes | None:
    """Return a file of the image, or ``None`` when it has none of that path (no slash in front).

    ``open_blob`` yields a layer's bytes and checks them at their end; a layer that is larger than
    :data:`WHOLE` is read no further than to the file. Links that stand for the file itself are
    followed, whiteouts are honoured (OCI image-spec, layer.md). Raises ``ValueError`` with the
    reason for a layer that cannot be read, and for one that unpacks to too much.
    """
    budget = [UNPACKED_LIMIT]
    for _ in range(_LINKS):
        found = _through(layers, path, open_blob, budget)
        if not found.link:
            return found.data
        path = found.link
    raise ValueError(f"more than {_LINKS} links lead to the file")


def _through(layers: Sequence[Descriptor], path: str, open_blob: Open, budget: list[int]) -> _Seen:
    for layer in reversed(layers):
        seen = _in_layer(layer, path, open_blob, budget)
        if seen.data is not None or seen.link or seen.hidden:
            return seen
    return _Seen()


def _in_layer(layer: Descriptor, path: str, open_blob: Open, budget: list[int]) -> _Seen:
    kind = layer.media_type
    with ExitStack() as stack:
        blocks = stack.enter_context(closing(open_blob(layer)))
        try:
            with _unpacked(io.BufferedReader(Blocks(blocks), 1 << 20), kind) as plain:
                seen = _scan(_Capped(plain, budget), path)
        except _damages(kind) as fault:
            reason = type(fault).__name__
            raise ValueError(f"layer {layer.digest.short} is no tar: {reason}") from None
        if layer.size <= WHOLE:
            for _block in blocks:
                pass
    return seen


def _damages(media_type: str) -> tuple[type[Exception], ...]:
    known = (tarfile.TarError, zlib.error, EOFError, OSError, RecursionError)
    if not media_type.endswith(_ZSTD):
        return known
    import zstandard  # noqa: PLC0415  (start-up time)

    return (*known, zstandard.ZstdError)


def _unpacked(raw: io.BufferedReader, media_type: str) -> IO[bytes]:
    if media_type.endswith(("+gzip", ".gzip")):
        return gzip.GzipFile(fileobj=raw)  # type: ignore[return-value]
    if media_type.endswith(_ZSTD):
        import zstandard  # noqa: PLC0415  (start-up time)

        return zstandard.ZstdDecompressor(max_window_size=WINDOW).stream_reader(
            raw, read_across_frames=True
        )
    return raw


def _scan(stream: _Capped, path: str) -> _Seen:
    parents = _parents(path)
    gone = {_whiteout(step) for step in (*parents, path)}
    gone |= {f"{step}/.wh..wh..opq" for step in parents} | {".wh..wh..opq"}
    hidden = False
    with Passing.open(fileobj=stream, mode="r|") as archive:
        while (member := archive.next()) is not None:
            name = posixpath.normpath(member.name.lstrip("/"))
            if name == path:
                return _found(archive, member, path)
            if name in parents and not member.isdir():
                raise ValueError(f"/{name[:200]} is no folder in the image, but a link or a file")
            hidden = hidden or name in gone
    return _Seen(hidden=hidden)


def _found(archive: tarfile.TarFile, member: tarfile.TarInfo, path: str) -> _Seen:
    if member.issym():
        target = posixpath.join("/", posixpath.dirname(path), member.linkname)
        return _Seen(link=posixpath.normpath(target).lstrip("/"))
    if member.islnk():
        return _Seen(link=posixpath.normpath("/" + member.linkname).lstrip("/"))
    stream = archive.extractfile(member) if member.isreg() else None
    if stream is None or member.issparse() or member.size > FILE_LIMIT:
        raise ValueError(f"/{path} is no plain file, or has more than {FILE_LIMIT} bytes")
    with stream:
        return _Seen(data=stream.read())


def _parents(path: str) -> tuple[str, ...]:
    steps = path.split("/")
    return tuple("/".join(steps[:depth]) for depth in range(1, len(steps)))


def _whiteout(path: str) -> str:
    folder, name = posixpath.split(path)
    return posixpath.join(folder, f".wh.{name}")


class _Capped(io.RawIOBase):
    """The unpacked bytes of one layer, counted against the budget of the image."""

    def __init__(self, stream: IO[bytes], budget: list[int]) -> None:
        self._stream, self._budget = stream, budget

    def read(self, size: int = -1) -> bytes:
        block = self._stream.read(min(size, 1 << 20) if size >= 0 else 1 << 20)
        self._budget[0] -= len(block)
        if self._budget[0] < 0:
            raise ValueError(f"its layers unpack to more than {UNPACKED_LIMIT} bytes")
        return block
