"""A kit with its own interpreter: PyInstaller over a kit's wheels, and nothing else of this host.

PyInstaller is run as a program, out of wheels that were fetched as the others are. What it collects
beside the wheels is this host's Python with the shared libraries that it needs. Source: PyInstaller
manual, "Creating a Reproducible Build" and "Making GNU/Linux Apps Forward-Compatible".
"""

from __future__ import annotations

import io
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from bundle.errors import DrayError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bundler.kit.wheels import Wheel

TOOLS = ("pyinstaller>=6.11,<7",)
PROGRAMS = ("ldd", "objcopy", "objdump")
"""What PyInstaller runs on Linux: of libc and of binutils."""
OWN = f"{sys.version_info.major}.{sys.version_info.minor}"
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
_PATIENCE = 1800
"""Seconds for PyInstaller: it takes about twenty of a processor."""
_EPOCH = "315532800"
"""The moment that is put where a format wants one: 1980-01-01, the first that a zip can hold."""
_GLIBC = re.compile(rb"\0GLIBC_2\.([0-9]{1,3})(?=\0)")
_HINT = "without --standalone, the kit takes the Python of the other side's hosts"


@dataclass(frozen=True)
class Frozen:
    """What PyInstaller made: bytes by path, with which are programs, and what they run on."""

    files: Mapping[str, tuple[bytes, bool]]
    platform: str
    libc: tuple[str, str]
    interpreter: str


def check_host(wanted: tuple[str, tuple[str, str]]) -> None:
    """Raise :class:`UsageError` when this host cannot make what is wanted."""
    own = host()
    if (wanted[0], wanted[1][0]) != own:
        what = f"this host is {own[0]} with {own[1]}: a standalone kit is made of its own Python"
        raise UsageError(what, hint="make it on a host of that platform; " + _HINT)
    missing = [program for program in PROGRAMS if not shutil.which(program)]
    if missing:
        hint = "install binutils, which has objcopy and objdump; " + _HINT
        raise UsageError(f"--standalone needs {', '.join(missing)}", hint=hint)


def host() -> tuple[str, str]:
    """Return this host's platform and C library."""
    machine = platform.machine()
    name = f"{platform.system().lower()}/{_MACHINES.get(machine, machine)}"
    return name, "glibc" if platform.libc_ver()[0] == "glibc" else "musl"


def freeze(wheels: Iterable[Wheel], tools: Iterable[Wheel]) -> Frozen:
    """Return the program with an interpreter: the same bytes on the same host.

    Raises :class:`UsageError` when this Python cannot be packed.
    """
    with tempfile.TemporaryDirectory(prefix="dray-kit-") as work:
        folder = Path(work)
        for name, found in (("lib", wheels), ("tools", tools)):
            for wheel in found:
                _unpack(wheel, folder / name)
        (folder / "dray.py").write_text(_text("kit-standalone-py.txt"), encoding="utf-8")
        (folder / "dray.spec").write_text(_text("kit-standalone-spec.txt"), encoding="utf-8")
        _run(folder)
        made = dict(_collected(folder / "dist" / "dray"))
    name, libc = host()
    oldest = _glibc(data for data, _program in made.values()) if libc == "glibc" else "1.2"
    return Frozen(made, name, (libc, oldest), platform.python_version())


def _unpack(wheel: Wheel, folder: Path) -> None:
    """Unpack a wheel as an installer does: PEP 427, without its programs."""
    with zipfile.ZipFile(io.BytesIO(wheel.data)) as archive:
        archive.extractall(folder)  # zipfile keeps names within the folder
    name, version = wheel.name
    extra = folder / f"{name}-{version}.data"
    for part in ("purelib", "platlib"):
        if (extra / part).is_dir():
            shutil.copytree(extra / part, folder, dirs_exist_ok=True)
    shutil.rmtree(extra, ignore_errors=True)


def _run(folder: Path) -> None:
    """Run PyInstaller where it sees the wheels and the standard library, and no other package."""
    environment = {
        "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
        "HOME": str(folder),
        "LC_ALL": "C.UTF-8",
        "PYTHONPATH": f"{folder / 'lib'}{os.pathsep}{folder / 'tools'}",
        "PYTHONHASHSEED": "1",
        "SOURCE_DATE_EPOCH": _EPOCH,
        "PYINSTALLER_CONFIG_DIR": str(folder / "config"),
    }
    environment |= {k: v for k, v in os.environ.items() if k == "LD_LIBRARY_PATH"}
    command = [
        sys.executable,
        "-s",
        "-S",
        "-m",
        "PyInstaller",
        "--noconfirm",
        "--log-level",
        "WARN",
    ]
    command += ["--distpath", "dist", "--workpath", "build", "dray.spec"]
    try:
        done = subprocess.run(  # noqa: S603  (our own interpreter, and no word of a stranger)
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise DrayError(f"PyInstaller took longer than {_PATIENCE} s", hint=_HINT) from None
    if done.returncode or not (folder / "dist" / "dray" / "dray").is_file():
        raise _failed(done.stderr.decode("utf-8", "replace"))


def _failed(said: str) -> UsageError:
    if "PythonLibraryNotFound" in said or "without shared library" in said:
        hint = "take one that has it: libpython3 of the distribution, or --enable-shared"
        return UsageError(f"{sys.executable} has no shared library, which is needed", hint=hint)
    last = [line for line in said.splitlines() if line.strip()]
    return UsageError(f"PyInstaller failed: {(last or ['nothing said'])[-1][:300]}", hint=_HINT)


def _collected(folder: Path) -> Iterable[tuple[str, tuple[bytes, bool]]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file():  # a link to another file of the folder becomes a file
            name = path.relative_to(folder).as_posix()
            yield name, (path.read_bytes(), name == "dray")


def _glibc(programs: Iterable[bytes]) -> str:
    """Return the newest version of glibc whose functions are used: the oldest that will do."""
    found = [int(number) for data in programs for number in _GLIBC.findall(data) if _is_elf(data)]
    return f"2.{max(found, default=17)}"


def _is_elf(data: bytes) -> bool:
    return data.startswith(b"\x7fELF")


def _text(name: str) -> str:
    return (files("bundler") / "texts" / name).read_text(encoding="utf-8")
