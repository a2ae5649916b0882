"""Runs one fuzz target for a while, or all of them: ``python -m tests.fuzz TARGET [--seconds N]``.

``all`` runs each in a process of its own, one after another, and names those that failed.

With atheris (``pip install atheris``) the search is led by coverage, documents are changed as
documents half of the time, and what is interesting is kept in ``.cache/fuzz/TARGET``. Without it,
seeds are changed blindly, which is said.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import random
import resource
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from tests.fuzz import structure
from tests.fuzz.corpus import CACHE, CORPORA, seeds
from tests.fuzz.mutation import LONGEST, mutate

if TYPE_CHECKING:
    from collections.abc import Callable

MEMORY = 3 << 30
"""Bytes of address space that a run without atheris may take."""


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("target")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--blind", action="store_true", help="Do without atheris.")
    arguments = parser.parse_args()
    if arguments.target == "all":
        every(sys.argv[2:])
    elif importlib.util.find_spec("atheris") and not arguments.blind:
        led(arguments.target, arguments.seconds)
    else:
        sys.stdout.write("without atheris: seeds are changed blindly, with no coverage\n")
        blind(arguments.target, arguments.seconds)


def every(options: list[str]) -> None:
    """Run every target; exit with 1 when one of them failed."""
    from tests.fuzz import targets

    failed = []
    for name in targets.TARGETS:
        sys.stdout.write(f"== {name}\n")
        sys.stdout.flush()
        command = [sys.executable, "-m", "tests.fuzz", name, *options]
        if subprocess.run(command, check=False).returncode:
            failed.append(name)
    sys.exit(f"failed: {', '.join(failed)}" if failed else 0)


def led(name: str, seconds: int) -> None:
    """Fuzz with atheris, which ends the process."""
    import atheris

    with atheris.instrument_imports(include=["bundle", "bundler", "importer"]):
        one = check_of(name)
    found = CACHE / name
    found.mkdir(parents=True, exist_ok=True)
    options = [f"-max_total_time={seconds}", f"-max_len={LONGEST}", "-rss_limit_mb=2048"]
    options += ["-timeout=20", f"-artifact_prefix={found}-", "-print_final_stats=1"]

    def change(data: bytes, most: int, seed: int) -> bytes:
        source = random.Random(seed)
        made = structure.mutate(data, source) if source.getrandbits(1) else None
        return made if made and len(made) <= most else atheris.Mutate(data, most)

    arguments = [sys.argv[0], *options, str(found), str(CORPORA / name)]
    atheris.Setup(arguments, one, custom_mutator=change)
    atheris.Fuzz()


def check_of(name: str) -> Callable[[bytes], None]:
    """Return a function of bytes; imports the product, so that it can be instrumented."""
    from tests.fuzz import targets

    if name not in targets.TARGETS:
        sys.exit(f"no such target: {name}; there are: {', '.join(targets.TARGETS)}")
    return lambda data: targets.check(targets.TARGETS[name], data)


def blind(name: str, seconds: int) -> None:
    """Fuzz without coverage; the input that fails is written beside the cache and its path said."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    one, pool = check_of(name), [data for _, data in seeds(name)]
    source, end = random.Random(time.time_ns()), time.monotonic() + seconds
    for count in itertools.count():
        data = mutate(source.choice(pool), source.choice(pool), source)
        try:
            one(data)
        except BaseException:
            path = CACHE / f"{name}-crash"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            sys.stdout.write(f"{name}: failed at input {count}, which is in {path}\n")
            raise
        if time.monotonic() > end:
            sys.stdout.write(f"{name}: {count + 1} inputs, nothing found\n")
            return


if __name__ == "__main__":
    main()
