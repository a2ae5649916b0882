"""A kit's files: one tar, a document that pins it and what is in it, and how to check them."""

from __future__ import annotations

import io
import tarfile
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import bundle
from bundle.decode import dump_json
from bundle.digest import Digest
from bundle.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bundler.kit.wheels import Wheel

MEDIA_TYPE = "application/vnd.dray.kit.v1+json"
FORMAT = "1.0"
GLIBC = (2, 28)
"""The oldest glibc that a kit is for: Debian 10, RHEL 8, Ubuntu 18.10."""
PYTHONS = ("3.11", "3.12", "3.13")
_MACHINES = {"linux/amd64": "x86_64", "linux/arm64": "aarch64"}


@dataclass(frozen=True)
class Kit:
    """A kit: the name of its folder and files, the signed document, and the tar."""

    name: str
    document: bytes
    tar: bytes
    packages: tuple[dict[str, Any], ...]

    @property
    def files(self) -> dict[str, bytes]:
        """The files that need no signature, by name; the document pins the tar."""
        text = _text("kit-readme.txt").replace("@NAME@", self.name)
        return {"README.txt": text.encode(), f"{self.name}.tar": self.tar}


def tags(platform: str) -> tuple[str, ...]:
    """Return the platforms of wheels that run there (PEP 600), the newest glibc first."""
    if platform not in _MACHINES:
        hint = "there are: " + ", ".join(_MACHINES)
        raise UsageError(f"no kit can be made for {platform!r}", hint=hint)
    machine = _MACHINES[platform]
    new = [f"manylinux_2_{minor}_{machine}" for minor in range(GLIBC[1], 16, -1)]
    return (*new, f"manylinux2014_{machine}")


def build(wheels: Sequence[Wheel], pythons: Sequence[str], platform: str) -> Kit:
    """Return the kit of these wheels: the same bytes for the same wheels."""
    name = f"dray-kit-{bundle.__version__}-{platform.replace('/', '-')}"
    packages = tuple(_package(wheel) for wheel in wheels)
    body: dict[str, Any] = {"mediaType": MEDIA_TYPE, "formatVersion": FORMAT}
    body |= {"version": bundle.__version__, "platform": platform, "pythons": list(pythons)}
    body |= {"machine": _MACHINES[platform], "glibc": ".".join(map(str, GLIBC))}
    body["packages"] = list(packages)
    members = {f"wheels/{_stored(wheel)}": wheel.data for wheel in wheels}
    members |= {"kit.json": dump_json(body), "install": _text("kit-install.txt").encode()}
    members["install.py"] = _text("kit-install-py.txt").encode()
    tar = _tar(name, members)
    body["file"] = {"name": f"{name}.tar", "size": len(tar), "digest": str(Digest.of(tar))}
    return Kit(name, dump_json(body), tar, packages)


def _package(wheel: Wheel) -> dict[str, Any]:
    name, version = wheel.name
    body: dict[str, Any] = {"name": name, "version": version, "wheel": wheel.file}
    body |= {"file": _stored(wheel), "size": len(wheel.data), "digest": str(wheel.digest)}
    return {**body, "pythons": list(wheel.pythons)}


def _stored(wheel: Wheel) -> str:
    """Return a name that a tar of any kind can hold: wheels list every platform in theirs."""
    name, version = wheel.name
    return f"{name}-{version}-{wheel.digest.hex[:12]}.whl"


def _tar(folder: str, members: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in sorted(members.items()):
            entry = tarfile.TarInfo(f"{folder}/{name}")
            entry.size, entry.mode = len(data), 0o755 if name == "install" else 0o644
            archive.addfile(entry, io.BytesIO(data))
    return made.getvalue()


def _text(name: str) -> str:
    return (files("bundler") / "texts" / name).read_text(encoding="utf-8")
