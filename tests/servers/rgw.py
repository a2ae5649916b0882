"""One-node Ceph RADOS Gateway over TLS, with its objects in memory."""

from __future__ import annotations

import subprocess
import time
import uuid
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from tests.servers import process, programs
from tests.servers.s3 import ACCESS_KEY, SECRET_KEY, ObjectStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.servers.ca import Authority

NEEDED = ("ceph-mon", "monmaptool", "ceph-osd", "radosgw", "radosgw-admin", "ceph", "ceph-authtool")
_TIMEOUT = 60  # seconds for one command; creating the first user makes all pools

# A public network of 127.0.0.0/8 keeps the OSD down; without cephx radosgw does not start.
# The monitor gathers changes for a second by default, and every pool is one: with 20 ms the gateway
# is up after one second instead of twelve. Without tcp_nodelay, which is off by default, each small
# answer of the gateway waits 40 ms for a delayed acknowledgement (Nagle's algorithm).
_CONFIG = """\
[global]
fsid = {fsid}
mon host = [v2:127.0.0.1:{mon2},v1:127.0.0.1:{mon1}]
public addr = 127.0.0.1
keyring = {folder}/keyring
admin socket =
log file = {folder}/$name.log
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon max pg per osd = 500
[mon]
mon data = {folder}/mon
mon data avail crit = 1
paxos propose interval = 0.02
paxos min wait = 0.01
[osd]
osd objectstore = memstore
osd data = {folder}/osd$id
memstore device bytes = 4294967296
osd class load list = *
osd class default list = *
[client.rgw]
rgw data = {folder}/rgw
rgw frontends = beast ssl_endpoint=127.0.0.1:{port} ssl_certificate={chain} tcp_nodelay=1
rgw thread pool size = 32
"""

_KEYS = (
    ("mon.", "mon", "allow *"),
    ("client.admin", "mon", "allow *", "osd", "allow *", "mgr", "allow *"),
    ("client.rgw", "mon", "allow rw", "osd", "allow rwx"),
    ("osd.0", "mon", "allow profile osd", "osd", "allow *"),
)


@contextmanager
def serve(folder: Path, tls: Authority) -> Iterator[ObjectStore]:
    """Run monitor, OSD and gateway in a folder that does not exist yet.

    Raises :class:`tests.servers.process.StartError`.
    """
    for name in NEEDED:
        programs.require(name)
    folder.mkdir(parents=True)
    with ExitStack() as stack:
        port = _configure(folder, tls)
        pids = [_start(stack, folder, "ceph-mon", "-i", "a")]
        _run(folder, "ceph", "osd", "new", str(osd := uuid.uuid4()), "0")
        _run(folder, "ceph-osd", "-i", "0", "--osd-uuid", str(osd), "--mkfs")
        pids.append(_start(stack, folder, "ceph-osd", "-i", "0"))
        _run(folder, "ceph", "auth", "import", "-i", str(folder / "keyring"))
        keys = (f"--access-key={ACCESS_KEY}", f"--secret={SECRET_KEY}")
        create = ("user", "create", "--uid=t", "--display-name=t", *keys)
        _run(folder, "radosgw-admin", "-n", "client.rgw", *create)
        pids.append(_start(stack, folder, "radosgw", "-n", "client.rgw"))
        _wait_until_it_answers(folder, port)
        yield ObjectStore(endpoint=f"https://127.0.0.1:{port}", ca=tls.ca, pids=tuple(pids))


def _configure(folder: Path, tls: Authority) -> int:
    """Write configuration, keys and the monitor's store; return the gateway's port."""
    for name in ("mon", "osd0", "rgw"):
        (folder / name).mkdir()
    mon2, mon1, port = process.free_ports(3)
    fsid = str(uuid.uuid4())
    (folder / "ceph.conf").write_text(
        _CONFIG.format(fsid=fsid, folder=folder, mon1=mon1, mon2=mon2, port=port, chain=tls.chain)
    )
    keyring, monmap = str(folder / "keyring"), str(folder / "monmap")
    (folder / "keyring").touch()
    for name, *caps in _KEYS:
        pairs = zip(caps[::2], caps[1::2], strict=True)
        flags = [word for kind, right in pairs for word in ("--cap", kind, right)]
        _run(folder, "ceph-authtool", keyring, "--gen-key", "-n", name, *flags)
    address = f"[v2:127.0.0.1:{mon2},v1:127.0.0.1:{mon1}]"
    _run(folder, "monmaptool", "--create", "--fsid", fsid, "--addv", "a", address, monmap)
    _run(folder, "ceph-mon", "--mkfs", "-i", "a", "--monmap", monmap, "--keyring", keyring)
    return port


def _environment(folder: Path) -> dict[str, str]:
    return {"CEPH_CONF": str(folder / "ceph.conf")}


def _start(stack: ExitStack, folder: Path, name: str, *arguments: str) -> int:
    """Run a daemon in the foreground until the stack unwinds; return its process id."""
    command: list[str | Path] = [programs.require(name), *arguments, "-f"]
    log = folder / f"{name}.out"
    child = process.running(command, log=log, env=_environment(folder), patience=0)
    return stack.enter_context(child).pid


def _run(folder: Path, name: str, *arguments: str) -> None:
    """Run a command of ceph's to its end; raise :class:`tests.servers.process.StartError`."""
    try:
        done = subprocess.run(
            [programs.require(name), *arguments],
            env={**process.BASE, **_environment(folder)},
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        msg = f"{name} {arguments[0]} took longer than {_TIMEOUT} s"
        raise process.StartError(msg) from None
    if done.returncode:
        raise process.StartError(f"{name} {' '.join(arguments)}: {done.stderr[-2000:]}")


def _wait_until_it_answers(folder: Path, port: int) -> None:
    deadline = time.monotonic() + process.START_TIMEOUT
    while time.monotonic() < deadline:
        if process.listens(port):
            return
        time.sleep(0.05)
    log = (folder / "radosgw.out").read_text(errors="replace")
    raise process.StartError(f"radosgw does not listen on {port}: {log[-2000:]}")
