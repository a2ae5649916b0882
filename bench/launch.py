"""Runs commands one after another and reports what they cost; a small process by design.

The kernel counts what a process held before it became another program (``execve(2)`` keeps
``ru_maxrss``), so a large parent would pass its own memory off as the tool's. This one is run with
``python -I -S`` and holds some 10 MB, below which no figure means anything.
"""

import json
import os
import resource
import sys
import time


def main() -> None:
    """Read a job from standard input, run it, and print its cost as one JSON object.

    The job has ``steps`` (lists of arguments), ``env``, ``cwd`` and ``log`` (where all output
    goes). The answer has ``wall`` and ``cpu`` in seconds, ``rss`` in bytes (the largest of any
    step) and ``code``, that of the first step that failed, after which none is run.
    """
    job = json.load(sys.stdin)
    os.chdir(job["cwd"])
    cpu, rss, code = 0.0, 0, 0
    begun = time.monotonic()
    for step in job["steps"]:
        code, used = _run(step, job["env"], job["log"])
        cpu += used.ru_utime + used.ru_stime
        rss = max(rss, used.ru_maxrss * 1024)
        if code:
            break
    cost = {"wall": time.monotonic() - begun, "cpu": cpu, "rss": rss, "code": code}
    sys.stdout.write(json.dumps(cost))


def _run(step: list[str], env: dict[str, str], log: str) -> tuple[int, resource.struct_rusage]:
    append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    files = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, log, append, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    try:
        child = os.posix_spawn(step[0], step, env, file_actions=files)
    except OSError as error:
        with open(log, "a") as file:  # noqa: PTH123  (pathlib would double what this process holds)
            file.write(f"{step[0]}: {error.strerror}")
        return 127, resource.getrusage(resource.RUSAGE_CHILDREN)
    _, status, used = os.wait4(child, 0)
    return os.waitstatus_to_exitcode(status), used


if __name__ == "__main__":
    main()
