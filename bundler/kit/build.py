"""A kit's files: one tar, a document that pins it and what is in it, and how to check them."""

from __future__ import annotations

import io
import tarfile
from dataclasses import dataclass, replace
from importlib.resources import files
from typing import TYPE_CHECKING

import bundle
from bundle.digest import Digest
from bundle.errors import UsageError
from bundle.kit.document import PLATFORMS, KitDocument, Pinned
from bundler.kit import pins, sbom

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bundler.kit.frozen import Frozen
    from bundler.kit.wheels import Wheel

PYTHONS = ("3.11", "3.12", "3.13", "3.14")
_LIBCS = {"glibc": ("glibc", "2.28"), "musl": ("musl", "1.2")}
"""The oldest that a kit of wheels is for: Debian 10, RHEL 8, Ubuntu 18.10; Alpine 3.13."""


@dataclass(frozen=True)
class Kit:
    """A kit: the document that is signed, its bytes, and the files that it pins, by name."""

    document: KitDocument
    data: bytes
    files: Mapping[str, bytes]

    @property
    def name(self) -> str:
        """The name of its folder."""
        return self.document.name

    @property
    def tar(self) -> bytes:
        """The file with everything."""
        return self.files[f"{self.name}.tar"]


def platform_of(text: str) -> tuple[str, tuple[str, str]]:
    """Return the OCI platform and the C library of ``linux/amd64`` or ``linux/amd64-musl``."""
    plain, _, libc = text.partition("-")
    if plain.removeprefix("linux/") not in PLATFORMS or libc not in {"", "musl"}:
        names = [f"linux/{name}{ending}" for name in PLATFORMS for ending in ("", "-musl")]
        raise UsageError(
            f"no kit can be made for {text[:60]!r}", hint="there are: " + ", ".join(names)
        )
    return plain, _LIBCS[libc or "glibc"]


def tags(platform: str, libc: tuple[str, str]) -> tuple[str, ...]:
    """Return the platforms of wheels that run there (PEP 600, PEP 656), the newest first."""
    machine = PLATFORMS[platform.partition("/")[2]]
    newest = int(libc[1].partition(".")[2])
    if libc[0] == "musl":
        return tuple(f"musllinux_1_{minor}_{machine}" for minor in range(newest, -1, -1))
    new = [f"manylinux_2_{minor}_{machine}" for minor in range(newest, 16, -1)]
    return (*new, f"manylinux2014_{machine}")


def build(
    wheels: Sequence[Wheel], pythons: Sequence[str], platform: str, libc: tuple[str, str]
) -> Kit:
    """Return the kit of these wheels: the same bytes for the same wheels."""
    packages = tuple(wheel.package(stored=True) for wheel in wheels)
    kit = KitDocument(bundle.__version__, platform, libc, tuple(pythons), packages)
    members = {f"wheels/{one.file}": w.data for one, w in zip(packages, wheels, strict=True)}
    members["install"] = _text("kit-install.txt").encode()
    members["install.py"] = _text("kit-install-py.txt").encode()
    return _finished(kit, {name: (data, name == "install") for name, data in members.items()})


def build_standalone(wheels: Sequence[Wheel], tools: Sequence[Wheel], frozen: Frozen) -> Kit:
    """Return the kit with an interpreter inside: what ``frozen`` made of these wheels."""
    kit = KitDocument(
        version=bundle.__version__,
        platform=frozen.platform,
        libc=frozen.libc,
        pythons=(),
        packages=tuple(replace(wheel.package(), pythons=()) for wheel in wheels),
        interpreter=frozen.interpreter,
        tools=tuple(replace(tool.package(), pythons=()) for tool in tools),
    )
    return _finished(kit, frozen.files)


def _finished(kit: KitDocument, members: Mapping[str, tuple[bytes, bool]]) -> Kit:
    made = {"README.txt": _readme(kit).encode()}
    made[f"{kit.name}.tar"] = _tar(kit.name, {**members, "kit.json": (kit.to_bytes(), False)})
    made[f"{kit.name}.requirements.txt"] = pins.spell(kit.packages, kit.tools)
    made[f"{kit.name}.cdx.json"] = sbom.compose(kit, Digest.of(made[f"{kit.name}.tar"]))
    pinned = tuple(Pinned(name, len(data), Digest.of(data)) for name, data in made.items())
    done = replace(kit, files=pinned)
    return Kit(done, done.to_bytes(), made)


def _readme(kit: KitDocument) -> str:
    ending = "standalone" if kit.interpreter else "wheels"
    text = _text("kit-readme.txt").replace("@INSTALL@", _text(f"kit-readme-{ending}.txt"))
    needs = "nothing but " if kit.interpreter else "Python " + ", ".join(kit.pythons) + " and "
    text = text.replace("@NEEDS@", f"{needs}{' '.join(kit.libc)} or later")
    return text.replace("@NAME@", kit.name)


def _tar(folder: str, members: Mapping[str, tuple[bytes, bool]]) -> bytes:
    """Return a tar with nothing in it that differs: the flag says which are programs."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, (data, program) in sorted(members.items()):
            entry = tarfile.TarInfo(f"{folder}/{name}")
            entry.size, entry.mode = len(data), 0o755 if program else 0o644
            archive.addfile(entry, io.BytesIO(data))
    return made.getvalue()


def _text(name: str) -> str:
    return (files("bundler") / "texts" / name).read_text(encoding="utf-8")
