"""The tamper matrix: every file of a bundle × everything that can be done to a file.

A short draw of it runs with the tests. ``python -m tests.refusals.matrix`` runs all of it: every
byte of a small bundle, and of a large one every boundary of its structure and random bytes.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bundle import ustar
from bundle.errors import DrayError
from bundle.signature import parse_sigstore
from tests import factory
from tests.refusals.table import VERIFY, dray

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bundler.lock import LockedArtifact
    from tests.factory import Bundle
    from tests.refusals.table import Answer

    Change = Callable[[bytearray], object]

BOUNDARY = 2
"""Bytes on each side of a boundary of the structure that the long run flips."""


@dataclass(frozen=True)
class Tampering:
    """One thing done to one file, or to two (``other``); the caller puts the bytes back."""

    name: str
    file: Path
    tell: Callable[[], object]
    other: Path | None = None


def class_of(name: str, bundle: Bundle) -> str:
    """Return what kind of file of the bundle ``name`` is."""
    if ".chunk-" in name:
        return "chunk"
    if name == f"{bundle.name}.manifest.json":
        return "manifest"
    for ending, kind in ((".sigstore.json", "signature"), (".sig", "raw signature")):
        if name.endswith(ending):
            return kind
    return "small"


CODES = {
    # what is done      chunk, manifest, signature, raw signature, small
    "flip": {"chunk": {3}, "manifest": {5}, "signature": {3, 5}, "raw signature": {3}},
    "truncate": {"chunk": {3}, "manifest": {5}, "signature": {0, 3, 5}, "raw signature": {3}},
    "extend": {"chunk": {3}, "manifest": {5}, "signature": {0, 3, 5}, "raw signature": {3}},
    "swap": {"chunk": {3, 5}, "manifest": {3, 5}, "signature": {3, 5}, "raw signature": {3, 5}},
    "older": {"chunk": {3}, "manifest": {5}, "signature": {5}, "raw signature": {3}},
    "delete": {"chunk": {4}, "manifest": {4}, "signature": {5}, "raw signature": {0}},
    "duplicate": {"chunk": {3}, "manifest": {3, 4}, "signature": {0, 3}, "raw signature": {3}},
    "symlink": {"chunk": {3}, "manifest": {3}, "signature": {3}, "raw signature": {3}},
    "fifo": {"chunk": {3}, "manifest": {3}, "signature": {3}, "raw signature": {3}},
    "directory": {"chunk": {3}, "manifest": {3}, "signature": {3}, "raw signature": {3}},
}
"""The exit codes that are right, by what was done to which kind of file.

0 stands where nothing is lost: white space less or more behind a signature's JSON, a copy of a
signature file, and a raw signature that is gone, which openssl needs and dray does not. A swap
takes the worse of the two files' answers.
"""
_SMALL = {"delete": {4}, "swap": {3, 5}}


def expected(operation: str, kind: str) -> set[int]:
    """Return the exit codes that are right."""
    if kind == "small":
        return _SMALL.get(operation, {3})
    return CODES[operation][kind]


def structural(bundle: Bundle, older: Bundle) -> Iterator[tuple[str, Tampering]]:
    """Yield everything but flips, as (operation, tampering)."""
    files = sorted(path for path in bundle.folder.iterdir())
    for path in files:
        size = path.stat().st_size
        for count in sorted({1, min(512, size), size // 2 or 1, size}):
            yield "truncate", Tampering(f"{path.name} less {count}", path, _edit(path, _cut(count)))
        for tail in (b"\0", b" ", bytes(512), b"}\n"):
            name = f"{path.name} and {tail[:2]!r}×{len(tail)}"
            yield "extend", Tampering(name, path, _edit(path, _grow(tail)))
        for other in files:
            if other > path and other.read_bytes() != path.read_bytes():
                what = f"{path.name} ⇄ {other.name}"
                yield "swap", Tampering(what, path, _swap(path, other), other)
        old = older.folder / path.name.replace(bundle.name, older.name)
        if old.is_file() and old.read_bytes() != path.read_bytes():
            yield "older", Tampering(f"{path.name} of {older.name}", path, _copy(old, path))
        yield "delete", Tampering(f"no {path.name}", path, path.unlink)
        copy = path.with_name(f"{path.stem}-copy{path.suffix}")
        yield "duplicate", Tampering(f"{path.name} twice", path, _copy(path, copy))
        for operation, make in INSTEAD.items():
            yield operation, Tampering(f"{path.name} as {operation}", path, _instead(path, make))


def flips(path: Path, offsets: Iterator[int] | range) -> Iterator[tuple[str, Tampering]]:
    """Yield a flip of one bit at each offset."""
    for at in offsets:
        bit = 1 << (at * 7 % 8)
        yield "flip", Tampering(f"{path.name} byte {at}", path, _flip(path, at, bit))


def boundaries(bundle: Bundle, number: int) -> list[int]:
    """Return the offsets around every boundary of a chunk's structure."""
    size = bundle.chunk(number).stat().st_size
    edges = {0, ustar.RECORD, size - 1024, size}
    for _blob, _index, part in bundle.manifest.parts_of(number):
        edges |= {part.offset - ustar.RECORD, part.offset, part.offset + part.size}
        edges |= {part.offset + ustar.span(part.size) - ustar.RECORD}
    near = {edge + step for edge in edges for step in range(-BOUNDARY, BOUNDARY)}
    return sorted(at for at in near if 0 <= at < size)


def judge(
    bundle: Bundle, operation: str, tampering: Tampering, *arguments: object, way: str = VERIFY
) -> Answer:
    """Tamper, run the command, and assert that it is found and named with the right exit code."""
    before = tampering.file.read_bytes()
    tampering.tell()
    answer = dray(
        way, "--trust", bundle.trust, *arguments, *bundle.folders, folder=bundle.trust.parent
    )
    kind = class_of(tampering.file.name, bundle)
    right = expected(operation, kind)
    if operation == "flip" and kind == "signature" and _only_hint(before, tampering.file):
        right = {0}
    assert answer.code in right, (operation, tampering.name, answer)
    assert "Traceback" not in answer.text, (tampering.name, answer)
    if answer.code:
        assert _named(tampering, bundle, answer), (tampering.name, answer)
    return answer


def _only_hint(before: bytes, file: Path) -> bool:
    """Whether only the hint of a signature file changed: it decides nothing, and is not signed."""
    try:
        after = parse_sigstore(file.read_bytes())
    except DrayError:
        return False
    return replace(after, hint="") == replace(parse_sigstore(before), hint="")


def _named(tampering: Tampering, bundle: Bundle, answer: Answer) -> bool:
    """Whether the message names the file; a broken manifest or signature may name the other.

    An import says the first of several, and verify all of them.
    """
    file, stem = tampering.file, f"{bundle.name}.manifest.json"
    names = [file.name, f"{file.stem}-copy", *([tampering.other.name] if tampering.other else [])]
    alike = stem in answer.text and file.name.startswith(stem)
    named = any(name in answer.text for name in names)
    return named or alike or "no bundle in" in answer.text or _unsigned(answer)


def _unsigned(answer: Answer) -> bool:
    return answer.code == 5 and "sign" in answer.text


@contextmanager
def restored(bundle: Bundle) -> Iterator[None]:
    """Put the bundle's folder back as it was, afterwards."""
    aside = bundle.folder.with_name(bundle.folder.name + "-aside")
    shutil.copytree(bundle.folder, aside)
    try:
        yield
    finally:
        shutil.rmtree(bundle.folder)
        aside.rename(bundle.folder)


def _edit(path: Path, change: Change) -> Callable[[], object]:
    def tell() -> None:
        data = bytearray(path.read_bytes())
        change(data)
        path.write_bytes(data)

    return tell


def _cut(count: int) -> Change:
    return lambda data: data.__delitem__(slice(len(data) - count, None))


def _grow(tail: bytes) -> Change:
    return lambda data: data.extend(tail)


def _flip(path: Path, at: int, bit: int) -> Callable[[], object]:
    def tell() -> None:
        with path.open("r+b") as file:
            file.seek(at)
            byte = file.read(1)[0]
            file.seek(at)
            file.write(bytes([byte ^ bit]))

    return tell


def _swap(one: Path, other: Path) -> Callable[[], object]:
    def tell() -> None:
        first, second = one.read_bytes(), other.read_bytes()
        one.write_bytes(second)
        other.write_bytes(first)

    return tell


def _copy(source: Path, to: Path) -> Callable[[], object]:
    return lambda: shutil.copyfile(source, to)


def _instead(path: Path, make: Callable[[Path, Path], object]) -> Callable[[], object]:
    def tell() -> None:
        aside = path.parent.parent / "elsewhere"
        aside.unlink(missing_ok=True)
        path.rename(aside)
        make(path, aside)

    return tell


INSTEAD: dict[str, Callable[[Path, Path], object]] = {
    "symlink": lambda path, aside: path.symlink_to(aside),
    "fifo": lambda path, _aside: os.mkfifo(path),
    "directory": lambda path, _aside: path.mkdir(),
}


# -- the long run -------------------------------------------------------------------------------


def large(kept: factory.Contents) -> tuple[LockedArtifact, ...]:
    """Return an image and a model of some megabytes, in chunks of which some are cut blobs."""
    layers = [factory.noise("large one", 3_000_001), factory.noise("large two", 700_000)]
    files = {"model.bin": factory.noise("large cut", 5_000_000), "config.json": b"{}"}
    return (
        factory.image(kept, "nvcr.io/nvidia/cuda:12.6", layers),
        factory.model(kept, "nvidia/riva", "1.0", files),
    )


def main() -> None:
    """Run the whole matrix, or as much of it as ``--seconds`` allow, in random order."""
    parser = argparse.ArgumentParser(prog="python -m tests.refusals.matrix", description=__doc__)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--random", type=int, default=10_000, help="Random bytes of the large one.")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 2**32)
    arguments = parser.parse_args()
    sys.stdout.write(f"tamper matrix, seed {arguments.seed}\n")
    source, end = random.Random(arguments.seed), time.monotonic() + arguments.seconds
    with tempfile.TemporaryDirectory(prefix="dray-matrix-") as root:
        os.environ["DRAY_STATE_DIR"] = f"{root}/state"
        for part, cases in _parts(Path(root), source, arguments.random).items():
            done = _run(cases, source, end)
            sys.stdout.write(f"{part}: {done} of {len(cases)} done, all found and named\n")


def _parts(
    root: Path, source: random.Random, count: int
) -> dict[str, list[tuple[Bundle, str, Tampering]]]:
    small, older = factory.build(root / "small", sequence=7), factory.build(root / "old")
    big = replace(
        factory.build(root / "large", large, sequence=9, chunk_size=4_000_000), trust=small.trust
    )
    chunks = [(big.chunk(chunk.number), chunk) for chunk in big.manifest.chunks]
    points = [
        case for path, chunk in chunks for case in flips(path, iter(boundaries(big, chunk.number)))
    ]
    for _ in range(count):
        path, chunk = source.choice(chunks)
        points += flips(path, iter([source.randrange(chunk.size)]))
    every = [
        case
        for path in sorted(small.folder.iterdir())
        for case in flips(path, range(path.stat().st_size))
    ]
    return {
        "structure": [(small, *case) for case in structural(small, older)],
        "every byte of a small bundle": [(small, *case) for case in every],
        "boundaries and random bytes of a large one": [(big, *case) for case in points],
    }


def _run(cases: list[tuple[Bundle, str, Tampering]], source: random.Random, end: float) -> int:
    source.shuffle(cases)
    for number, (bundle, operation, tampering) in enumerate(cases):
        if time.monotonic() > end:
            return number
        if operation == "flip":
            try:
                judge(bundle, operation, tampering)
            finally:
                tampering.tell()  # a flip undoes itself
        else:
            with restored(bundle):
                judge(bundle, operation, tampering)
    return len(cases)


if __name__ == "__main__":
    main()
