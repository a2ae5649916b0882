"""The key that opens chunks: P-256 in PEM, and none that signs."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from bundle.errors import UsageError
from bundle.secretfile import DECRYPTION, Passphrase
from bundler import signing
from importer import decryptkey
from tests import keys

if TYPE_CHECKING:
    from pathlib import Path

TRUST = keys.trust(keys.signer("alice"))
NOBODY = Passphrase(environ={}, variable=DECRYPTION)


def phrase(text: str) -> Passphrase:
    return Passphrase(environ={"DRAY_DECRYPT_PASSPHRASE": text}, variable=DECRYPTION)


def pair(folder: Path, passphrase: bytes | None = None, **more: object) -> signing.KeyPair:
    endings = signing.ENCRYPTION_ENDINGS
    return signing.generate(folder, "ops", passphrase=passphrase, endings=endings, **more)  # type: ignore[arg-type]


def test_what_keygen_makes_is_read(tmp_path: Path) -> None:
    made = pair(tmp_path, b"correct horse")
    assert {path.name for path in tmp_path.iterdir()} == {"ops.decrypt-key", "ops.encrypt-to"}
    key, warning = decryptkey.load(made.private, TRUST, passphrase=phrase("correct horse"))
    assert (key.fingerprint, warning) == (made.public_key.fingerprint, "")
    assert "ops" not in repr(key)


def test_what_openssl_makes_is_read_and_others_who_may_read_it_are_named(tmp_path: Path) -> None:
    path = tmp_path / "vault"
    make = ["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]
    subprocess.run([*make, "-out", path], check=True, capture_output=True)
    path.chmod(0o644)
    key, warning = decryptkey.load(path, TRUST, passphrase=NOBODY)
    assert len(key.point) == 65
    assert "chmod 600" in warning


def test_the_public_half_is_told_from_the_private_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a public key, not a private one"):
        decryptkey.load(pair(tmp_path).public, TRUST, passphrase=NOBODY)


def test_a_key_of_the_trust_file_is_refused(tmp_path: Path) -> None:
    made = pair(tmp_path)
    signer = signing.Signer("ops", made.public_key, lambda _data: b"")
    with pytest.raises(UsageError, match="must not open chunks as well"):
        decryptkey.load(made.private, keys.trust(signer), passphrase=NOBODY)


@pytest.mark.parametrize(
    ("given", "message"),
    [("", "there is no passphrase"), ("battery", "wrong passphrase")],
)
def test_the_passphrase_has_variables_of_its_own(tmp_path: Path, given: str, message: str) -> None:
    made = pair(tmp_path, b"correct horse")
    with pytest.raises(UsageError, match=message) as caught:
        decryptkey.load(made.private, TRUST, passphrase=phrase(given))
    assert "DRAY_DECRYPT_PASSPHRASE" in caught.value.hint


def test_other_kinds_of_keys_are_refused(tmp_path: Path) -> None:
    made = signing.generate(tmp_path, "edwards", algorithm="ed25519", passphrase=None)
    with pytest.raises(UsageError, match="which opens nothing"):
        decryptkey.load(made.private, TRUST, passphrase=NOBODY)


@pytest.mark.parametrize("point", [b"", b"\x04" + bytes(64), b"\x04" + b"\xff" * 64])
def test_what_is_no_point_is_refused(tmp_path: Path, point: bytes) -> None:
    key, _warning = decryptkey.load(pair(tmp_path).private, TRUST, passphrase=NOBODY)
    with pytest.raises(ValueError, match=r".+"):
        key.agree(point)
