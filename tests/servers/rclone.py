"""``rclone serve s3`` on loopback: an S3 service that starts in a second, plain or over TLS."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.servers import process, programs
from tests.servers.s3 import ACCESS_KEY, SECRET_KEY, ObjectStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.servers.ca import Authority


@contextmanager
def serve(folder: Path, *, tls: Authority | None = None) -> Iterator[ObjectStore]:
    """Run it over ``folder/data``: a bucket is a folder in there, an object a file."""
    binary = programs.require("rclone")
    data, log = folder / "data", folder / "rclone.log"
    data.mkdir(parents=True, exist_ok=True)
    log.write_text("")
    command: list[str | Path] = [
        binary,
        "serve",
        "s3",
        "--config",
        "/dev/null",
        "--addr",
        "127.0.0.1:0",
    ]
    command += ["--auth-key", f"{ACCESS_KEY},{SECRET_KEY}", "--log-level", "INFO"]
    if tls:
        command += ["--cert", tls.cert, "--key", tls.key]
    with process.running([*command, data], log=log) as child:
        url = process.wait_for(child, log, r"\[?(https?://127\.0\.0\.1:\d+)/")
        yield ObjectStore(endpoint=url, ca=tls.ca if tls else None, pids=(child.pid,))
