from __future__ import annotations

import base64
import io
import stat
import subprocess
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from bundle import pkcs8
from bundle.errors import DrayError, UsageError
from bundle.secretfile import MAX_BYTES, Passphrase
from bundle.signature import PublicKey, parse_sigstore, verify
from bundler.signing import Signer, generate, load
from tests.keys import signer
from tests.servers import programs

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

DATA = b"the manifest"
SECRET = "correct horse"
ALGORITHMS = ["p256", "ed25519"]
NOTHING = Passphrase(environ={})
RIGHT = Passphrase(environ={"DRAY_KEY_PASSPHRASE": SECRET})


@pytest.fixture(autouse=True)
def few_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pkcs8, "ROUNDS", 70_000)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("secret", [SECRET.encode(), "gehütet ☂".encode(), b"x", None])
def test_a_new_key_signs_what_its_public_key_verifies(
    algorithm: str, secret: bytes | None, tmp_path: Path
) -> None:
    pair = generate(tmp_path / "keys", "alice", algorithm=algorithm, passphrase=secret)
    given = {} if secret is None else {"DRAY_KEY_PASSPHRASE": secret.decode()}
    loaded, warning = load(pair.private, passphrase=Passphrase(environ=given))
    assert warning == ""
    assert loaded.name == "alice"
    public = PublicKey.from_pem(pair.public.read_bytes())
    assert public == pair.public_key == loaded.public_key
    assert public.algorithm == algorithm
    assert verify(public, loaded.sign(DATA), DATA)


def test_the_private_key_is_for_its_owner_only(tmp_path: Path) -> None:
    pair = generate(tmp_path, "alice", passphrase=SECRET.encode())
    assert stat.S_IMODE(pair.private.stat().st_mode) == 0o600
    text = pair.private.read_text()
    assert text.startswith("-----BEGIN ENCRYPTED PRIVATE KEY-----\n")
    assert max(map(len, text.splitlines())) <= 64


def test_the_real_number_of_rounds_is_in_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    assert pkcs8.ROUNDS >= 600_000
    pair = generate(tmp_path, "alice", passphrase=SECRET.encode())
    der = base64.b64decode("".join(pair.private.read_text().splitlines()[1:-1]))
    assert b"\x02\x03" + pkcs8.ROUNDS.to_bytes(3, "big") in der
    key = load_pem_private_key(pair.private.read_bytes(), SECRET.encode())
    assert PublicKey.of(key.public_key()) == pair.public_key


@pytest.mark.server
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_openssl_opens_our_key_files(algorithm: str, tmp_path: Path) -> None:
    pair = generate(tmp_path, "alice", algorithm=algorithm, passphrase=SECRET.encode())
    words = [
        str(programs.require("openssl")),
        "pkey",
        "-in",
        str(pair.private),
        "-passin",
        "stdin",
        "-pubout",
    ]
    done = subprocess.run(words, input=SECRET, capture_output=True, text=True, check=True)
    assert done.stdout == pair.public.read_text()
    bad = subprocess.run(words, input="wrong", capture_output=True, text=True, check=False)
    assert bad.returncode != 0


OF_P256 = ["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]
OPENSSL_KEYS = {
    "p256": OF_P256,
    "p256 with its parameters": ["ecparam", "-name", "prime256v1", "-genkey"],
    "ed25519": ["genpkey", "-algorithm", "ED25519"],
    "p256 encrypted": [*OF_P256, "-aes256", "-pass", f"pass:{SECRET}"],
    "p256 as SEC1": ["ecparam", "-name", "prime256v1", "-genkey", "-noout"],
}
AGAIN = {
    "with scrypt": ["pkcs8", "-topk8", "-scrypt"],
    "with triple DES": ["pkcs8", "-topk8", "-v2", "des3"],
    "as SEC1 by way of MD5": ["ec", "-aes256"],
}
"""How openssl encrypts a key file that is there."""


@pytest.mark.server
@pytest.mark.parametrize("kind", OPENSSL_KEYS)
def test_keys_made_by_openssl_are_accepted(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "alice.pem"
    words = [str(programs.require("openssl")), *OPENSSL_KEYS[kind], "-out", str(path)]
    subprocess.run(words, check=True, capture_output=True)
    path.chmod(0o600)
    loaded, warning = load(path, passphrase=RIGHT)
    assert verify(loaded.public_key, loaded.sign(DATA), DATA)
    assert warning == ""


@pytest.mark.server
@pytest.mark.parametrize("way", AGAIN)
def test_keys_that_openssl_encrypted_are_accepted(way: str, tmp_path: Path) -> None:
    pair = generate(tmp_path, "alice", passphrase=None)
    path = tmp_path / "again.pem"
    secret = ["-passout", f"pass:{SECRET}"]
    words = [programs.require("openssl"), *AGAIN[way], "-in", pair.private, "-out", path, *secret]
    subprocess.run([*map(str, words)], check=True, capture_output=True)
    loaded, _warning = load(path, passphrase=RIGHT)
    assert loaded.public_key == pair.public_key
    with pytest.raises(UsageError, match="wrong passphrase"):
        load(path, passphrase=Passphrase(environ={"DRAY_KEY_PASSPHRASE": "wrong"}))


@pytest.mark.parametrize("there", ["alice.key", "alice.pub"])
def test_nothing_is_overwritten_and_nothing_left_behind(there: str, tmp_path: Path) -> None:
    (tmp_path / there).write_text("mine")
    with pytest.raises(UsageError, match=f"{there} exists already"):
        generate(tmp_path, "alice", passphrase=None)
    assert [path.name for path in tmp_path.iterdir()] == [there]
    assert (tmp_path / there).read_text() == "mine"


def test_a_key_is_not_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "alice.key").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="exists already"):
        generate(tmp_path, "alice", passphrase=None)
    assert not (tmp_path / "elsewhere").exists()


def test_a_folder_that_is_a_file_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("")
    with pytest.raises(UsageError):
        generate(tmp_path / "keys", "alice", passphrase=None)


@pytest.mark.parametrize("name", ["", "Alice", "../a", "-a", "a" * 33, "a.b", "a\n", "é"])
def test_a_signers_name_is_fit_for_file_names(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a signer's name"):
        generate(tmp_path, name, passphrase=None)
    assert list(tmp_path.iterdir()) == []


def test_another_kind_of_key_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'rsa'") as caught:
        generate(tmp_path, "alice", algorithm="rsa", passphrase=None)
    assert "ed25519" in caught.value.hint


def test_a_wrong_or_missing_passphrase_is_said_and_never_shown(tmp_path: Path) -> None:
    pair = generate(tmp_path, "alice", passphrase=SECRET.encode())
    wrong = Passphrase(environ={"DRAY_KEY_PASSPHRASE": "battery staple"})
    with pytest.raises(UsageError, match="wrong passphrase for") as caught:
        load(pair.private, passphrase=wrong)
    assert "staple" not in f"{caught.value} {caught.value.hint} {wrong!r}"
    assert caught.value.hint == "it is what DRAY_KEY_PASSPHRASE holds"
    with pytest.raises(UsageError, match=r"no passphrase for .*alice\.key"):
        load(pair.private, passphrase=NOTHING)


def test_a_wrong_passphrase_says_where_it_came_from(tmp_path: Path) -> None:
    named = Passphrase(environ={"DRAY_KEY_PASSPHRASE_FILE": "phrase"})
    assert "first line of phrase" in named.wrong("alice.key").hint
    assert NOTHING.wrong("alice.key").hint == "it was typed: try again"


def test_a_key_file_whose_name_is_no_signers_says_so(tmp_path: Path) -> None:
    pair = generate(tmp_path, "alice", passphrase=None)
    path = pair.private.rename(tmp_path / "id_ecdsa")
    with pytest.raises(UsageError, match=r"the name of .*id_ecdsa is no signer's name") as caught:
        load(path, passphrase=NOTHING)
    assert "rename it" in caught.value.hint
    assert load(path, name="alice", passphrase=NOTHING)[0].name == "alice"


def test_a_passphrase_for_an_open_key_is_not_needed(tmp_path: Path) -> None:
    pair = generate(tmp_path, "alice", passphrase=None)
    assert load(pair.private, passphrase=RIGHT)[0].public_key == pair.public_key


def test_where_a_passphrase_is_looked_for_in_which_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = tmp_path / "named"
    named.write_bytes(b"from named\r\nsecond line")
    both = {"DRAY_KEY_PASSPHRASE": "from value", "DRAY_KEY_PASSPHRASE_FILE": str(named)}
    only_named = {"DRAY_KEY_PASSPHRASE_FILE": str(named)}
    assert Passphrase(environ=both).find("a.key") == b"from value"
    from_file = Passphrase(environ=only_named, ask=lambda _what, _twice: "asked")
    assert from_file.find("a.key") == b"from named"

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    asked: list[tuple[str, bool]] = []

    def ask(what: str, twice: bool) -> str:
        asked.append((what, twice))
        return "asked"

    asking = Passphrase(environ={}, ask=ask)
    with pytest.raises(UsageError, match="no passphrase"):
        asking.find("a.key")
    monkeypatch.setattr("sys.stdin", Terminal())
    assert asking.find("a.key", confirm=True) == b"asked"
    assert asked == [("a.key", True)]


def test_no_passphrase_for_a_new_key_names_the_way_without_one() -> None:
    with pytest.raises(UsageError) as caught:
        NOTHING.find("a.key", confirm=True)
    assert "--no-passphrase" in caught.value.hint


def test_a_passphrase_file_that_cannot_be_read_is_never_empty(tmp_path: Path) -> None:
    def found(name: str) -> bytes:
        named = {"DRAY_KEY_PASSPHRASE_FILE": str(tmp_path / name)}
        return Passphrase(environ=named).find("a.key")

    with pytest.raises(UsageError, match="passphrase file"):
        found("missing")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="not UTF-8"):
        found("binary")
    (tmp_path / "empty").write_bytes(b"\nsecret")
    with pytest.raises(UsageError, match=r"first line of the passphrase file .*empty is empty"):
        found("empty")


def test_a_key_that_others_may_read_brings_a_warning(tmp_path: Path) -> None:
    pair = generate(tmp_path, "alice", passphrase=None)
    pair.private.chmod(0o640)
    _signer, warning = load(pair.private, passphrase=NOTHING)
    assert "mode 0640" in warning
    assert "chmod 600" in warning


def pem(label: str) -> bytes:
    return f"-----BEGIN {label}-----\nAA==\n-----END {label}-----\n".encode()


NOT_KEYS: dict[str, bytes] = {
    "its body is not JSON": pem("ENCRYPTED SIGSTORE PRIVATE KEY"),
    "its body is not JSON in": pem("ENCRYPTED COSIGN PRIVATE KEY"),
    "not a private key": b"",
    "not a private key that can be read": pem("PRIVATE KEY"),
    "is a public key": signer("alice").public_key.pem.encode(),
    "is a certificate": pem("CERTIFICATE"),
    "is in OpenSSH's own format": pem("OPENSSH PRIVATE KEY"),
    "is not in PEM": b"\x30\x81\x87\x02\x01\x00",
    "larger than any": b" " * (MAX_BYTES + 1),
}


@pytest.mark.parametrize("message", NOT_KEYS)
def test_what_is_no_private_key_is_refused(message: str, tmp_path: Path) -> None:
    path = tmp_path / "alice.key"
    path.write_bytes(NOT_KEYS[message])
    with pytest.raises(UsageError, match=message) as caught:
        load(path, passphrase=RIGHT)
    assert caught.value.hint


OTHER_KEYS: dict[str, Callable[[], PrivateKeyTypes]] = {
    "ECDSA key on secp384r1": lambda: ec.generate_private_key(ec.SECP384R1()),
    "kind RSA": lambda: rsa.generate_private_key(65537, 2048),
    "kind Ed448": ed448.Ed448PrivateKey.generate,
}


@pytest.mark.parametrize("kind", OTHER_KEYS)
def test_other_kinds_of_keys_are_refused_by_their_kind(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "alice.key"
    key = OTHER_KEYS[kind]()
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(UsageError, match=kind):
        load(path, passphrase=NOTHING)


def test_a_key_file_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read the key file .*alice\.key: no such file"):
        load(tmp_path / "alice.key", passphrase=NOTHING)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_both_files_of_a_signer_carry_the_same_signature(algorithm: str) -> None:
    one = signer("alice", algorithm)
    files = one.files("prod-000042.manifest.json", DATA)
    names = [f"prod-000042.manifest.json.alice.{end}" for end in ("sigstore.json", "sig")]
    assert list(files) == names
    assert parse_sigstore(files[names[0]]).signature == files[names[1]]
    assert verify(one.public_key, files[names[1]], DATA)


def test_a_device_that_signs_with_another_key_is_found_out_at_once() -> None:
    wrong = Signer("alice", signer("alice").public_key, Ed25519PrivateKey.generate().sign)
    with pytest.raises(DrayError, match="does not verify"):
        wrong.files("m.json", DATA)


def test_no_key_is_in_what_a_signer_prints() -> None:
    assert repr(signer("alice")) == "Signer(name='alice', public_key=PublicKey(algorithm='p256'))"
