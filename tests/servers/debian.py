"""Installs Debian packages: into the system as root, else unpacked into a folder of ours."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

TIMEOUT = 900  # seconds for one command


class AptError(Exception):
    """A package tool is missing or failed; the text says which and how."""


def is_root() -> bool:
    """Whether packages can be installed into the system."""
    return os.geteuid() == 0


def install(packages: Sequence[str], folder: Path, env: Mapping[str, str]) -> None:
    """Install the packages, or unpack them below ``folder``; raise :class:`AptError`."""
    for tool in ("apt-get", "dpkg"):
        if not shutil.which(tool, path=env.get("PATH")):
            msg = f"not a Debian machine (no {tool})"
            raise AptError(msg)
    quiet = {**env, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
    if not is_root():
        _unpack(packages, folder, quiet)
        return
    with _no_services():
        _run(["apt-get", "update", "-q"], quiet)
        options = (
            "-y",
            "-q",
            "--no-install-recommends",
            "-o",
            f"DPkg::Lock::Timeout={TIMEOUT // 3}",
        )
        _run(["apt-get", "install", *options, *packages], quiet)


@contextmanager
def _no_services() -> Iterator[None]:
    """Keep packages from starting their services (a registry on port 5000, for one).

    Source: Debian's invoke-rc.d, "policy-rc.d": exit status 101 forbids the action.
    """
    policy = Path("/usr/sbin/policy-rc.d")
    if policy.exists():
        yield
        return
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    try:
        yield
    finally:
        policy.unlink()


def _unpack(packages: Sequence[str], folder: Path, env: Mapping[str, str]) -> None:
    """Download and unpack the packages and the libraries they lack; write ``bin/NAME`` scripts."""
    root, debs = folder / "root", folder / "debs"
    debs.mkdir(parents=True, exist_ok=True)
    # What the solver would install: anybody may ask, and it knows what is here already.
    plan = _run(["apt-get", "install", "-s", "-q", "--no-install-recommends", *packages], env)
    if wanted := re.findall(r"^Inst (\S+)", plan, re.MULTILINE):
        _run(["apt-get", "download", "-q", *wanted], env, cwd=debs)
    for deb in sorted(debs.glob("*.deb")):
        _run(["dpkg-deb", "-x", str(deb), str(root)], env)
        deb.unlink()
    for programs in ("usr/bin", "usr/sbin", "bin", "sbin"):
        for program in sorted((root / programs).glob("*")):
            _wrap(program, root, folder / "bin")


def _wrap(program: Path, root: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    libraries = sorted({str(found.parent) for found in root.glob("**/*.so.*")})
    script = folder / program.name
    path = ":".join(libraries)
    script.write_text(f'#!/bin/sh\nLD_LIBRARY_PATH="{path}" exec "{program}" "$@"\n')
    script.chmod(0o755)


def _run(command: Sequence[str], env: Mapping[str, str], cwd: Path | None = None) -> str:
    try:
        done = subprocess.run(
            command,
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        msg = f"{command[0]}: {error}"
        raise AptError(msg) from None
    if done.returncode:
        msg = f"{command[0]} {command[1]} failed: {done.stderr.strip()[-500:]}"
        raise AptError(msg)
    return done.stdout


def unpack_from(suite: str, package: str, folder: Path, env: Mapping[str, str]) -> None:
    """Unpack one package of another release of Debian below ``folder/root``, from this machine's
    own mirrors; nothing of the system is changed. Raises :class:`AptError`.
    """
    places, lists = folder / "sources.list", folder / "lists"
    (lists / "partial").mkdir(parents=True, exist_ok=True)
    mirrors = sorted({mirror for text in _sources() for mirror in _MIRROR.findall(text)})
    key = "[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]"
    places.write_text("".join(f"deb {key} {mirror} {suite} main\n" for mirror in mirrors))
    options = {
        "Dir::Etc::sourcelist": places,
        "Dir::Etc::sourceparts": "-",
        "Dir::State::lists": lists,
        "Dir::Cache": folder,
        "APT::Sandbox::User": "root",
    }
    words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    _run(["apt-get", *words, "update", "-q"], env)
    _run(["apt-get", *words, "download", "-q", package], env, cwd=folder)
    for deb in folder.glob("*.deb"):
        _run(["dpkg-deb", "-x", str(deb), str(folder / "root")], env)
        deb.unlink()


_MIRROR = re.compile(r"https?://\S+/debian(?=\s|/?$)", re.MULTILINE)


def _sources() -> Iterator[str]:
    folder = Path("/etc/apt")
    for path in (folder / "sources.list", *sorted((folder / "sources.list.d").glob("*"))):
        if path.is_file():
            yield "\n".join(
                line for line in path.read_text().splitlines() if not line.startswith("#")
            )
