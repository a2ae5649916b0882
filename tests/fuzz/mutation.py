"""Changes to bytes, for fuzzing without coverage: flips, cuts, copies, words that parsers know."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random

WORDS = (
    *(b'"', b"\\", b"{", b"}", b"[", b"]", b":", b",", b"\n", b"\0", b"\xff", b"\xc3\x28", b"\t"),
    *(
        b"null",
        b"true",
        b"NaN",
        b"-1",
        b"0",
        b"1e999",
        b"9007199254740993",
        b"1" * 400,
        b"- ",
        b"? ",
    ),
    *(b"&a ", b"*a", b"!!x ", b"<<: ", b"---\n", b"%YAML 1.1\n", b"'", b"|\n", b"#", b"../", b"/"),
    *(b"sha256:", b"\xed\xa0\x80", b"\\ud800", b"\xef\xbb\xbf", b"\xe2\x80\xae", b"=", b"@", b"~"),
    *(
        b"\x28\xb5\x2f\xfd",
        b"\x1f\x8b\x08",
        b"ustar\x0000",
        b"[" * 60,
        b'{"a":' * 60,
        b"\r\n",
        b" ",
    ),
)
LONGEST = 1 << 16


def mutate(data: bytes, other: bytes, source: random.Random) -> bytes:
    """Return ``data`` after one to eight changes, some of which take pieces of ``other``."""
    made = bytearray(data)
    for _ in range(source.randint(1, 8)):
        change(made, other, source)
    return bytes(made[:LONGEST])


def change(data: bytearray, other: bytes, source: random.Random) -> None:
    """Make one change in place."""
    at = source.randrange(len(data) + 1)
    end = min(len(data), at + source.choice((1, 1, 2, 4, 16, 64, 512)))
    match source.randrange(8):
        case 0 if at < len(data):
            data[at] ^= 1 << source.randrange(8)
        case 1 if at < len(data):
            data[at] = source.randrange(256)
        case 2:
            del data[at:end]
        case 3:
            data[at:at] = source.choice(WORDS)
        case 4:
            data[at:end] = source.choice(WORDS)
        case 5:
            data[at:at] = bytes(data[at:end]) * source.choice((1, 2, 50))
        case 6:
            start = source.randrange(len(other) + 1)
            data[at:end] = other[start : start + source.choice((4, 32, 256))]
        case _:
            data[at:at] = source.randbytes(source.choice((1, 4, 32)))
