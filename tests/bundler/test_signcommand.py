"""Signing by a command: what it is given, what it may answer, and how it can fail."""

from __future__ import annotations

import base64
import json
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from bundle.errors import UsageError
from bundle.keycommand import Command
from bundle.secretfile import Passphrase
from bundle.signature import PublicKey, verify
from bundler import signcommand, signing
from bundler.signers import Chosen
from tests.keys import signer
from tests.servers import programs, softhsm

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

DATA = b"the manifest\n" + bytes(range(256)) * 4000
ALICE = signer("alice")
EDWARDS = signer("edwards", "ed25519")


HEAD = "import os, pathlib, sys, time\nasked = os.environ['DRAY_SIGNER_ASKS']"


@dataclass
class Scripted:
    """Commands that are small Python programs, in ``folder``."""

    folder: Path

    def __call__(self, body: str, timeout: float = 20) -> Command:
        path = self.folder / "signer.py"
        path.write_text(
            f"import os, pathlib, sys, time\nasked = os.environ['DRAY_SIGNER_ASKS']\n{body}\n"
        )
        return Command.parse(f"{shlex.quote(sys.executable)} {shlex.quote(str(path))}", timeout)

    def prints(self, answer: bytes, key: bytes = b"") -> Command:
        (self.folder / "answer").write_bytes(answer)
        (self.folder / "key").write_bytes(key)
        name = (
            f"pathlib.Path({str(self.folder)!r}) / ('key' if asked == 'public-key' else 'answer')"
        )
        return self(f"sys.stdout.buffer.write(({name}).read_bytes())")


@pytest.fixture
def script(tmp_path: Path) -> Scripted:
    return Scripted(tmp_path)


@pytest.fixture
def pub(tmp_path: Path) -> Path:
    return written(tmp_path / "alice.pub", ALICE.public_key)


def written(path: Path, key: PublicKey) -> Path:
    path.write_text(key.pem)
    return path


def raw(der: bytes) -> bytes:
    r, s = decode_dss_signature(der)
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


FORMS: dict[str, Callable[[bytes], bytes]] = {
    "der": bytes,
    "raw": raw,
    "base64": base64.b64encode,
    "base64 in lines": base64.encodebytes,
    "raw in base64": lambda der: base64.b64encode(raw(der)) + b"\n",
}


@pytest.mark.parametrize("form", FORMS)
def test_a_signature_is_taken_in_each_form_and_kept_in_one(
    form: str, script: Scripted, pub: Path
) -> None:
    der = ALICE.sign(DATA)
    found = signcommand.signer(script.prints(FORMS[form](der)), pub=pub)
    assert found.sign(DATA) == der
    assert (found.name, found.public_key) == ("alice", ALICE.public_key)


def test_ed25519_is_taken_raw_and_in_base64(script: Scripted, tmp_path: Path) -> None:
    pub = written(tmp_path / "edwards.pub", EDWARDS.public_key)
    made = EDWARDS.sign(DATA)
    for form in (made, base64.b64encode(made)):
        assert signcommand.signer(script.prints(form), pub=pub).sign(DATA) == made


def test_the_command_gets_the_exact_bytes_and_is_asked_for_its_public_key(
    script: Scripted, tmp_path: Path
) -> None:
    key = ALICE.public_key.pem.encode()
    answers = {"sign": ALICE.sign(DATA).hex(), "public-key": key.hex()}
    command = script(
        f"data = sys.stdin.buffer.read()\n"
        f"(pathlib.Path({str(tmp_path)!r}) / asked).write_bytes(data)\n"
        f"sys.stdout.buffer.write(bytes.fromhex({answers!r}[asked]))"
    )
    found = signcommand.signer(command, name="releaser")
    assert found.sign(DATA) == ALICE.sign(DATA) or verify(ALICE.public_key, found.sign(DATA), DATA)
    assert (tmp_path / "sign").read_bytes() == DATA
    assert (tmp_path / "public-key").read_bytes() == b""
    assert found.name == "releaser"


def test_a_signature_by_another_key_or_over_other_bytes_is_never_used(
    script: Scripted, pub: Path
) -> None:
    for answer in (signer("bob").sign(DATA), ALICE.sign(DATA + b" "), b"\0" * 64, b"signed!"):
        found = signcommand.signer(script.prints(answer), pub=pub)
        with pytest.raises(UsageError, match="no signature by alice's key") as caught:
            found.sign(DATA)
        assert str(ALICE.public_key.fingerprint) in caught.value.hint


FAILURES = {
    "failed with code 3": "print('no token', file=sys.stderr); sys.exit(3)",
    "was killed by signal 9": "os.kill(os.getpid(), 9)",
    "printed more than any answer has": "while True: sys.stdout.write('x' * 65536)",
    "did not answer within 0.5 seconds": "time.sleep(60)",
    "did not answer within 0.5 seconds$": "sys.stdout.close(); os.close(1); time.sleep(60)",
}


@pytest.mark.parametrize("message", FAILURES)
def test_a_command_that_fails_is_said_soon_and_by_its_program_alone(
    message: str, script: Scripted, pub: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    body = FAILURES[message]
    command = script(body, 0.5 if "0.5" in message else 20)
    secret = Command((*command.words, "--pin", "4711"), command.timeout)
    began = time.monotonic()
    with pytest.raises(UsageError, match=message) as caught:
        signcommand.signer(secret, pub=pub).sign(DATA)
    assert time.monotonic() - began < 15
    assert "4711" not in f"{caught.value} {caught.value.hint}"
    assert "no token" not in body or "no token" in capfd.readouterr().err


def test_a_grandchild_that_holds_the_pipe_does_not_hold_dray(script: Scripted, pub: Path) -> None:
    command = Command.parse("sh -c 'sleep 30 & exit 0'", 0.5)
    began = time.monotonic()
    with pytest.raises(UsageError, match="did not answer"):
        signcommand.signer(command, pub=pub).sign(DATA)
    assert time.monotonic() - began < 10


def test_what_signs_is_told_no_secret_of_others(
    script: Scripted, pub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DRAY_KEY_PASSPHRASE", "NGC_API_KEY", "HF_TOKEN", "HSM_PIN"):
        monkeypatch.setenv(name, "s3cret")
    seen = tmp_path / "seen"
    command = script(f"pathlib.Path({str(seen)!r}).write_text('\\n'.join(os.environ))")
    with pytest.raises(UsageError):
        signcommand.signer(command, pub=pub).sign(DATA)
    names = set(seen.read_text().splitlines())
    assert {"HSM_PIN", "DRAY_SIGNER_ASKS", "PATH"} <= names
    assert not {"DRAY_KEY_PASSPHRASE", "NGC_API_KEY", "HF_TOKEN"} & names


@pytest.mark.parametrize("line", ["", "   ", "no-such-signer-program", "'open"])
def test_what_is_no_command_is_a_usage_error(line: str) -> None:
    with pytest.raises(UsageError):
        Command.parse(line)


def test_no_shell_reads_the_command(tmp_path: Path, pub: Path) -> None:
    target = tmp_path / "written"
    with pytest.raises(UsageError):
        signcommand.signer(
            Command.parse(f"echo x > {target}; true $(touch {target})"), pub=pub
        ).sign(DATA)
    assert not target.exists()


def test_a_command_that_has_no_public_key_says_which_option_names_it(script: Scripted) -> None:
    for answer in (b"", ALICE.sign(DATA), b"-----BEGIN PUBLIC KEY-----\nAAAA\n"):
        with pytest.raises(UsageError) as caught:
            signcommand.signer(script.prints(b"", answer), name="alice")
        assert "--signer-pub FILE" in caught.value.hint


def test_a_signer_that_cannot_run_or_prints_nothing_says_so(
    script: Scripted, pub: Path, tmp_path: Path
) -> None:
    (tmp_path / "releaser").write_text("#!/bin/sh\n")
    with pytest.raises(UsageError, match="releaser is not executable") as caught:
        Command.parse(str(tmp_path / "releaser"))
    assert caught.value.hint == f"chmod +x {tmp_path / 'releaser'}"
    with pytest.raises(UsageError, match="printed nothing"):
        signcommand.signer(script.prints(b""), pub=pub).sign(DATA)


def test_a_signer_needs_a_name_that_is_one(script: Scripted, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no name"):
        signcommand.signer(script.prints(b""))
    pub = written(tmp_path / "Not A Name.pub", ALICE.public_key)
    with pytest.raises(UsageError, match="is no signer's name"):
        signcommand.signer(script.prints(b""), pub=pub)
    with pytest.raises(UsageError, match="cannot read the public key"):
        signcommand.signer(script.prints(b""), pub=tmp_path / "alice.key")


def chosen(**changes: object) -> Chosen:
    fields: dict[str, object] = {"keys": (), "command": "", "pub": None, "name": "", "timeout": 9}
    return Chosen(**(fields | changes))  # type: ignore[arg-type]


def test_options_that_do_not_go_together_are_said(tmp_path: Path, pub: Path) -> None:
    with pytest.raises(UsageError, match="nobody signs"):
        chosen().signers()
    pair = signing.generate(tmp_path, "carol", passphrase=None)
    with pytest.raises(UsageError, match="go with --signer"):
        chosen(keys=(pair.private,), pub=pub).signers()
    with pytest.raises(UsageError, match="two keys are called carol"):
        chosen(keys=(pair.private,), command="cat", pub=pub, name="carol").signers()
    found = chosen(keys=(pair.private,), command="cat", pub=pub).signers()
    assert [one.name for one in found] == ["carol", "alice"]


def test_a_signer_is_tried_before_an_export_begins(script: Scripted, pub: Path) -> None:
    failing = shlex.join(script("sys.exit(3)").words)
    assert chosen(command=failing, pub=pub).signers()
    with pytest.raises(UsageError, match="failed with code 3"):
        chosen(command=failing, pub=pub).signers(trial=True)
    assert json.loads(json.dumps(signcommand.TRIAL.decode())).startswith("dray: a trial")


# Real programs.


def run(*words: object, **more: object) -> bytes:
    done = subprocess.run(
        [*map(str, words)],
        capture_output=True,
        check=False,
        **more,  # type: ignore[call-overload]
    )
    assert done.returncode == 0, done.stderr.decode()
    return bytes(done.stdout)


@pytest.mark.server
@pytest.mark.parametrize("kind", ["p256", "ed25519"])
def test_openssl_signs(kind: str, tmp_path: Path) -> None:
    openssl = programs.require("openssl")
    key = signing.generate(tmp_path, "alice", algorithm=kind, passphrase=None)
    line = f"{openssl} dgst -sha256 -sign {key.private}"
    if kind == "ed25519":  # openssl wants its size before: a file, no pipe
        sign = f"{openssl} pkeyutl -sign -rawin -inkey {key.private} -in /dev/stdin"
        line = f"sh -c '{sign}'"
    found = signcommand.signer(Command.parse(line), pub=key.public)
    assert verify(key.public_key, found.sign(DATA), DATA)


@pytest.fixture
def hsm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A token of SoftHSM with a P-256 key that never leaves it; its public key in ``hsm.pub``."""
    util, tool = programs.require("softhsm2-util"), programs.require("pkcs11-tool")
    module = softhsm.module()
    (tmp_path / "tokens").mkdir()
    config = tmp_path / "softhsm2.conf"
    config.write_text(f"directories.tokendir = {tmp_path}/tokens\nobjectstore.backend = file\n")
    monkeypatch.setenv("SOFTHSM2_CONF", str(config))
    monkeypatch.setenv("HSM_PIN", "4711")
    run(util, "--init-token", "--free", "--label", "dray", "--so-pin", "12345678", "--pin", "4711")
    token = [tool, "--module", module, "--token-label", "dray", "--login", "--pin", "env:HSM_PIN"]
    run(*token, "--keypairgen", "--key-type", "EC:prime256v1", "--label", "release", "--id", "01")
    der = run(*token, "--read-object", "--type", "pubkey", "--label", "release")
    pem = run(programs.require("openssl"), "pkey", "-pubin", "-inform", "DER", input=der)
    (tmp_path / "hsm.pub").write_bytes(pem)
    (tmp_path / "token").write_text(shlex.join(map(str, token)))
    return tmp_path


@pytest.mark.server
@pytest.mark.parametrize("form", ["openssl", "rs"])
def test_a_key_in_an_hsm_signs_through_pkcs11(form: str, hsm: Path) -> None:
    token = (hsm / "token").read_text()
    line = f"{token} --sign --mechanism ECDSA --signature-format {form} --label release"
    command = Command.parse(f"sh -c {shlex.quote(f'openssl dgst -sha256 -binary | {line}')}")
    found = signcommand.signer(command, pub=hsm / "hsm.pub")
    made = found.files("m.json", DATA)
    public = PublicKey.from_pem((hsm / "hsm.pub").read_bytes())
    assert verify(public, made["m.json.hsm.sig"], DATA)


COSIGN = {
    "cosign-2.5": ["--tlog-upload=false"],
    "cosign": ["--tlog-upload=false", "--use-signing-config=false", "--new-bundle-format=false"],
}


@pytest.mark.server
@pytest.mark.parametrize("program", COSIGN)
def test_cosign_signs_and_its_key_file_is_read(
    program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cosign = programs.require(program)
    monkeypatch.setenv("COSIGN_PASSWORD", "correct horse")
    monkeypatch.setenv("HOME", str(tmp_path))
    run(cosign, "generate-key-pair", cwd=tmp_path)
    words = [cosign, "sign-blob", "--key", tmp_path / "cosign.key", *COSIGN[program], "--yes", "-"]
    command = Command.parse(shlex.join(map(str, words)))
    found = signcommand.signer(command, pub=tmp_path / "cosign.pub")
    assert verify(found.public_key, found.sign(DATA), DATA)
    (tmp_path / "cosign.key").chmod(0o600)
    phrase = Passphrase(environ={"DRAY_KEY_PASSPHRASE": "correct horse"})
    itself, _warning = signing.load(tmp_path / "cosign.key", passphrase=phrase)
    assert itself.public_key == found.public_key
    assert verify(itself.public_key, itself.sign(DATA), DATA)
