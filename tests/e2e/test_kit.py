"""A kit crosses: checked by stock tools, installed and used with no network and an empty home."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from typing import TYPE_CHECKING

import pytest

import schemas
from bundler.kit import frozen
from tests import factory
from tests.servers import programs

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.factory import Bundle

pytestmark = [pytest.mark.server, pytest.mark.xdist_group("kit")]
SLOW = pytest.mark.skipif("DRAY_SLOW" not in os.environ, reason="a minute more: DRAY_SLOW=1")
OWN = f"{sys.version_info.major}.{sys.version_info.minor}"
DRAY = [sys.executable, "-c", "from bundle.cli import main; main()"]
CUT_OFF = ["unshare", "--map-root-user", "--net"]
NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
BARE = """
mount --bind "$MEDIUM" "$MEDIUM" && mount -o remount,bind,ro,noexec "$MEDIUM"
mount -t tmpfs -o noexec,mode=1777 tmpfs "$TMPDIR"
exec setpriv --reuid=65534 --regid=65534 --clear-groups sh -c "$SCRIPT"
"""
"""The medium is read-only and runs nothing, nor does the folder for passing files; no root."""


def run(command: Sequence[object], **options: object) -> subprocess.CompletedProcess[str]:
    done: subprocess.CompletedProcess[str] = subprocess.run(
        list(map(str, command)),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        **options,  # type: ignore[call-overload]
    )
    return done


def options(folder: Path) -> dict[str, object]:
    # pip needs the settings and the cache of whoever runs the tests.
    return {"env": {**programs.ENVIRONMENT, "PYTHONPATH": str(programs.CHECKOUT)}, "cwd": folder}


def made(folder: Path, *arguments: object) -> Path:
    """Make a kit as a person would; return its folder."""
    command = [
        *DRAY,
        "kit",
        *(["--to", "usb"] if "--to" not in arguments else []),
        "--key",
        "alice.key",
        "--python",
        OWN,
        "--json",
    ]
    done = run([*command, *arguments], **options(folder))
    if done.returncode == 6:
        reason = f"a kit needs an index of packages: {done.stderr.strip()[-300:]}"
        (pytest.fail if programs.ENVIRONMENT.get("CI") else pytest.skip)(reason)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert {"dray", "cryptography", "zstandard"} <= {one["name"] for one in told["packages"]}
    return folder / str(told["folder"])


@pytest.fixture(scope="session")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a key, in which kits are made."""
    folder = tmp_path_factory.mktemp("kit")
    keygen = [*DRAY, "keygen", "--name", "alice", "--no-passphrase"]
    assert run(keygen, **options(folder)).returncode == 0
    return folder


@pytest.fixture(scope="session")
def kit(desk: Path) -> Path:
    """The folder of a kit of wheels."""
    return made(desk)


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return factory.build(tmp_path_factory.mktemp("bundle"))


def test_readme_s_commands_check_install_and_run_it_cut_off(
    kit: Path, bundle: Bundle, tmp_path: Path
) -> None:
    probe = run([*CUT_OFF, "true"])
    if probe.returncode:
        pytest.skip(f"no network namespace can be made here: {probe.stderr.strip()}")
    script = script_of(kit)
    home = tmp_path / "home"
    home.mkdir()
    environment = {"HOME": str(home), "WORK": str(tmp_path), "PATH": "/usr/bin:/bin"}
    environment["PYTHON"] = sys.executable
    done = run([*CUT_OFF, "sh", "-c", script], env=environment, cwd=kit)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Verified OK" in done.stdout
    assert "kit OK" in done.stdout
    assert (tmp_path / "checked" / f"{kit.name}.tar").is_file(), "it is not checked in a copy"
    dray = [*CUT_OFF, tmp_path / "dray/bin/dray"]
    trusted = ["--trust", bundle.trust]
    for command in (
        ["verify", bundle.folder, *trusted],
        ["import", bundle.folder, *trusted, "--to", tmp_path / "warehouse"],
    ):
        done = run([*dray, *command], env=environment, cwd=home)
        assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "warehouse/models/nvidia/riva/1.0/weights/model.bin").stat().st_size
    lacking = run([*dray, "export"], env=environment, cwd=home)
    assert lacking.returncode == 2, "the low side is not in it"


def test_a_kit_beside_a_bundle_is_no_foreign_file(kit: Path, bundle: Bundle) -> None:
    done = run([*DRAY, "verify", bundle.folder.parent, "--trust", bundle.trust, "--json"])
    alone = json.loads(done.stdout)
    place = bundle.folder.parent / kit.name
    shutil.copytree(kit, place)
    try:
        done = run([*DRAY, "verify", bundle.folder.parent, "--trust", bundle.trust, "--json"])
    finally:
        shutil.rmtree(place)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == alone


def test_a_kit_out_of_its_own_wheels_is_the_same_file(kit: Path, tmp_path: Path) -> None:
    (tar,) = kit.glob("*.tar")
    assert run(["tar", "-xf", tar, "-C", tmp_path]).returncode == 0
    document = json.loads((kit / f"{kit.name}.json").read_text())
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    for package in document["packages"]:
        if package["name"] != "dray":
            stored = tmp_path / kit.name / "wheels" / package["file"]
            stored.rename(wheels / package["wheel"])
    to = ["--to", tmp_path / "again", "--key", kit.parents[1] / "alice.key", "--python", OWN]
    to += ["--wheels", wheels, "--pins", pins_of(kit)]
    done = run([*CUT_OFF, *DRAY, "kit", "make", *to])
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "again" / kit.name / tar.name).read_bytes() == tar.read_bytes()


def script_of(folder: Path) -> str:
    """Return the commands of the kit's README.txt for a P-256 key of alice."""
    text = (folder / "README.txt").read_text()
    commands = [line for line in re.findall(r"^    (\S.*)", text, re.M) if "pkeyutl" not in line]
    script = "\n".join(["set -e", *commands]).replace("SIGNER", "alice")
    return script.replace("PUBLIC.pem", str(folder.parents[1] / "alice.pub"))


@pytest.fixture(scope="session")
def standalone(desk: Path) -> Path:
    """The folder of a kit with an interpreter."""
    if missing := [program for program in frozen.PROGRAMS if not shutil.which(program)]:
        (pytest.fail if programs.ENVIRONMENT.get("CI") else pytest.skip)(f"needs {missing}")
    return made(desk, "--standalone")


@SLOW
def test_a_standalone_kit_runs_for_nobody_on_a_bare_host(
    standalone: Path, bundle: Bundle, tmp_path: Path
) -> None:
    """No network, no Python, an empty home, no root, a read-only medium that runs nothing."""
    bare = ["unshare", "--net", "--mount"]
    if run([*bare, *NOBODY, "true"]).returncode:
        pytest.skip("only root makes a host that is as bare as this")
    home, work, passing = (tmp_path / name for name in ("home", "work", "passing"))
    for folder in (home, work, passing):
        folder.mkdir()
        folder.chmod(0o777)
    for above in (tmp_path, *tmp_path.parents[:3], *standalone.parents[:3], *bundle.trust.parents):
        if above.stat().st_uid == os.geteuid() and above != above.parent:
            above.chmod(above.stat().st_mode | 0o055)
    program = work / standalone.name / "dray"
    lines = [script_of(standalone), f"cd {home}"]
    trusted = f"--trust {bundle.trust}"
    lines.append(f"{program} kit verify {standalone} --pub {standalone.parents[1] / 'alice.pub'}")
    lines.append(f"{program} verify {bundle.folder} {trusted}")
    lines.append(f"{program} import {bundle.folder} {trusted} --to {work}/warehouse")
    environment = {"HOME": str(home), "WORK": str(work), "PATH": "/usr/bin:/bin"}
    environment |= {"MEDIUM": str(standalone), "TMPDIR": str(passing)}
    environment |= {"SCRIPT": "\n".join(lines), "PYTHONHOME": "/nowhere", "PYTHONPATH": "/nowhere"}
    done = run([*bare, "sh", "-ec", BARE], env=environment, cwd=standalone)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "kit OK" in done.stdout
    assert "carries Python" in done.stdout
    assert (work / "warehouse/models/nvidia/riva/1.0/weights/model.bin").stat().st_size
    assert list(passing.iterdir()) == []
    lacking = run([program, "export"], env={"HOME": str(home)})
    assert lacking.returncode == 2, "the low side is not in it"


@SLOW
def test_a_standalone_kit_is_the_same_file_when_it_is_made_again(
    standalone: Path, desk: Path, tmp_path: Path
) -> None:
    again = made(desk, "--to", tmp_path, "--standalone", "--pins", pins_of(standalone))
    for path in standalone.iterdir():
        if ".alice." not in path.name:
            assert (again / path.name).read_bytes() == path.read_bytes(), path.name
    document = json.loads((standalone / f"{standalone.name}.json").read_text())
    schemas.validate("kit", document)
    with tarfile.open(standalone / f"{standalone.name}.tar") as archive:
        names = archive.getnames()
    assert not any("bundler" in name or "/pip/" in name for name in names)
    assert "pyinstaller" in {tool["name"] for tool in document["tools"]}


def pins_of(folder: Path) -> Path:
    return next(folder.glob("*.requirements.txt"))
