"""A small kit in a folder, signed by keys of the tests."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING

from bundler.kit import build, wheels
from tests import keys

if TYPE_CHECKING:
    from pathlib import Path


def wheel(
    name: str = "thing", pythons: tuple[str, ...] = ("3.11",), version: str = "1.0"
) -> wheels.Wheel:
    """Return a wheel with a module, and a program that is not needed."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr(zipfile.ZipInfo(f"{name}/__init__.py"), b"")
        archive.writestr(zipfile.ZipInfo(f"{name}-{version}.data/scripts/{name}"), b"#!python\n")
        archive.writestr(zipfile.ZipInfo(f"{name}-{version}.data/purelib/{name}/more.py"), b"")
        info = f"{name}-{version}.dist-info"
        about = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        archive.writestr(zipfile.ZipInfo(f"{info}/METADATA"), about)
        kind = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        archive.writestr(zipfile.ZipInfo(f"{info}/WHEEL"), kind)
    return wheels.Wheel(f"{name}-{version}-py3-none-any.whl", made.getvalue(), pythons)


def kit(*found: wheels.Wheel, pythons: tuple[str, ...] = ("3.11",)) -> build.Kit:
    """Return a kit of these wheels."""
    return build.build(found or (wheel(),), pythons, *build.platform_of("linux/amd64"))


def written(place: Path, made: build.Kit, *signers: str) -> Path:
    """Write the kit's folder, signed by these names."""
    folder = place / made.name
    folder.mkdir(parents=True)
    document = f"{made.name}.json"
    files = {**made.files, document: made.data}
    for name in signers or ("alice",):
        files |= keys.signer(name).files(document, made.data)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder
