"""A kit's file: the same bytes each time, the high side alone, and a careful installer."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
import zipfile
from typing import TYPE_CHECKING

import pytest

from bundle.digest import Digest
from bundle.errors import DrayError, UsageError
from bundle.manifest import Manifest
from bundler.kit import build, wheels
from bundler.kit.command import _versions

if TYPE_CHECKING:
    from pathlib import Path

OWN = f"{sys.version_info.major}.{sys.version_info.minor}"


def wheel(name: str = "thing", pythons: tuple[str, ...] = (OWN,)) -> wheels.Wheel:
    """Return a wheel with a module, and a program that is not needed."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr(zipfile.ZipInfo(f"{name}/__init__.py"), b"")
        archive.writestr(zipfile.ZipInfo(f"{name}-1.0.data/scripts/{name}"), b"#!python\n")
        archive.writestr(zipfile.ZipInfo(f"{name}-1.0.data/purelib/{name}/more.py"), b"")
    return wheels.Wheel(f"{name}-1.0-py3-none-any.whl", made.getvalue(), pythons)


def made(*found: wheels.Wheel, pythons: tuple[str, ...] = (OWN,)) -> build.Kit:
    return build.build(found or (wheel(),), pythons, "linux/amd64")


def test_dray_s_own_wheel_has_the_high_side_alone_and_the_same_bytes() -> None:
    one = wheels.own_wheel((OWN,))
    assert one.data == wheels.own_wheel((OWN,)).data
    with zipfile.ZipFile(io.BytesIO(one.data)) as archive:
        tops = {name.partition("/")[0] for name in archive.namelist()}
        entries = archive.read(f"dray-{one.name[1]}.dist-info/entry_points.txt")
        modes = {info.external_attr >> 16 for info in archive.infolist()}
    assert tops == {"schemas", "bundle", "importer", f"dray-{one.name[1]}.dist-info"}
    assert b"bundler" not in entries
    assert modes == {0o100644}


def test_the_same_wheels_make_the_same_file() -> None:
    one, other = made(), made()
    assert (one.tar, one.document) == (other.tar, other.document)
    with tarfile.open(fileobj=io.BytesIO(one.tar)) as archive:
        assert {(entry.mtime, entry.uid, entry.uname) for entry in archive} == {(0, 0, "")}
    document = json.loads(one.document)
    assert document["file"]["digest"] == Digest.of(one.tar)
    assert document["packages"][0]["name"] == "thing"


def test_a_kit_s_document_is_never_taken_for_a_bundle_s() -> None:
    with pytest.raises(DrayError):
        Manifest.from_bytes(made().document)


def test_a_long_name_of_a_wheel_fits_into_the_tar() -> None:
    tags = ".".join(f"manylinux_2_{minor}_x86_64" for minor in range(5, 25))
    long = wheels.Wheel(f"thing-1.0-cp311-cp311-{tags}.whl", wheel().data, (OWN,))
    assert json.loads(made(long).document)["packages"][0]["wheel"] == long.file


@pytest.mark.parametrize("text", ["", "3.10", "2.7", "3", "3.11;3.12", "4.0"])
def test_pythons_that_dray_does_not_run_on_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        _versions(text)


def test_platforms_are_those_that_wheels_name() -> None:
    assert build.tags("linux/arm64")[0] == "manylinux_2_28_aarch64"
    with pytest.raises(UsageError):
        build.tags("windows/amd64")


def test_pip_s_refusal_is_told_without_addresses(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DrayError) as caught:
        wheels.collect([OWN], build.tags("linux/amd64"), tmp_path / "empty")
    assert "pip has no wheels for Python" in str(caught.value)
    assert "://" not in str(caught.value)


# -- the installer --------------------------------------------------------------------------------


def unpacked(kit: build.Kit, folder: Path) -> Path:
    with tarfile.open(fileobj=io.BytesIO(kit.tar)) as archive:
        archive.extractall(folder, filter="data")
    return folder / kit.name


def install(place: Path, *arguments: object, python: str = sys.executable) -> tuple[int, str, str]:
    done = subprocess.run(
        ["sh", str(place / "install"), *map(str, arguments)],
        env={"PYTHON": python, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def test_the_installer_unpacks_what_the_python_needs(tmp_path: Path) -> None:
    other = wheel("other", ("3.99",))
    place = unpacked(made(wheel(), other, pythons=(OWN, "3.99")), tmp_path)
    code, out, err = install(place, tmp_path / "a b" / "dray")
    assert (code, err) == (0, "")
    assert "a b/dray/bin/dray" in out
    lib = tmp_path / "a b" / "dray" / "lib"
    assert {path.name for path in lib.iterdir()} == {"thing"}
    assert (lib / "thing" / "more.py").exists()


def test_the_installer_says_what_is_in_its_way(tmp_path: Path) -> None:
    place = unpacked(made(), tmp_path)
    for arguments, message in (
        ((), "say where to"),
        ((tmp_path,), "is there already"),
        (("/proc/nowhere",), "/proc/nowhere"),
    ):
        code, _out, err = install(place, *arguments)
        assert code == 2
        assert message in err
        assert "hint: " in err
        assert "Traceback" not in err
    assert install(place, tmp_path / "x", python="no-such-python")[0] == 2


def test_the_installer_refuses_another_python_and_another_machine(tmp_path: Path) -> None:
    place = unpacked(made(wheel(), pythons=("3.99",)), tmp_path / "python")
    code, _out, err = install(place, tmp_path / "dray")
    assert code == 2
    assert "the kit is for Python 3.99" in err
    machine = build.build([wheel()], [OWN], "linux/arm64")
    code, _out, err = install(unpacked(machine, tmp_path / "machine"), tmp_path / "dray")
    assert code == 2
    assert not (tmp_path / "dray").exists()


def test_the_installer_takes_no_damaged_wheel(tmp_path: Path) -> None:
    place = unpacked(made(), tmp_path)
    (path,) = (place / "wheels").iterdir()
    path.write_bytes(path.read_bytes() + b"x")
    code, _out, err = install(place, tmp_path / "dray")
    assert code == 2
    assert "is damaged" in err
    assert not (tmp_path / "dray").exists()
