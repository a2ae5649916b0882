"""Programs are found or installed once; where they cannot be had, CI fails and people see why."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.servers import debian, programs
from tests.servers.programs import PROGRAMS, MissingError, Program

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder, a PATH with nothing on it, and a program that nobody has."""
    monkeypatch.setattr(programs, "TOOLS", tmp_path)
    monkeypatch.setattr(programs, "ENVIRONMENT", {"PATH": str(tmp_path / "path")})
    monkeypatch.setitem(PROGRAMS, "no-such-tool", Program(debian="no-such-package"))
    monkeypatch.setitem(PROGRAMS, "no-such-client", Program(go="example.org/no-such@v1.0.0"))
    return tmp_path


def count_installs(monkeypatch: pytest.MonkeyPatch, reason: str = "") -> list[list[str]]:
    """Replace the installation of Debian packages: it fails with the reason, or succeeds."""
    calls: list[list[str]] = []

    def install(packages: list[str], folder: Path, _env: object) -> None:
        calls.append(packages)
        if reason:
            raise debian.AptError(reason)
        (folder / "bin").mkdir()
        program = folder / "bin" / "no-such-tool"
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)

    monkeypatch.setattr(debian, "install", install)
    return calls


def test_a_missing_program_is_installed_once(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = count_installs(monkeypatch)
    assert programs.require("no-such-tool") == elsewhere / "bin" / "no-such-tool"
    programs.obtain.cache_clear()  # as another worker, which finds it
    assert programs.require("no-such-tool") == elsewhere / "bin" / "no-such-tool"
    assert len(calls) == 1
    assert {"no-such-package", "docker-registry"} <= set(calls[0])
    programs.obtain.cache_clear()


def test_a_failed_installation_is_tried_once_a_run(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = count_installs(monkeypatch, "no way")
    for _ in range(3):
        with pytest.raises(MissingError, match="no way"):
            programs.obtain("no-such-tool")
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("name", "environment", "outcome"),
    [
        ("no-such-tool", {}, pytest.skip.Exception),
        ("no-such-tool", {"CI": "true"}, pytest.fail.Exception),
        ("no-such-client", {"CI": "true"}, pytest.skip.Exception),
    ],
    ids=["a person sees a skip", "CI fails", "without go there are no Go clients in CI either"],
)
@pytest.mark.usefixtures("elsewhere")
def test_what_cannot_be_had_is_said(
    name: str,
    environment: dict[str, str],
    outcome: type[BaseException],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    count_installs(monkeypatch, "no way")
    monkeypatch.setattr(programs, "ENVIRONMENT", {**programs.ENVIRONMENT, **environment})
    with pytest.raises(outcome, match=f"{name}: (no way|there is no go)"):
        programs.require(name)


@pytest.mark.parametrize("environment", [{}, {"CI": "true"}], ids=["a person", "CI"])
@pytest.mark.usefixtures("elsewhere")
def test_nobody_is_made_to_wait_for_minutes(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(programs, "ENVIRONMENT", {**programs.ENVIRONMENT, **environment})
    monkeypatch.setitem(PROGRAMS, "no-such-tool", Program(debian="no-such-package", slow=True))
    calls = count_installs(monkeypatch)
    with pytest.raises(pytest.skip.Exception, match=r"`python -m .* no-such-tool` puts it"):
        programs.require("no-such-tool")
    assert not calls


@pytest.mark.parametrize(
    ("environment", "folder"),
    [
        ({"DRAY_TOOLS": "/t", "XDG_CACHE_HOME": "/x", "HOME": "/"}, "/t"),
        ({"XDG_CACHE_HOME": "/x", "HOME": "/"}, "/x/dray-tools"),
        ({"XDG_CACHE_HOME": "relative", "HOME": "/tmp"}, "/tmp/.cache/dray-tools"),
        ({"HOME": "/nowhere"}, f"{programs.CHECKOUT}/.cache/tools"),
        ({}, f"{programs.CHECKOUT}/.cache/tools"),
    ],
)
def test_clones_share_what_was_built(environment: dict[str, str], folder: str) -> None:
    assert str(programs.cache(environment)) == folder


def test_a_go_program_of_another_version_is_built_anew(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(package: str, _name: str) -> None:
        (elsewhere / "bin").mkdir(exist_ok=True)
        built = elsewhere / "bin" / "no-such-client"
        built.write_text(package)
        built.chmod(0o755)

    monkeypatch.setattr(programs, "_go_install", build)
    for version in ("v1.0.0", "v1.0.1"):
        package = f"example.org/no-such@{version}"
        monkeypatch.setitem(PROGRAMS, "no-such-client", Program(go=package))
        assert programs.obtain("no-such-client").read_text() == package
        programs.obtain.cache_clear()


def test_a_package_gets_a_python_of_its_own(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[list[str]] = []

    def build(_what: str, command: list[str | Path], _env: object) -> None:
        commands.append([str(part) for part in command])
        python = elsewhere / "python/no-such-sdk/bin/python"
        python.parent.mkdir(parents=True, exist_ok=True)
        python.write_text('#!/bin/sh\necho "ran $1"\n')
        python.chmod(0o755)

    monkeypatch.setattr(programs, "_build", build)
    for pin in ("no-such-sdk==1.0", "no-such-sdk==1.1"):
        monkeypatch.setitem(PROGRAMS, "no-such-sdk", Program(python=(pin,)))
        wrapper = programs.obtain("no-such-sdk")
        assert wrapper == elsewhere / "bin" / "no-such-sdk"
        done = subprocess.run([wrapper, "it"], capture_output=True, text=True, check=True)
        assert done.stdout == "ran it\n"
        assert [command[-1] for command in commands[-2:]][1] == pin
        programs.obtain.cache_clear()
    assert len(commands) == 4


def test_a_missing_wheel_names_the_command_that_brings_it(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PROGRAMS, "no-such-tool", Program(wheel="no-such-wheel"))
    with pytest.raises(MissingError, match=r"no-such-wheel is missing; run `make dev`"):
        programs.obtain("no-such-tool")


def test_another_system_is_said_to_be_one(tmp_path: Path) -> None:
    with pytest.raises(debian.AptError, match="not a Debian machine"):
        debian.install(["zstd"], tmp_path, {"PATH": str(tmp_path)})


@pytest.mark.server
@pytest.mark.parametrize(
    "command",
    [
        "skopeo --version",
        "bsdtar --version",
        "zstd --version",
        "openssl version",
        "crane version",
        "oras version",
        "helm version",
        "ngcsdk --version",
    ],
)
def test_a_client_can_be_had_and_runs(command: str) -> None:
    name, *arguments = command.split()
    done = subprocess.run(
        [programs.require(name), *arguments], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip()
