"""docker-registry (CNCF distribution 2.8) on loopback: plain, TLS, password or token."""

from __future__ import annotations

import json
import re
import time
import uuid
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from tests.servers import process, programs, tokens

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.servers.ca import Authority

USERNAME = "robot$dray+importer"
"""As Harbor names its robots: with the characters that shells and parsers get wrong."""
PASSWORD = "loopback-only"  # a password of test servers, which live for one run
_HTPASSWD = f"{USERNAME}:$2y$04$WuP1vsXsg1nqmqFXhfTSK.wdXvqg/LE2LaSDSaJg2ZwdmsqNuuMAK\n"

_ACCESS = re.compile(r'"(?P<method>[A-Z]+) (?P<path>\S+) HTTP/[\d.]+" (?P<status>\d{3}) ')


@dataclass(frozen=True, slots=True)
class Registry:
    """A running registry. ``host`` is what a reference starts with, ``url`` has the scheme."""

    host: str
    url: str
    folder: Path
    """Its storage is ``folder/data`` (when on disk), its log ``folder/registry.log``."""
    ca: Path | None = None
    username: str = ""
    password: str = ""
    tokens: tokens.TokenServer | None = None
    pid: int = field(default=0, compare=False)

    @property
    def port(self) -> int:
        """The port, for a proxy in front of it."""
        return int(self.host.rpartition(":")[2])

    @property
    def log(self) -> Path:
        """What the registry has said so far."""
        return self.folder / "registry.log"

    def repository(self, name: str = "repo") -> str:
        """Return a repository name that no other test uses, ending in ``/name``."""
        return f"t{uuid.uuid4().hex[:12]}/{name}"

    def requests(self) -> list[tuple[str, str, int]]:
        """Return method, path with query, and status of every request answered so far."""
        found = _ACCESS.finditer(self.log.read_text(errors="replace"))
        return [(m["method"], m["path"], int(m["status"])) for m in found]

    def settled(self) -> int:
        """Return how many requests were answered, once the answers to a killed client are logged.

        The log has a request when its answer has ended, which may be after its client has.
        """
        count = -1
        while count != (now := len(self.requests())):
            count = now
            time.sleep(0.15)
        return count

    def docker_config(self) -> str:
        """Return the text of a ``config.json`` that holds this registry's credentials."""
        return json.dumps(
            {"auths": {self.host: {"auth": tokens.basic(self.username, self.password)}}}
        )


@contextmanager
def serve(
    folder: Path,
    *,
    auth: Literal["", "basic", "token"] = "",
    tls: Authority | None = None,
    memory: bool = False,
) -> Iterator[Registry]:
    """Run a registry with deletion enabled; ``folder`` must be empty or its own from before.

    Served again from the same folder, it has the same content at another port. Raises
    :class:`tests.servers.process.StartError`.
    """
    binary = programs.require("docker-registry")
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        issuer = (
            stack.enter_context(tokens.serve(folder, USERNAME, PASSWORD))
            if auth == "token"
            else None
        )
        config = folder / "config.json"
        config.write_text(json.dumps(_config(folder, auth, tls, memory, issuer)))
        log = folder / "registry.log"
        log.write_text("")
        child = stack.enter_context(process.running([binary, "serve", config], log=log))
        port = process.wait_for(child, log, r"listening on 127\.0\.0\.1:(\d+)")
        yield Registry(
            host=f"127.0.0.1:{port}",
            url=f"{'https' if tls else 'http'}://127.0.0.1:{port}",
            folder=folder,
            ca=tls.ca if tls else None,
            username=USERNAME if auth else "",
            password=PASSWORD if auth else "",
            tokens=issuer,
            pid=child.pid,
        )


def _config(
    folder: Path,
    auth: str,
    tls: Authority | None,
    memory: bool,
    issuer: tokens.TokenServer | None,
) -> dict[str, Any]:
    """Return the registry's configuration; JSON is YAML."""
    store: dict[str, Any] = {"filesystem": {"rootdirectory": str(folder / "data")}}
    storage = {
        **({"inmemory": {}} if memory else store),
        "delete": {"enabled": True},
        "maintenance": {"uploadpurging": {"enabled": False}},
    }
    http: dict[str, Any] = {"addr": "127.0.0.1:0", "secret": "one-run-only"}
    if tls:
        http["tls"] = {"certificate": str(tls.cert), "key": str(tls.key)}
    config = {"version": "0.1", "log": {"level": "info"}, "storage": storage, "http": http}
    if auth == "basic":
        (folder / "htpasswd").write_text(_HTPASSWD)
        config["auth"] = {"htpasswd": {"realm": "dray", "path": str(folder / "htpasswd")}}
    if issuer:
        config["auth"] = {"token": issuer.registry_config()}
    return config
