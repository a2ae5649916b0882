"""Secrets stand on no command line, and reach nothing that dray starts but what they are for."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

from bundle.cli import build
from bundler import signing
from bundler.kit import wheels
from importer.targets import s3client
from tests import factory

if TYPE_CHECKING:
    from collections.abc import Iterator

MARK = "hush-7f3a9c"
SECRETS = {
    name: f"nvapi-{MARK}" if name.startswith("NGC") else MARK
    for name in (
        *("NGC_API_KEY", "NGC_CLI_API_KEY", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"),
        *("DRAY_KEY_PASSPHRASE", "DRAY_DECRYPT_PASSPHRASE", "DRAY_RECEIPT_PASSPHRASE"),
        *("DRAY_HARBOR_ADMIN_PASSWORD", "DRAY_ANYTHING_ELSE"),
    )
}
"""What the environment of a run may hold, for dray alone."""
RECORDER = """\
#!/bin/sh
seen={folder}/seen-${{0##*/}}
{{ tr '\\0' '\\n' < /proc/$$/cmdline; tr '\\0' '\\n' < /proc/$PPID/cmdline; env; }} > "$seen"
{then}
"""


def commands(group: click.Command, *path: str) -> Iterator[tuple[str, click.Command]]:
    if isinstance(group, click.Group):
        for name, inner in group.commands.items():
            yield from commands(inner, *path, name)
    else:
        yield " ".join(path), group


def test_no_option_takes_a_secret_itself() -> None:
    """A file, or the name of something: others on the host can read a command line."""
    secret = re.compile(r"key|pass|secret|token|\bpin\b|credential|auth|login")
    odd = {
        f"{name} {option.opts[0]}"
        for name, command in commands(build())
        for option in command.params
        if secret.search(" ".join(option.opts)) and not isinstance(option.type, click.Path)
        if not (isinstance(option, click.Option) and option.is_flag)
    }
    # The name of a Secret of Kubernetes, not what is in it.
    assert odd == {"relocate --pull-secret"}


class Host:
    """A host whose programs write down what they were started with."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "bin").mkdir()

    def program(self, name: str, then: str) -> Path:
        path = self.folder / "bin" / name
        path.write_text(RECORDER.format(folder=self.folder, then=then))
        path.chmod(0o755)
        return path

    def seen(self, name: str) -> str:
        return (self.folder / f"seen-{name}").read_text()

    def dray(self, *words: object, code: int = 0) -> None:
        done = subprocess.run(
            [Path(sys.executable).with_name("dray"), *map(str, words)],
            cwd=self.folder,
            env={**os.environ, **SECRETS, "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == code, done.stderr
        assert MARK not in done.stdout + done.stderr


@pytest.fixture
def host(isolated: Path, tmp_path: Path) -> Host:
    del isolated
    return Host(tmp_path)


class Refusing(BaseHTTPRequestHandler):
    """A registry that lets nobody in."""

    def do_GET(self) -> None:
        self.send_response(401)
        self.send_header("WWW-Authenticate", "Basic realm=x")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_HEAD(self) -> None:
        self.do_GET()

    def log_message(self, *_words: object) -> None:
        """Print nothing."""


@pytest.fixture
def closed() -> Iterator[str]:
    """The address of a registry that lets nobody in."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


def test_programs_that_dray_starts_see_no_secret_of_its_own(
    host: Host, isolated: Path, closed: str
) -> None:
    key = signing.generate(host.folder, "release", passphrase=None)
    endings = signing.ENCRYPTION_ENDINGS
    opens = signing.generate(host.folder, "ops", passphrase=None, endings=endings)
    made = factory.build(host.folder / "bundle", recipients=(opens.public_key,))
    signer = host.program("signer", f"exec openssl dgst -sha256 -sign {key.private}")
    agree = f"exec openssl pkeyutl -derive -peerform DER -peerkey /dev/stdin -inkey {opens.private}"
    decryptor = host.program("decryptor", agree)
    host.program("docker-credential-vault", """echo '{"Username": "u", "Secret": "s"}'""")
    (isolated / "docker").mkdir(exist_ok=True)
    (isolated / "docker/config.json").write_text(json.dumps({"credsStore": "vault"}))
    trust = ("--trust", made.trust)
    host.dray("sign", made.folder, *trust, "--signer", signer, "--signer-pub", key.public)
    key_at = ("--decryptor", decryptor, "--decryptor-pub", opens.public)
    words = (made.folder, *trust, *key_at, "--only", "image", "--to", f"registry://{closed}/x")
    host.dray("import", *words, code=6)
    for name in ("signer", "decryptor", "docker-credential-vault"):
        told = host.seen(name)
        assert "PATH=" in told
        assert "dray" in told, "the process above it was looked at as well"
        assert MARK not in told


def test_pip_sees_no_secret_of_ours(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    wheels._pip([str(host.program("pip", "exit 0"))], "3.11")
    assert MARK not in host.seen("pip")


def test_a_process_that_has_keys_for_s3_sees_no_secret_of_ours(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    answer = json.dumps({"Version": 1, "AccessKeyId": "a", "SecretAccessKey": "s"})
    program = host.program("keys", f"echo '{answer}'")
    config = host.folder / "aws"
    config.write_text(f"[default]\ncredential_process = {program}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    found = s3client._session().get_credentials()
    assert (found.access_key, found.method) == ("a", "custom-process")
    assert MARK not in host.seen("keys")
