"""``versitygw posix`` over TLS: an S3 service as strict as Amazon's, with versions and locks."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.servers import process, programs
from tests.servers.s3 import ACCESS_KEY, REGION, SECRET_KEY, ObjectStore

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

    from tests.servers.ca import Authority


@contextmanager
def serve(folder: Path, tls: Authority) -> Iterator[ObjectStore]:
    """Run it over ``folder``; metadata lies beside the files, as not every file system has room
    for it in extended attributes.
    """
    binary = programs.require("versitygw")
    data, versions, sidecar = (folder / name for name in ("data", "versions", "sidecar"))
    for place in (data, versions, sidecar):
        place.mkdir(parents=True, exist_ok=True)
    (port,) = process.free_ports(1)
    command: list[str | Path] = [binary, "--port", f"127.0.0.1:{port}", "--region", REGION]
    command += ["--access", ACCESS_KEY, "--secret", SECRET_KEY]
    command += ["--cert", tls.cert, "--key", tls.key]
    command += ["posix", "--versioning-dir", versions, "--sidecar", sidecar, data]
    log = folder / "versitygw.log"
    with process.running(command, log=log, patience=0) as child:
        _wait_until_it_answers(child, log, port)
        yield ObjectStore(endpoint=f"https://127.0.0.1:{port}", ca=tls.ca, pids=(child.pid,))


def _wait_until_it_answers(child: subprocess.Popen[bytes], log: Path, port: int) -> None:
    deadline = time.monotonic() + process.START_TIMEOUT
    while time.monotonic() < deadline and child.poll() is None:
        if process.listens(port):
            return
        time.sleep(0.02)
    said = log.read_text(errors="replace")[-2000:]
    raise process.StartError(f"versitygw does not listen: {said}")
