"""Hostile inputs of 10 MB for every fuzz target: ``python -m tests.fuzz.bounds [TARGET]...``.

Each is given to its target in a process of its own. None may cost more than :data:`SECONDS` of
processor time, nor more memory than :data:`MEMORY`, its own bytes counted in.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import resource
import signal
import sys
import tarfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import zstandard

from tests.fuzz import recordtargets, targets, vendor
from tests.fuzz.corpus import seeds

if TYPE_CHECKING:
    from collections.abc import Iterator

SIZE = 10_000_000
MEMORY = 100_000_000
SECONDS = 5.0
WRAPPED = {"statement": vendor.wrapped, "receipt-statement": recordtargets.sealed}
"""Targets that sign what they are given, in base64: three quarters of a size come to the whole."""
_LISTS, _TEXTS = 12, 4
"""Lists and texts of a seed that are blown up, each by itself."""


@dataclass(frozen=True)
class Cost:
    """What an input cost: bytes of memory, seconds of processor time, and how its process ended."""

    memory: int
    seconds: float
    ended: str

    @property
    def fault(self) -> str:
        """What is too much, or nothing."""
        if self.ended:
            return self.ended
        if self.memory > MEMORY:
            return f"{self.memory // 10**6} MB"
        return f"{self.seconds:.1f} s" if self.seconds > SECONDS else ""


def hostile(target: str, size: int = SIZE) -> Iterator[tuple[str, bytes]]:
    """Yield the inputs for a target by name, made one at a time."""
    for unit in _UNITS:
        yield repr(unit), unit * (size // len(unit))
    for name, data in (*_documents(size), *_archives(size)):
        yield name, data
    done: set[str] = set()
    for name, data in seeds(target):
        if name.startswith("good") or "." in name:
            yield from ((f"{name}: {what}", made) for what, made in _blown_up(data, size, done))


_UNITS = (
    *(
        b"[",
        b'{"a":',
        b"[]",
        b"a",
        b" ",
        b"\n",
        b'"',
        b"\\",
        b"\0",
        b"\xff",
        b"9",
        b",",
        b":",
        b"- ",
    ),
    *(b"-\n", b"? ", b"a: b\n", b"- a\n", b"&a [", b"!!x ", b"#\n", b"---\n", b"\r\n", b"a:b\r\n"),
    *(b"-----BEGIN PUBLIC KEY-----\n", b"{{", b"{{ a }}\n", b"sha256:", b"\xf0\x9f\x98\x80", b"("),
    *(b'{"a":1}\n', b"/", b"a,", b"a=b,", b"====\n", b"%41", b"<"),
)


def _documents(size: int) -> Iterator[tuple[str, bytes]]:
    count = size // 10
    yield "tiny lists", b"[" + b"[]," * (size // 3) + b"[]]"
    yield "tiny objects", b"[" + b'{"a":1},' * (size // 8) + b"1]"
    yield "keys", b"{" + b",".join(b'"%06x":1' % n for n in range(count)) + b"}"
    yield "keys of objects", b"[" + b",".join(b'{"%04x":1}' % n for n in range(count)) + b"]"
    yield "one key", b"{" + b'"a":1,' * (size // 6) + b'"a":1}'
    yield "numbers", b"[" + b",".join(b"%d" % n for n in range(count, 2 * count)) + b"]"
    yield "texts", b"[" + b",".join(b'"%x"' % n for n in range(count)) + b"]"
    yield "one text", b'"' + b"a" * size + b'"'
    yield "one wide text", '"😀'.encode() + b"a" * size + b'"'
    yield "escapes", b'"' + b"\\u0041" * (size // 6) + b'"'
    yield "one number", b"9" * size
    yield "a fraction", b"0." + b"9" * size
    yield "alternating", b"[" * 39 + b"[]," * (size // 3) + b"1" + b"]" * 39
    yield "keys of yaml", b"".join(b"k%06x: v\n" % n for n in range(count))
    yield "nested yaml", b"- " * 30 + b"a\n" + b"- b\n" * (size // 4)
    yield "block text", b"a: |\n" + b" a\n" * (size // 3)
    yield "aliases", b"a: &a [x,x]\nb: [" + b"*a," * (size // 3) + b"]\n"


def _archives(size: int) -> Iterator[tuple[str, bytes]]:
    header = tarfile.TarInfo("x/a").tobuf(tarfile.USTAR_FORMAT)
    members = header * (size // len(header))
    zeros = bytes(1 << 20)
    for first in (b"", b"\0", b"\1", b"\2"):
        yield f"members {first!r}", first + members
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=9, mtime=0) as stream:
        for _ in range(size // 2500):
            stream.write(members[: 1 << 20])
    yield "gzip bomb of members", packed.getvalue()[:size]
    yield "layer of it", b"\1" + packed.getvalue()[:size]
    one = gzip.compress(header + zeros, mtime=0)
    yield "gzip members", one * (size // len(one))
    frame = zstandard.compress(zeros * 64)
    yield "zstd bomb", frame * (size // len(frame))
    yield "layer of zstd", b"\2" + frame * (size // len(frame))
    pax = tarfile.TarInfo("p")
    pax.type, pax.size = tarfile.XHDTYPE, size
    yield "one pax header", b"\0" + pax.tobuf(tarfile.USTAR_FORMAT) + b"9 a=b\n" * (size // 6)


def _blown_up(data: bytes, size: int, done: set[str]) -> Iterator[tuple[str, bytes]]:
    """Yield a seed made large; of lists and texts each that no seed before had, by its name."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        yield from _repeated(data, size)
        return
    for where, key in _new(_of_kind(document, list)[:_LISTS], done):
        kept, unit = where[key], json.dumps(where[key][:1])[1:-1] or "1"
        where[key] = "@@"
        before, after = json.dumps(document).encode().split(b'"@@"', 1)
        where[key] = kept
        text = unit.encode() + b","
        inside = text * (max(0, size - len(before) - len(after)) // len(text))
        yield f"list {key}", before + b"[" + inside + unit.encode() + b"]" + after
        yield f"list {key} of lists", before + b"[" + b"[]," * (size // 3) + b"[]]" + after
    for where, key in _new(_of_kind(document, str)[:_TEXTS], done):
        kept, where[key] = where[key], "@@"
        before, after = json.dumps(document).encode().split(b'"@@"', 1)
        where[key] = kept
        yield f"text {key}", before + b'"' + b"a" * size + b'"' + after


def _new(found: list[tuple[Any, Any]], done: set[str]) -> Iterator[tuple[Any, Any]]:
    for where, key in found:
        name = f"{type(where[key]).__name__} {key if isinstance(key, str) else ''}"
        if name not in done:
            done.add(name)
            yield where, key


def _repeated(data: bytes, size: int) -> Iterator[tuple[str, bytes]]:
    yield "repeated", data * max(1, size // max(1, len(data)))
    lines = data.split(b"\n")
    for number in {len(lines) // 4, len(lines) // 2} & set(range(len(lines))):
        line = lines[number] + b"\n"
        many = line * (size // len(line))
        yield f"line {number}", b"\n".join([*lines[:number], many, *lines[number:]])
        long = lines[number] + b"a" * size
        yield f"long line {number}", b"\n".join([*lines[:number], long, *lines[number + 1 :]])


def _of_kind(value: Any, kind: type) -> list[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = []
    inside = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in inside if isinstance(value, dict | list) else ():
        if isinstance(item, kind):
            found.append((value, key))
        if isinstance(item, dict | list):
            found += _of_kind(item, kind)
    return found


def cost(target: str, data: bytes) -> Cost:
    """Give an input to a target in a process of its own."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        _child(target, data, writing)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return Cost(0, 0, f"killed by {signal.Signals(os.WTERMSIG(status)).name}")
    found = json.loads(said)
    return Cost(found["memory"], found["seconds"], found["ended"])


def _child(target: str, data: bytes, pipe: int) -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (12, 12))
    most = _resident("VmSize") + (2 << 30)
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    given = WRAPPED[target](data) if target in WRAPPED else data  # and kept for the target
    before, started, ended = _resident("VmRSS"), time.process_time(), ""
    try:
        targets.check(targets.TARGETS[target], data)
    except targets.TooSlow:
        pass
    except BaseException as error:
        ended = f"{type(error).__name__}: {str(error)[:200]}"
    spent = time.process_time() - started
    memory = _resident("VmHWM") - before + len(given)
    said = {"memory": memory, "seconds": spent, "ended": ended}
    os.write(pipe, json.dumps(said).encode())
    os._exit(0)


def _resident(key: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(f"{key}:"))


@dataclass
class Row:
    """What a target cost at most, and for which input."""

    target: str
    inputs: int = 0
    memory: int = 0
    seconds: float = 0
    heaviest: str = ""
    slowest: str = ""
    faults: int = 0

    def add(self, name: str, found: Cost) -> None:
        """Take what one input cost."""
        self.inputs += 1
        self.faults += bool(found.fault)
        if found.memory > self.memory:
            self.memory, self.heaviest = found.memory, name
        if found.seconds > self.seconds:
            self.seconds, self.slowest = found.seconds, name

    def __str__(self) -> str:
        cells = f"{self.target:<18} {self.inputs:>4} {self.memory / 1e6:>4.0f} MB"
        cells += f" {self.seconds:>4.1f} s  {self.faults or ''}"
        return f"{cells:<40} {self.heaviest[:40]}; {self.slowest[:40]}".rstrip("; ")


def measured(target: str, size: int = SIZE) -> Row:
    """Give a target all its inputs; what is too much is said at once."""
    row = Row(target)
    for _, data in seeds(target):  # what is loaded late is no cost of an input
        targets.check(targets.TARGETS[target], data)
    for name, data in hostile(target, size * 3 // 4 if target in WRAPPED else size):
        found = cost(target, data)
        row.add(name, found)
        if found.fault:
            sys.stdout.write(f"TOO MUCH {target}: {name}: {found.fault}\n")
            sys.stdout.flush()
    return row


def main() -> None:
    """Run the targets named, or all, and print what each cost; exit with 1 if any was too much."""
    rows = []
    for target in sys.argv[1:] or targets.TARGETS:
        rows.append(measured(target))
        sys.stdout.write(f"{rows[-1]}\n")
        sys.stdout.flush()
    sys.stdout.write(f"\n{'target':<17} inputs  memory    time  faults; heaviest; slowest\n")
    sys.stdout.writelines(f"{row}\n" for row in rows)
    sys.exit(1 if any(row.faults for row in rows) else 0)


if __name__ == "__main__":
    main()
