"""A person's desk on the low or the high side: a folder with spec, key and trust, and the CLI."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from unittest import mock

from bundle.cli import main
from bundle.digest import Digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from tests.servers.proxy import Direction, FaultProxy

STREAM = "prod"
PATIENCE = 120
"""Seconds after which a command counts as hung."""
CHUNK = "1MiB"
"""The smallest chunk size that there is: content of a few megabytes is cut by it."""
Place = Any


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON object of ``--json``."""
        return json.loads(self.out)


@dataclass(frozen=True, slots=True)
class Desk:
    """Runs ``dray`` in ``folder``, where ``dray.key``, ``dray.pub`` and ``trust.json`` lie."""

    folder: Path

    def dray(self, *arguments: object, code: int = 0) -> Done:
        """Run the command line in this process and expect an exit code."""
        done = self.attempt(*arguments)
        assert done.code == code, f"dray {arguments} ended with {done}"
        return done

    def attempt(self, *arguments: object) -> Done:
        """Run the command line in this process, however it ends.

        Here, and not in a process of its own, because pytest makes errors of sockets and files
        that nobody closed; and because it is five times faster.
        """
        out, err = io.StringIO(), io.StringIO()
        ended = 0
        with (
            contextlib.chdir(self.folder),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            mock.patch.object(sys, "argv", ["dray", *map(str, arguments)]),
        ):
            try:
                main()
            except SystemExit as end:
                ended = int(end.code or 0)
        done = Done(ended, out.getvalue(), err.getvalue())
        assert "Traceback" not in done.err, done.err
        return done

    def start(
        self, *arguments: object, through: Iterable[object] = ("bundle.cli",)
    ) -> subprocess.Popen[str]:
        """Start the command line in a process of its own, to be killed or stopped.

        ``through`` is a module to run instead of the program itself, with arguments before those.
        """
        module, *before = map(str, through)
        if module == "bundle.cli":
            command = [sys.executable, "-c", "import bundle.cli; bundle.cli.main()", *before]
        else:
            command = [sys.executable, "-m", module, *before]
        return subprocess.Popen(
            [*command, *map(str, arguments)],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": ROOT},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def killed(
        self, proxy: FaultProxy, count: int, *arguments: object, direction: Direction = "down"
    ) -> Done:
        """Run the command line, and kill it when ``count`` bytes have passed a proxy."""
        return self.signalled(proxy, count, signal.SIGKILL, *arguments, direction=direction)

    def signalled(
        self,
        proxy: FaultProxy,
        count: int,
        number: signal.Signals,
        *arguments: object,
        direction: Direction = "down",
    ) -> Done:
        """Run the command line, and send it a signal when ``count`` bytes have passed a proxy."""
        running: list[subprocess.Popen[str]] = []
        proxy.call(count, lambda: running[0].send_signal(number), direction)
        running.append(self.start(*arguments))
        try:
            return finish(running[0])
        finally:
            proxy.clear()

    def spec(self, *images: str, **more: Any) -> Path:
        """Write ``dray.yaml`` (as JSON, which is YAML); keys with an underscore get a hyphen."""
        body: dict[str, Any] = {"apiVersion": "dray/v1", "stream": STREAM, "platforms": "all"}
        body |= {"images": list(images)} if images else {}
        path = self.folder / "dray.yaml"
        path.write_text(json.dumps({**body, **more}, indent=1))
        return path

    def lock(self, *images: str, **more: Any) -> Path:
        """Write a spec and lock it; return the spec."""
        path = self.spec(*images, **more)
        self.dray("lock", path)
        return path

    def export(self, to: Path, *options: object, code: int = 0, chunk: str = CHUNK) -> Done:
        """Export ``dray.yaml`` into a folder in small chunks."""
        return self.dray(
            "export", "dray.yaml", "--to", to, "--chunk-size", chunk, *options, code=code
        )

    def verify(self, *folders: object, code: int = 0) -> Done:
        """Verify with the desk's trust file."""
        return self.dray("verify", *folders, "--trust", "trust.json", code=code)

    def load(self, folder: Place, *targets: object, code: int = 0, options: Any = ()) -> Done:
        """Import into the targets, with ``--json``."""
        to = [part for target in targets for part in ("--to", target)]
        arguments = ["import", folder, *to, "--trust", "trust.json", "--json", *options]
        return self.dray(*arguments, code=code)


ROOT = os.pathsep.join(part for part in sys.path if part)


def finish(process: subprocess.Popen[str]) -> Done:
    """Wait for a process and return what it said."""
    try:
        out, err = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return Done(process.returncode, out, err)


def copy(desk: Desk, folder: Path) -> Desk:
    """Return another desk with the same key, trust, spec and lock."""
    folder.mkdir(parents=True)
    for path in desk.folder.glob("*"):
        if path.is_file():
            shutil.copy(path, folder)
    return Desk(folder)


def chunks(*folders: Path) -> dict[str, Digest]:
    """Return the digests of all chunks below the folders, by name and in its order."""
    found = [path for folder in folders for path in folder.rglob("*.chunk-*.tar")]
    found.sort(key=lambda path: path.name)
    return {path.name: Digest.of(path.read_bytes()) for path in found}


def leftovers(*folders: Path) -> list[str]:
    """Return what an export that is complete must not leave behind."""
    endings = (".partial", ".journal", ".lock")
    return [path.name for folder in folders for path in folder.rglob("*") if path.suffix in endings]


def tree(folder: Path, keep: Callable[[Path], bool] = lambda _path: True) -> dict[str, bytes]:
    """Return every file below a folder with its bytes."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and keep(path)
    }
