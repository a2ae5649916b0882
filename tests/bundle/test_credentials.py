from __future__ import annotations

import base64
import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from bundle import credentials
from bundle.credentials import Credentials, find
from bundle.errors import UsageError

HOST = "harbor.test:5000"
SECRET = "s3cret:with:colons"


def encoded(username: str = "robot$p+n", password: str = SECRET) -> str:
    return base64.b64encode(f"{username}:{password}".encode()).decode()


def write(config: Any) -> Path:
    folder = Path(os.environ["DOCKER_CONFIG"])
    folder.mkdir(exist_ok=True)
    file = folder / "config.json"
    file.write_text(config if isinstance(config, str) else json.dumps(config))
    return file


def helper(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str, name: str = "own") -> None:
    folder.mkdir(exist_ok=True)
    program = folder / f"docker-credential-{name}"
    program.write_text(f"#!/bin/sh\nread address\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


ANSWER = """printf '{"ServerURL":"x","Username":"u","Secret":"%s"}' "$address\""""


def test_without_a_configuration_there_are_none() -> None:
    assert find(HOST) is None


def test_docker_s_own_entry_is_found() -> None:
    file = write({"auths": {"other.test": {"auth": encoded("x")}, HOST: {"auth": encoded()}}})
    assert find(HOST) == Credentials("robot$p+n", SECRET, origin=str(file))


@pytest.mark.parametrize(
    "key", [HOST, f"https://{HOST}", f"http://{HOST}/", f"https://{HOST}/v1/", f"{HOST}/v2/"]
)
def test_an_entry_may_be_written_as_a_url(key: str) -> None:
    write({"auths": {key: {"auth": encoded()}}})
    assert find(HOST) is not None


@pytest.mark.parametrize(
    "key", ["harbor.test", "harbor.test:5001", f"x{HOST}", f"{HOST}/project", "http://[", ""]
)
def test_another_hosts_entry_is_not_taken(key: str) -> None:
    write({"auths": {key: {"auth": encoded()}}})
    assert find(HOST) is None


@pytest.mark.parametrize("host", ["docker.io", "registry-1.docker.io", "index.docker.io"])
def test_the_hub_is_found_under_its_old_name(host: str) -> None:
    write({"auths": {"https://index.docker.io/v1/": {"auth": encoded()}}})
    assert find(host) is not None


def test_user_name_and_password_may_stand_apart() -> None:
    write({"auths": {HOST: {"username": "u", "password": "p"}}})
    found = find(HOST)
    assert found is not None
    assert found.basic == "Basic dTpw"


def test_an_identity_token_takes_the_place_of_a_password() -> None:
    write({"auths": {HOST: {"auth": encoded("u", "p"), "identitytoken": "refresh"}}})
    found = find(HOST)
    assert found is not None
    assert (found.identity_token, found.password) == ("refresh", "")


def test_a_secret_is_in_no_repr() -> None:
    shown = repr(Credentials("u", "hidden-1", "hidden-2", "file"))
    assert "hidden" not in shown


@pytest.mark.parametrize(
    "config",
    [
        "",
        "{",
        "[]",
        "null",
        '{"auths": []}',
        '{"auths": {"harbor.test:5000": 1}}',
        '{"auths": {"harbor.test:5000": {"auth": 1}}}',
        '{"auths": {"harbor.test:5000": {"auth": "%%%"}}}',
        '{"auths": {"harbor.test:5000": {"auth": "bm8tY29sb24="}}}',
        '{"auths": {"harbor.test:5000": {"auth": "/////w=="}}}',
        '{"credHelpers": {"harbor.test:5000": "../../bin/sh"}}',
        '{"credHelpers": {"harbor.test:5000": 5}}',
        '{"credsStore": "a b"}',
        "[" * 100_000,
    ],
)
def test_a_broken_configuration_is_named_and_never_means_anonymous(config: str) -> None:
    file = write(config)
    with pytest.raises(UsageError, match="is broken") as caught:
        find(HOST)
    assert str(file) in str(caught.value)


@pytest.mark.parametrize(
    "entry",
    [
        {"username": "u", "password": "a\ud800"},
        {"username": "\udfff", "password": "p"},
        {"identitytoken": "a\ud800"},
        {"identitytoken": "a\r\nX-Evil: 1"},
    ],
)
def test_a_credential_that_cannot_be_sent_is_refused(entry: dict[str, str]) -> None:
    write({"auths": {HOST: entry}})
    with pytest.raises(UsageError, match="a character that none can have"):
        find(HOST)


def test_a_configuration_that_can_not_be_read_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    file = write({})
    file.unlink()
    file.mkdir()
    with pytest.raises(UsageError, match="can't be read: is a directory"):
        find(HOST)


def test_registry_auth_file_comes_before_dockers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write({"auths": {HOST: {"auth": encoded("docker")}}})
    file = tmp_path / "auth.json"
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(file))
    with pytest.raises(UsageError, match="REGISTRY_AUTH_FILE names"):
        find(HOST)
    file.write_text(json.dumps({"auths": {HOST: {"auth": encoded("podman")}}}))
    found = find(HOST)
    assert found is not None
    assert found.username == "podman"


def test_the_home_folder_is_the_default(isolated: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DOCKER_CONFIG")
    (isolated / ".docker").mkdir()
    (isolated / ".docker/config.json").write_text(
        json.dumps({"auths": {HOST: {"auth": encoded()}}})
    )
    assert find(HOST) is not None


def test_a_host_s_helper_comes_before_store_and_entry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    helper(tmp_path, monkeypatch, ANSWER)
    write(
        {
            "credHelpers": {HOST: "own"},
            "credsStore": "not-installed",
            "auths": {HOST: {"auth": encoded()}},
        }
    )
    found = find(HOST)
    assert found is not None
    assert (found.username, found.password) == ("u", HOST)
    assert "docker-credential-own" in found.origin


def test_the_store_is_asked_under_the_name_that_the_login_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    helper(tmp_path, monkeypatch, ANSWER)
    write({"credsStore": "own", "auths": {f"https://{HOST}/v1/": {}}})
    found = find(HOST)
    assert found is not None
    assert found.password == f"https://{HOST}/v1/"


def test_the_entry_counts_where_the_store_has_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    helper(tmp_path, monkeypatch, "echo credentials not found in native keychain; exit 1")
    write({"credsStore": "own", "auths": {HOST: {"auth": encoded()}}})
    found = find(HOST)
    assert found is not None
    assert found.username == "robot$p+n"
    write({"credsStore": "own"})
    assert find(HOST) is None


def test_a_helper_may_give_an_identity_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = json.dumps({"ServerURL": HOST, "Username": "<token>", "Secret": "refresh"})
    helper(tmp_path, monkeypatch, f"echo '{answer}'")
    write({"credHelpers": {HOST: "own"}})
    found = find(HOST)
    assert found is not None
    assert found.identity_token == "refresh"


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo locked >&2; exit 3", "exit code 3"),
        ("echo nonsense", "something else than a credential"),
        ("echo '[]'", "something else than a credential"),
        ("head -c 70000 /dev/zero", "prints more than any credential has"),
        ("sleep 30 & exit 0", "does not answer within"),
        ("exec sleep 30", "does not answer within"),
        ('printf \'{"Username":"u","Secret":"a\\\\nb"}\'', "a character that none can have"),
    ],
)
def test_a_helper_that_fails_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, message: str
) -> None:
    monkeypatch.setattr(credentials, "HELPER_TIMEOUT", 0.5)
    helper(tmp_path, monkeypatch, script)
    write({"credHelpers": {HOST: "own"}})
    with pytest.raises(UsageError, match=message) as caught:
        find(HOST)
    assert "locked" not in str(caught.value)


def test_a_helper_that_is_not_installed_is_named() -> None:
    write({"credHelpers": {HOST: "not-installed"}})
    with pytest.raises(UsageError, match="docker-credential-not-installed can't be started"):
        find(HOST)


def test_the_keys_of_ngc_are_nobodys_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NGC_API_KEY", "nvapi-second-second")  # the high side knows no NGC
    assert find("nvcr.io") is None
