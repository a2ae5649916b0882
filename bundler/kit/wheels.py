"""The wheels of a kit: dray's own, without the low side, and those that it needs, by pip.

pip is run as a program: its index, its proxies and its cache are those of this host's settings.
"""

from __future__ import annotations

import base64
import hashlib
import io
import re
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass, replace
from functools import cached_property
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import bundle
from bundle.child import environment
from bundle.digest import Digest
from bundle.errors import SourceError, UsageError
from bundle.kit.document import Package
from bundle.kit.versions import installed
from bundler.kit import pins

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

PACKAGES = ("schemas", "bundle", "importer")
_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The oldest time that a zip can hold."""
_WHEEL = re.compile(r"([A-Za-z0-9_.]+)-([A-Za-z0-9_.!+]+)(?:-\d[^-]*)?-[^-]+-[^-]+-[^-]+\.whl")
_PATIENCE = 900
"""Seconds for pip to fetch everything for one Python."""
_HINT = "pip says why; --wheels DIR takes wheels out of a folder, with no network"


@dataclass(frozen=True)
class Wheel:
    """A wheel: its file name and bytes, and the Pythons that it is for (``3.11``)."""

    file: str
    data: bytes
    pythons: tuple[str, ...]

    @property
    def name(self) -> tuple[str, str]:
        """Name and version of the package."""
        match = _WHEEL.fullmatch(self.file)
        if not match:
            raise SourceError(f"{self.file[:100]!r} is not called as a wheel", hint=_HINT)
        return match[1], match[2]

    @cached_property
    def digest(self) -> Digest:
        """The digest of the file."""
        return Digest.of(self.data)

    def package(self, *, stored: bool = False) -> Package:
        """Return its row in a kit's document; ``stored`` in the tar, as the file that it is.

        A wheel's own name lists every platform that it is for, and may not fit into a tar.
        """
        name, version = self.name
        file = f"{name}-{version}-{self.digest.hex[:12]}.whl" if stored else ""
        return Package(name, version, self.file, len(self.data), self.digest, self.pythons, file)


@dataclass(frozen=True)
class Source:
    """Where wheels come from, and which.

    ``tags`` are the platforms that a wheel may be for (PEP 425, PEP 600). ``folder`` holds wheels
    to be taken instead of those of an index. ``pinned`` are the versions and digests that are
    allowed; without it, the versions are those that are installed here.
    """

    tags: Sequence[str]
    folder: Path | None = None
    pinned: Mapping[str, tuple[str, frozenset[str]]] | None = None

    def constraints(self) -> str:
        """Return what pip may take, as a constraints file."""
        if self.pinned is not None:
            rows = [f"{name}=={version}\n" for name, (version, _digests) in self.pinned.items()]
        else:
            rows = [
                f"{name}=={version}\n" for name, version in installed().items() if name != "dray"
            ]
        return "".join(sorted(rows))

    def get(self, pythons: Sequence[str], needed: Sequence[str]) -> tuple[Wheel, ...]:
        """Return the wheels of ``needed`` and all that they need, in order of name.

        Raises :class:`bundle.errors.SourceError`.
        """
        found: dict[str, Wheel] = {}
        for python in pythons:
            for file, data in _download(python, self, needed):
                known = found.setdefault(file, Wheel(file, data, ()))
                if known.data != data:
                    raise SourceError(f"the index gives out two different files {file}")
                found[file] = replace(known, pythons=(*known.pythons, python))
        if self.pinned is not None:
            for wheel in found.values():
                pins.check(wheel.name[0], wheel.digest.hex, self.pinned)
        return tuple(sorted(found.values(), key=lambda one: one.file))


def collect(pythons: Sequence[str], source: Source) -> tuple[Wheel, ...]:
    """Return the wheels of a kit: dray's own, and what it needs.

    Raises :class:`bundle.errors.SourceError`.
    """
    return (own_wheel(tuple(pythons)), *source.get(pythons, _needed()))


def _download(python: str, source: Source, needed: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    with tempfile.TemporaryDirectory(prefix="dray-kit-") as work:
        target, allowed = Path(work) / "wheels", Path(work) / "allowed.txt"
        allowed.write_text(source.constraints(), encoding="utf-8")
        command = [sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check"]
        command += ["--no-input", "--only-binary", ":all:", "--implementation", "cp"]
        command += [part for tag in source.tags for part in ("--platform", tag)]
        command += ["--python-version", python, "-c", str(allowed), "-d", str(target)]
        command += ["--no-index", "--find-links", str(source.folder)] if source.folder else []
        _pip([*command, *needed], python)
        yield from ((path.name, path.read_bytes()) for path in sorted(target.glob("*.whl")))


def _pip(command: list[str], python: str) -> None:
    try:
        done = subprocess.run(  # noqa: S603  (our own interpreter, and no word of a stranger)
            command,
            env=environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise SourceError(f"pip took longer than {_PATIENCE} s", hint=_HINT) from None
    if done.returncode:
        said = [line for line in done.stderr.decode("utf-8", "replace").splitlines() if line]
        # An index's address may hold a password.
        text = re.sub(r"\S+://\S+", "…", said[-1] if said else "nothing")[:300]
        raise SourceError(f"pip has no wheels for Python {python}: {text}", hint=_HINT)


def _needed() -> list[str]:
    """Return what dray itself requires, without extras."""
    return [text for text in metadata.requires("dray") or () if "extra ==" not in text]


def own_wheel(pythons: tuple[str, ...]) -> Wheel:
    """Return dray's wheel with the high side alone: the same bytes out of the same sources.

    Stored and not compressed: zlib's releases differ in what they make of the same bytes.
    """
    version = bundle.__version__
    files = dict(sorted(_sources()))
    info = f"dray-{version}.dist-info"
    needs = "".join(f"Requires-Dist: {text}\n" for text in _needed())
    about = f"Metadata-Version: 2.1\nName: dray\nVersion: {version}\nRequires-Python: >=3.11\n"
    files[f"{info}/METADATA"] = (about + needs).encode()
    files[f"{info}/WHEEL"] = b"Wheel-Version: 1.0\nGenerator: dray kit\nRoot-Is-Purelib: true\n"
    files[f"{info}/WHEEL"] += b"Tag: py3-none-any\n"
    files[f"{info}/entry_points.txt"] = b"[console_scripts]\ndray = bundle.cli:main\n"
    rows = [f"{name},sha256={_base64(data)},{len(data)}\n" for name, data in files.items()]
    files[f"{info}/RECORD"] = "".join([*rows, f"{info}/RECORD,,\n"]).encode()
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as archive:
        for name, data in files.items():
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.external_attr = 0o100644 << 16
            entry.create_system = 3
            archive.writestr(entry, data)
    return Wheel(f"dray-{version}-py3-none-any.whl", made.getvalue(), pythons)


def _sources() -> Iterator[tuple[str, bytes]]:
    for package in PACKAGES:
        spec = find_spec(package)
        places = list(spec.submodule_search_locations or ()) if spec else []
        if not places:
            hint = "install dray with both sides: pip install 'dray[importer]'"
            raise UsageError(f"the package {package} of the high side is not installed", hint=hint)
        root = Path(places[0])
        for path in root.rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                yield f"{package}/{path.relative_to(root).as_posix()}", path.read_bytes()


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
