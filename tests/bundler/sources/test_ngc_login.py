from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from bundle.errors import UsageError
from bundler.sources.ngc_login import Login, find_login

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

KEY = "nvapi-0123456789abcdefghij"
OTHER = "nvapi-zyxwvutsrqponmlkjihg"


def config(home: Path, text: str) -> Path:
    file = home / ".ngc" / "config"
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    return file


def found(home: Path, **environ: str) -> Login:
    return find_login(environ={"NGC_CLI_HOME": str(home), **environ})


def test_with_nothing_configured_it_is_a_guest(tmp_path: Path) -> None:
    login = found(tmp_path)
    assert (login.kind, login.key, str(login)) == ("guest", "", "no key")


def test_the_config_file_of_ngc_is_read(tmp_path: Path) -> None:
    file = config(
        tmp_path,
        f";WARNING - do not edit\n[CURRENT]\napikey = {KEY}\nformat_type = ascii\n"
        "org = abc123xyz\nteam = vision\n\n[other]\napikey = x\n",
    )
    assert found(tmp_path) == Login(KEY, str(file), "abc123xyz", "vision")


def test_the_config_file_is_in_the_home_folder_by_default(tmp_path: Path) -> None:
    file = config(tmp_path, f"[CURRENT]\napikey={KEY}\n")
    assert find_login(environ={"HOME": str(tmp_path)}) == Login(KEY, str(file))


@pytest.mark.parametrize(
    ("environ", "key", "origin"),
    [
        ({"NGC_CLI_API_KEY": KEY, "NGC_API_KEY": OTHER}, KEY, "NGC_CLI_API_KEY"),
        ({"NGC_API_KEY": OTHER}, OTHER, "NGC_API_KEY"),
        ({"NGC_CLI_API_KEY": "", "NGC_API_KEY": OTHER}, OTHER, "NGC_API_KEY"),
    ],
)
def test_the_environment_comes_before_the_config_file(
    tmp_path: Path, environ: Mapping[str, str], key: str, origin: str
) -> None:
    config(tmp_path, "[CURRENT]\napikey=nvapi-in-the-config-file\norg=abc123xyz\n")
    login = found(tmp_path, **environ)
    # The org of the file belongs to the key of the file.
    assert (login.key, login.origin, login.org) == (key, origin, "")


def test_a_broken_config_does_not_matter_when_the_environment_has_a_key(tmp_path: Path) -> None:
    config(tmp_path, "broken")
    assert found(tmp_path, NGC_API_KEY=KEY).key == KEY


def test_a_named_file_comes_first(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(f"{KEY}\n")
    login = find_login(file, environ={"NGC_CLI_API_KEY": OTHER})
    assert (login.key, login.origin) == (KEY, str(file))


@pytest.mark.parametrize("text", ["", "[CURRENT]\n", "[CURRENT]\napikey = no-apikey\n", "[a]\nb=1"])
def test_a_config_without_a_key_is_a_guest(tmp_path: Path, text: str) -> None:
    config(tmp_path, text)
    assert found(tmp_path).kind == "guest"


@pytest.mark.parametrize(
    "text",
    [
        KEY,
        f"[CURRENT]\napikey = {KEY}\napikey = {KEY}\n",
        f"[CURRENT]\n{KEY}\n",
        f"[CURRENT]\napikey = {KEY} {KEY}\n",
        f"[CURRENT]\napikey = '{KEY}'\n",
        f"[CURRENT]\napikey = $NGC_{KEY}\n",
        f"[CURRENT]\napikey = {KEY}\norg = NVIDIA Corporation {KEY}\n",
        "\0" * 2_000_000,
    ],
)
def test_a_config_that_is_wrong_is_an_error_without_the_key_in_it(
    tmp_path: Path, text: str
) -> None:
    file = config(tmp_path, text)
    with pytest.raises(UsageError) as caught:
        found(tmp_path)
    assert str(file) in str(caught.value)
    assert KEY not in f"{caught.value!r} {caught.value} {caught.value.hint}"
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_a_config_that_is_no_text_is_an_error(tmp_path: Path) -> None:
    config(tmp_path, "").write_bytes(b"[CURRENT]\napikey=\xff\xfe\n")
    with pytest.raises(UsageError, match="it is no text"):
        found(tmp_path)


def test_a_config_that_is_a_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / ".ngc" / "config").mkdir(parents=True)
    with pytest.raises(UsageError, match="is a directory"):
        found(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
@pytest.mark.parametrize("closed", [".ngc", ".ngc/config"])
def test_a_config_that_may_not_be_read_is_an_error(tmp_path: Path, closed: str) -> None:
    config(tmp_path, f"[CURRENT]\napikey={KEY}\n")
    (tmp_path / closed).chmod(0)
    try:
        with pytest.raises(UsageError, match="permission denied"):
            found(tmp_path)
    finally:
        (tmp_path / closed).chmod(0o700)


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), OSError(5, "I/O")])
def test_an_error_of_the_system_is_not_taken_for_no_config(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError
) -> None:
    def refuse(*_: object) -> None:
        raise error

    monkeypatch.setattr("pathlib.Path.open", refuse)
    with pytest.raises(UsageError, match=f"uid {os.getuid()}: {str(error.strerror).lower()}"):
        found(tmp_path)


def test_a_named_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not there"):
        find_login(tmp_path / "absent", environ={})


@pytest.mark.parametrize(
    "key",
    [f"{KEY}\n", f" {KEY}", f'"{KEY}"', "$NGC_API_KEY", "short", "ключ-ключ-ключ", "a" * 9000],
)
def test_a_key_that_cannot_be_one_is_refused_and_not_shown(tmp_path: Path, key: str) -> None:
    with pytest.raises(UsageError, match="NGC_API_KEY does not hold an NGC key") as caught:
        found(tmp_path, NGC_API_KEY=key)
    assert key not in f"{caught.value!r}{caught.value.hint}"


@pytest.mark.parametrize(
    ("key", "kind"),
    [(KEY, "scoped"), ("aaaa.bbbb.cccc", "token"), ("b3JnOmtleQ" * 8, "legacy")],
)
def test_the_kind_of_a_key_is_seen_by_its_shape(key: str, kind: str) -> None:
    login = Login(key, "NGC_API_KEY")
    assert login.kind == kind
    assert key not in f"{login!r} {login}"


def test_org_and_team_come_from_the_environment_first(tmp_path: Path) -> None:
    config(tmp_path, f"[CURRENT]\napikey={KEY}\norg=a1\nteam=t1\n")
    assert found(tmp_path, NGC_CLI_ORG="b2").org == "b2"
    none = found(tmp_path, NGC_CLI_ORG="no-org")
    assert (none.org, none.team) == ("", "")
    assert found(tmp_path, NGC_CLI_TEAM="no-team").team == ""
    with pytest.raises(UsageError, match="NGC_CLI_ORG is not the name"):
        found(tmp_path, NGC_CLI_ORG="My Company")


def test_the_variable_that_nobody_reads_is_warned_of(tmp_path: Path) -> None:
    said: list[str] = []
    find_login(
        environ={"NGC_CLI_CONFIG_DIR": str(tmp_path), "HOME": str(tmp_path)}, warn=said.append
    )
    assert "NGC_CLI_HOME" in said[0]
