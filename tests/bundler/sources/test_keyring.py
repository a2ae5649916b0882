"""One NGC key for the API, the registry and the Helm repository, and one warning without any."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from bundle.credentials import Credentials
from bundle.errors import UsageError
from bundler.sources.keyring import GUEST, NGC_HOSTS, Keyring

if TYPE_CHECKING:
    from pathlib import Path

KEY = "nvapi-of-the-environment"
OTHER = "nvapi-of-the-configuration"
THIRD = "nvapi-of-a-docker-login"
hosts = pytest.mark.parametrize("host", sorted(NGC_HOSTS))


def configure(home: Path) -> str:
    """Write the configuration that the ``ngc`` tool has, and return its path."""
    file = home / ".ngc" / "config"
    file.parent.mkdir()
    file.write_text(f"[CURRENT]\napikey = {OTHER}\n")
    return str(file)


def log_in(home: Path, *names: str) -> str:
    """Write docker's configuration, and return its path."""
    file = home / "docker" / "config.json"
    file.parent.mkdir(exist_ok=True)
    auths = {name: {"username": "$oauthtoken", "password": THIRD} for name in names}
    file.write_text(json.dumps({"auths": auths}))
    return str(file)


@hosts
@pytest.mark.parametrize("variable", ["NGC_CLI_API_KEY", "NGC_API_KEY"])
def test_the_key_of_the_environment_is_first_everywhere(
    isolated: Path, monkeypatch: pytest.MonkeyPatch, host: str, variable: str
) -> None:
    configure(isolated)
    log_in(isolated, host)
    monkeypatch.setenv(variable, KEY)
    keys = Keyring()
    assert keys.find(host) == Credentials("$oauthtoken", KEY, origin=variable)
    assert keys.login().key == KEY


@hosts
def test_a_key_in_a_file_comes_before_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    monkeypatch.setenv("NGC_API_KEY", OTHER)
    (tmp_path / "key").write_text(KEY + "\n")
    found = Keyring(file=tmp_path / "key").find(host)
    assert found == Credentials("$oauthtoken", KEY, origin=str(tmp_path / "key"))


@hosts
def test_a_login_at_the_host_comes_before_the_configuration_of_ngc(
    isolated: Path, host: str
) -> None:
    file = configure(isolated)
    assert Keyring().find(host) == Credentials("$oauthtoken", OTHER, origin=file)
    login = log_in(isolated, host)
    assert Keyring().find(host) == Credentials("$oauthtoken", THIRD, origin=login)
    assert Keyring().login().key == OTHER


@pytest.mark.parametrize("host", ["nvcr.io.evil.test", "evil.test", "nvcr.io:5000", "127.0.0.1:1"])
def test_the_key_is_for_the_hosts_of_ngc_alone(
    isolated: Path, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    monkeypatch.setenv("NGC_API_KEY", "not a key")  # not even looked at
    assert Keyring().find(host) is None
    log_in(isolated, host)
    found = Keyring().find(host)
    assert found is not None
    assert found.password == THIRD


@hosts
def test_a_guest_is_announced_once_whoever_asks_first(host: str) -> None:
    said: list[str] = []
    keys = Keyring(warn=said.append)
    keys.find("registry.test")
    assert said == []
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: keys.find(host), range(16))) == {None}
    assert keys.login().kind == "guest"
    assert said == [GUEST]


def test_who_is_logged_in_at_the_registry_is_no_guest_there(isolated: Path) -> None:
    log_in(isolated, "nvcr.io")
    said: list[str] = []
    keys = Keyring(warn=said.append)
    assert keys.find("nvcr.io")
    assert said == []
    keys.login()
    assert said == [GUEST]


@hosts
@pytest.mark.parametrize("key", ["nvapi-abc def", "nvapi-abcdefgh\n", "'nvapi-abcdefgh'", "$KEY"])
def test_a_key_that_is_none_is_refused_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, host: str, key: str
) -> None:
    monkeypatch.setenv("NGC_API_KEY", key)
    with pytest.raises(UsageError, match="NGC_API_KEY does not hold") as caught:
        Keyring().find(host)
    assert key not in caught.value.message + caught.value.hint
