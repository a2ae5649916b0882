"""A kit's file: the same bytes each time, the high side alone, and a careful installer."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import tarfile
import zipfile
from typing import TYPE_CHECKING

import pytest

from bundle.digest import Digest
from bundle.errors import DrayError, UsageError
from bundle.manifest import Manifest
from bundler.kit import build, command, frozen, pins, wheels
from bundler.kit.command import _versions
from tests.bundle.kit import made as kits

if TYPE_CHECKING:
    from pathlib import Path

TAGS = build.tags(*build.platform_of("linux/amd64"))
OWN = f"{sys.version_info.major}.{sys.version_info.minor}"


def wheel(
    name: str = "thing", pythons: tuple[str, ...] = (OWN,), version: str = "1.0"
) -> wheels.Wheel:
    return kits.wheel(name, pythons, version)


def made(*found: wheels.Wheel, pythons: tuple[str, ...] = (OWN,)) -> build.Kit:
    return kits.kit(*(found or (wheel(),)), pythons=pythons)


def test_dray_s_own_wheel_has_the_high_side_alone_and_the_same_bytes() -> None:
    one = wheels.own_wheel((OWN,))
    assert one.data == wheels.own_wheel((OWN,)).data
    with zipfile.ZipFile(io.BytesIO(one.data)) as archive:
        tops = {name.partition("/")[0] for name in archive.namelist()}
        modes = {info.external_attr >> 16 for info in archive.infolist()}
    assert tops == {"schemas", "bundle", "importer", f"dray-{one.name[1]}.dist-info"}
    assert modes == {0o100644}


def test_the_same_wheels_make_the_same_file() -> None:
    one, other = made(), made()
    assert (one.files, one.data) == (other.files, other.data)
    with tarfile.open(fileobj=io.BytesIO(one.tar)) as archive:
        assert {(entry.mtime, entry.uid, entry.uname) for entry in archive} == {(0, 0, "")}
    document = json.loads(one.data)
    pinned = {file["name"]: file["digest"] for file in document["files"]}
    assert pinned == {name: Digest.of(data) for name, data in one.files.items()}
    assert pinned[f"{one.name}.tar"]
    assert document["packages"][0]["name"] == "thing"


def test_a_kit_s_document_is_never_taken_for_a_bundle_s() -> None:
    with pytest.raises(DrayError):
        Manifest.from_bytes(made().data)


def test_a_long_name_of_a_wheel_fits_into_the_tar() -> None:
    tags = ".".join(f"manylinux_2_{minor}_x86_64" for minor in range(5, 25))
    long = wheels.Wheel(f"thing-1.0-cp311-cp311-{tags}.whl", wheel().data, (OWN,))
    assert json.loads(made(long).data)["packages"][0]["wheel"] == long.file


@pytest.mark.parametrize("text", ["", "3.10", "2.7", "3", "3.11;3.12", "4.0"])
def test_pythons_that_dray_does_not_run_on_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        _versions(text)


def test_platforms_are_those_that_wheels_name() -> None:
    assert build.tags(*build.platform_of("linux/arm64"))[0] == "manylinux_2_28_aarch64"
    musl = build.platform_of("linux/amd64-musl")
    assert build.tags(*musl) == tuple(f"musllinux_1_{n}_x86_64" for n in (2, 1, 0))
    for other in ("windows/amd64", "linux/riscv64", "linux/amd64-newlib", "linux/amd64-glibc"):
        with pytest.raises(UsageError):
            build.platform_of(other)


def test_the_pins_of_a_kit_are_those_that_make_it_again(tmp_path: Path) -> None:
    kit = made(wheel(), wheel("other"), wheels.own_wheel((OWN,)))
    path = tmp_path / "pins.txt"
    path.write_bytes(kit.files[f"{kit.name}.requirements.txt"])
    found = pins.load(path)
    assert found == {
        one.name[0]: ("1.0", frozenset({one.digest.hex})) for one in (wheel(), wheel("other"))
    }
    pins.check("Other", wheel("other").digest.hex, found)
    for name, digest in (("other", wheel().digest.hex), ("third", wheel().digest.hex)):
        with pytest.raises(DrayError, match="is not pinned"):
            pins.check(name, digest, found)


def test_requirements_that_other_tools_write_are_read(tmp_path: Path) -> None:
    path = tmp_path / "pins.txt"
    one, two = "0" * 64, "1" * 64
    text = f"# by a tool\nrpds-py==1.2 ; python_version >= '3.11' \\\n    --hash=sha256:{one} \\\n"
    text += f"    --hash=sha256:{two}\n    # via referencing\nsix==1 --hash=sha256:{one}  # via x\n"
    path.write_text(text)
    assert pins.load(path) == {"rpds-py": ("1.2", frozenset({one, two})), "six": ("1", {one})}


@pytest.mark.parametrize(
    "line", ["six==1.17", "six>=1 --hash=sha256:" + "0" * 64, "-r other.txt", "six==1 --hash=md5:0"]
)
def test_pins_without_digests_are_refused(line: str, tmp_path: Path) -> None:
    path = tmp_path / "pins.txt"
    path.write_text(line + "\n")
    with pytest.raises(UsageError, match="no pin"):
        pins.load(path)


def test_wheels_that_are_not_pinned_make_no_kit(tmp_path: Path) -> None:
    folder = tmp_path / "wheels"
    folder.mkdir()
    (folder / wheel().file).write_bytes(wheel().data)
    source = wheels.Source(TAGS, folder, {"thing": ("1.0", frozenset({"0" * 64}))})
    with pytest.raises(DrayError, match="is not pinned"):
        source.get([OWN], ["thing"])
    assert [one.file for one in wheels.Source(TAGS, folder, None).get([OWN], ["thing"])]


def test_the_bill_of_materials_names_each_package_once() -> None:
    kit = made(wheel(), wheel("other_thing"), wheels.own_wheel((OWN,)))
    body = json.loads(kit.files[f"{kit.name}.cdx.json"])
    assert (body["bomFormat"], body["specVersion"]) == ("CycloneDX", "1.6")
    found = {one["purl"]: one["hashes"][0]["content"] for one in body["components"]}
    assert found == {
        "pkg:pypi/thing@1.0": wheel().digest.hex,
        "pkg:pypi/other-thing@1.0": wheel("other_thing").digest.hex,
    }
    assert body["metadata"]["component"]["hashes"][0]["content"] == Digest.of(kit.tar).hex
    refs = {one["bom-ref"] for one in body["components"]}
    assert set(body["dependencies"][0]["dependsOn"]) == refs
    assert re.fullmatch("urn:uuid:[0-9a-f-]{36}", body["serialNumber"])


def test_another_kit_of_the_same_name_is_not_written_over(tmp_path: Path) -> None:
    place = tmp_path / made().name
    command._write(place, made(), {"x.sig": b"1"})
    command._write(place, made(), {"y.sig": b"2"})
    assert {"x.sig", "y.sig"} < {path.name for path in place.iterdir()}
    with pytest.raises(UsageError, match="another kit is there"):
        command._write(place, made(wheel("other")), {})


def test_a_standalone_kit_is_for_hosts_as_this_one(monkeypatch: pytest.MonkeyPatch) -> None:
    own = frozen.host()
    other = "linux/arm64" if own[0] == "linux/amd64" else "linux/amd64"
    with pytest.raises(UsageError, match="made of its own Python"):
        frozen.check_host((other, (own[1], "2.28")))
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UsageError, match="needs ldd, objcopy, objdump"):
        frozen.check_host((own[0], (own[1], "2.28")))


def test_the_oldest_libc_is_that_of_the_newest_function() -> None:
    programs = [b"\x7fELF\0GLIBC_2.17\0GLIBC_2.34\0", b"text\0GLIBC_2.99\0", b"\x7fELF"]
    assert frozen._glibc(programs) == "2.34"
    assert frozen._glibc([]) == "2.17"


def test_pip_s_refusal_is_told_without_addresses(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DrayError) as caught:
        wheels.collect([OWN], wheels.Source(TAGS, tmp_path / "empty"))
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
    assert {path.name for path in lib.iterdir()} == {"thing", "thing-1.0.dist-info"}
    assert (lib / "thing" / "more.py").exists()


def test_the_installer_says_what_is_in_its_way(tmp_path: Path) -> None:
    place = unpacked(made(), tmp_path)
    for arguments, message in (
        ((), "say where to"),
        ((tmp_path,), "is there already"),
        (("/proc/nowhere",), "/proc/"),
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
    machine = build.build([wheel()], [OWN], *build.platform_of("linux/arm64"))
    code, _out, err = install(unpacked(machine, tmp_path / "machine"), tmp_path / "dray")
    assert code == 2
    assert not (tmp_path / "dray").exists()
    musl = build.build([wheel()], [OWN], *build.platform_of("linux/amd64-musl"))
    code, _out, err = install(unpacked(musl, tmp_path / "musl"), tmp_path / "dray")
    assert code == 2
    assert "the kit needs musl 1.2 or later" in err
    assert list(tmp_path.glob(".dray-kit-*")) == []


def comparing() -> wheels.Wheel:
    """Return dray with what compares versions alone: the whole of it is slow to compile."""
    whole, made = wheels.own_wheel((OWN,)), io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(whole.data)) as source,
        zipfile.ZipFile(made, "w") as archive,
    ):
        for name in ("bundle/__init__.py", "bundle/kit/__init__.py", "bundle/kit/versions.py"):
            archive.writestr(zipfile.ZipInfo(name), source.read(name))
    return wheels.Wheel(whole.file, made.getvalue(), (OWN,))


def test_a_newer_kit_replaces_an_older_one_and_never_the_other_way(tmp_path: Path) -> None:
    own, target = comparing(), tmp_path / "dray"
    new = unpacked(made(own, wheel(version="1.10")), tmp_path / "new")
    old = unpacked(made(own, wheel(version="1.9")), tmp_path / "old")
    assert install(old, target)[0] == 0
    assert install(new, target)[0] == 0
    kept = json.loads((tmp_path / "dray.previous" / "kit.json").read_text())
    assert kept["packages"][1]["version"] == "1.9"
    code, _out, err = install(old, target)
    assert code == 2
    assert "thing 1.9, and 1.10 is installed" in err
    assert json.loads((target / "kit.json").read_text())["packages"][1]["version"] == "1.10"
    assert install(old, target, "--allow-older")[0] == 0
    assert list(tmp_path.glob(".dray-kit-*")) == []


def test_what_is_no_kit_is_never_replaced(tmp_path: Path) -> None:
    place = unpacked(made(), tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "mine")
    for target in (tmp_path / "mine", tmp_path / "link"):
        assert install(place, target)[0] == 2
        assert list((tmp_path / "mine").iterdir()) == []


def test_the_installer_takes_no_damaged_wheel(tmp_path: Path) -> None:
    place = unpacked(made(), tmp_path)
    (path,) = (place / "wheels").iterdir()
    path.write_bytes(path.read_bytes() + b"x")
    code, _out, err = install(place, tmp_path / "dray")
    assert code == 2
    assert "is damaged" in err
    assert not (tmp_path / "dray").exists()
