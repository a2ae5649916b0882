"""Signed blobs whose Zstandard streams lie: bombs, cut frames, other bytes, too much memory."""

from __future__ import annotations

import resource
from typing import TYPE_CHECKING, Any

import zstandard

from bundle import ustar
from bundle.chunks import chunk_name, member_name, prefix
from bundle.digest import Digest
from tests.refusals.table import Lie, check, rows

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.factory import Bundle

    Tell = Callable[[Bundle], object]

GIB = 1 << 30
BOMBS: dict[str, bytes] = {}


def stored(change: Callable[[bytes, bytes], bytes]) -> Tell:
    """Store other bytes for the encoded blob, in one part, and sign a manifest that fits them.

    ``change`` gets the Zstandard stream and the blob.
    """

    def tell(bundle: Bundle) -> None:
        manifest = bundle.manifest
        (blob,) = (blob for blob in manifest.blobs if blob.encoding == "zstd")
        data = b"".join(
            bundle.chunk(part.chunk).read_bytes()[part.offset : part.offset + part.size]
            for part in blob.parts
        )
        for number in range(2, len(manifest.chunks) + 1):
            bundle.chunk(number).unlink()
        text = zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True).read()
        write(bundle, blob.digest, prefix(manifest.index), change(data, text))

    return tell


def write(bundle: Bundle, digest: Digest, start: bytes, data: bytes) -> None:
    name = chunk_name(bundle.name, 2)
    member = ustar.member(member_name(digest, "zstd", None), data)
    whole = start + member + ustar.TRAILER
    (bundle.folder / name).write_bytes(whole)
    part = {"chunk": 2, "offset": len(start) + ustar.RECORD, "size": len(data)}

    def change(body: dict[str, Any]) -> None:
        (blob,) = (blob for blob in body["blobs"] if blob["digest"] == digest)
        blob["parts"] = [{**part, "digest": str(Digest.of(data))}]
        chunk = {"number": 2, "name": name, "size": len(whole), "digest": str(Digest.of(whole))}
        body["chunks"] = [body["chunks"][0], chunk]
        body["media"][0]["chunks"] = [1, 2]

    bundle.lie(change)


def frame(data: bytes, **options: Any) -> bytes:
    return zstandard.ZstdCompressor(**options).compress(data)


def bomb(_data: bytes, _text: bytes) -> bytes:
    """Return a frame of a gibibyte of zeros, in a few tens of kilobytes."""
    if "zeros" not in BOMBS:
        packer = zstandard.ZstdCompressor(level=1).compressobj()
        block = bytes(1 << 20)
        pieces = [packer.compress(block) for _ in range(GIB >> 20)]
        BOMBS["zeros"] = b"".join([*pieces, packer.flush()])
    return BOMBS["zeros"]


def wide(_data: bytes, text: bytes) -> bytes:
    """Return the blob in a frame that asks its reader for a window of 128 MiB."""
    parameters = zstandard.ZstdCompressionParameters.from_level(1, window_log=27)
    packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    return packer.compress(text) + packer.flush()


def flipped(data: bytes, _text: bytes) -> bytes:
    return data[:200] + bytes([data[200] ^ 1]) + data[201:]


INVALID = "is no valid Zstandard stream"
OTHER = "has other bytes than sha256:"
LIES = (
    Lie("a frame is cut", stored(lambda d, _t: d[: len(d) // 2]), 3, "ends after", inside=True),
    Lie("there is no frame", stored(lambda _d, _t: b""), 3, "ends after 0 of", inside=True),
    Lie(
        "a frame holds fewer bytes",
        stored(lambda _d, t: frame(t[:-1])),
        3,
        "ends after",
        inside=True,
    ),
    Lie(
        "a frame holds more bytes",
        stored(lambda _d, t: frame(t + b"!")),
        3,
        "more than the",
        inside=True,
    ),
    Lie("a frame more", stored(lambda d, _t: d + frame(b"!")), 3, "more than the", inside=True),
    Lie(
        "a frame holds other bytes",
        stored(lambda _d, t: frame(b"!" + t[1:])),
        3,
        OTHER,
        inside=True,
    ),
    Lie("a bomb of a gibibyte", stored(bomb), 3, "more than the", inside=True),
    Lie("a frame wants much memory", stored(wide), 3, INVALID, inside=True),
    Lie("a frame is damaged and signed so", stored(flipped), 3, "", inside=True),
    Lie("it is no frame at all", stored(lambda _d, t: t), 3, INVALID, inside=True),
    Lie("something follows the frames", stored(lambda d, _t: d + b"more"), 3, INVALID, inside=True),
    Lie("it is gzip", stored(lambda _d, _t: b"\x1f\x8b\x08" + bytes(90)), 3, INVALID, inside=True),
)


@rows([Lie(**{**vars(lie), "bundle": "packed"}) for lie in LIES])
def test_a_lie_in_an_encoded_blob_is_refused(
    lie: Lie, way: str, bundle: Bundle, target: Path, isolated: Path
) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    check(lie, way, bundle, target, isolated)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 64 << 10, f"{grown} KiB more at the peak"
