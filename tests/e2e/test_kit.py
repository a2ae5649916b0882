"""A kit crosses: checked by stock tools, installed and used with no network and an empty home."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests import factory
from tests.servers import programs

if TYPE_CHECKING:
    from pathlib import Path

    from tests.factory import Bundle

pytestmark = pytest.mark.server
OWN = f"{sys.version_info.major}.{sys.version_info.minor}"
DRAY = [sys.executable, "-c", "from bundle.cli import main; main()"]
CUT_OFF = ["unshare", "--map-root-user", "--net"]


def run(command: list[object], **options: object) -> subprocess.CompletedProcess[str]:
    done: subprocess.CompletedProcess[str] = subprocess.run(
        list(map(str, command)),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        **options,  # type: ignore[call-overload]
    )
    return done


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a kit, made as a person would, and the public key beside it."""
    folder = tmp_path_factory.mktemp("kit")
    # pip needs the settings and the cache of whoever runs the tests.
    options = {"env": {**programs.ENVIRONMENT, "PYTHONPATH": str(programs.CHECKOUT)}, "cwd": folder}
    assert run([*DRAY, "keygen", "--name", "alice", "--no-passphrase"], **options).returncode == 0
    arguments = ["kit", "--to", "usb", "--key", "alice.key", "--python", OWN, "--json"]
    done = run([*DRAY, *arguments], **options)
    if done.returncode == 6:
        reason = f"a kit needs an index of packages: {done.stderr.strip()[-300:]}"
        (pytest.fail if programs.ENVIRONMENT.get("CI") else pytest.skip)(reason)
    assert done.returncode == 0, done.stderr
    names = {package["name"] for package in json.loads(done.stdout)["packages"]}
    assert {"dray", "cryptography", "zstandard"} <= names
    return folder / str(json.loads(done.stdout)["folder"])


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return factory.build(tmp_path_factory.mktemp("bundle"))


def test_readme_s_commands_check_install_and_run_it_cut_off(
    kit: Path, bundle: Bundle, tmp_path: Path
) -> None:
    probe = run([*CUT_OFF, "true"])
    if probe.returncode:
        pytest.skip(f"no network namespace can be made here: {probe.stderr.strip()}")
    text = (kit / "README.txt").read_text()
    # The Ed25519 form of the check is for other keys than this one.
    commands = [line for line in re.findall(r"^    (\S.*)", text, re.M) if "pkeyutl" not in line]
    script = "\n".join(["set -e", *commands]).replace("SIGNER", "alice")
    script = script.replace("PUBLIC.pem", str(kit.parents[1] / "alice.pub"))
    home = tmp_path / "home"
    home.mkdir()
    environment = {"HOME": str(home), "WORK": str(tmp_path), "PATH": "/usr/bin:/bin"}
    environment["PYTHON"] = sys.executable
    options = {"env": environment, "cwd": kit}
    done = run([*CUT_OFF, "sh", "-c", script], **options)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Verified OK" in done.stdout
    assert "kit OK" in done.stdout
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
    options = ["--to", tmp_path / "again", "--key", kit.parents[1] / "alice.key", "--python", OWN]
    done = run([*CUT_OFF, *DRAY, "kit", *options, "--wheels", wheels])
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "again" / kit.name / tar.name).read_bytes() == tar.read_bytes()
