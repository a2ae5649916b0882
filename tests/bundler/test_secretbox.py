"""cosign's key files: the published vector of NaCl's secretbox, and files that lie."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.poly1305 import Poly1305

from bundle import fips
from bundle.errors import UsageError
from bundle.secretfile import Passphrase
from bundle.signature import verify
from bundler import secretbox, signing
from bundler.secretbox import open_box

if TYPE_CHECKING:
    from pathlib import Path

# NaCl, tests/secretbox.c and "Cryptography in NaCl", section 10.
KEY = bytes.fromhex("1b27556473e985d462cd51197a9a46c76009549eac6474f206c4ee0844f68389")
NONCE = bytes.fromhex("69696ee955b62b73cd62bda875fc73d68219e0036b7a0b37")
BOX = bytes.fromhex(
    "f3ffc7703f9400e52a7dfb4b3d3305d98e993b9f48681273c29650ba32fc76ce48332ea7164d96a4476fb8c531a1"
    "186ac0dfc17c98dce87b4da7f011ec48c97271d2c20f9b928fe2270d6fb863d51738b48eeee314a7cc8ab9321645"
    "48e526ae90224368517acfeabd6bb3732bc0e9da99832b61ca01b6de56244a9e88d5f9b37973f622a43d14a6599b"
    "1f654cb45a74e355a5"
)
MESSAGE = bytes.fromhex(
    "be075fc53c81f2d5cf141316ebeb0c7b5228c52a4c62cbd44b66849b64244ffce5ecbaaf33bd751a1ac728d45e6c"
    "61296cdc3c01233561f41db66cce314adb310e3be8250c46f06dceea3a7fa1348057e2f6556ad6b1318a024a838f"
    "21af1fde048977eb48f59ffd4924ca1c60902e52f0a089bc76897040e082f937763848645e0705"
)


def test_the_published_box_opens() -> None:
    assert open_box(KEY, NONCE, BOX) == MESSAGE


def test_every_changed_byte_is_found() -> None:
    for position in range(0, len(BOX), 3):
        bad = bytearray(BOX)
        bad[position] ^= 1
        with pytest.raises(ValueError, match="not genuine"):
            open_box(KEY, NONCE, bytes(bad))


@pytest.mark.parametrize(
    ("key", "nonce", "box"),
    [(KEY[1:], NONCE, BOX), (KEY, NONCE[1:], BOX), (KEY, NONCE, BOX[:15])],
)
def test_what_is_no_box_is_refused(key: bytes, nonce: bytes, box: bytes) -> None:
    with pytest.raises(ValueError, match="not a secretbox"):
        open_box(key, nonce, box)


SALT = b"s" * 32


def sealed(plain: bytes, secret: bytes) -> dict[str, Any]:
    """Return the body of a key file as cosign writes it, with a cheap scrypt."""
    key = hashlib.scrypt(secret, salt=SALT, n=16, r=8, p=1, dklen=32)
    stream = secretbox._stream(secretbox._subkey(key, NONCE[:16]), NONCE[16:], 32 + len(plain))
    text = bytes(a ^ b for a, b in zip(plain, stream[32:], strict=True))
    box = Poly1305.generate_tag(stream[:32], text) + text

    def base(data: bytes) -> str:
        return base64.b64encode(data).decode()

    params = {"N": 16, "r": 8, "p": 1}
    return {
        "kdf": {"name": "scrypt", "params": params, "salt": base(SALT)},
        "cipher": {"name": "nacl/secretbox", "nonce": base(NONCE)},
        "ciphertext": base(box),
    }


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    pair = signing.generate(tmp_path_factory.mktemp("keys"), "alice", passphrase=None)
    return base64.b64decode("".join(pair.private.read_text().splitlines()[1:-1]))


def write(path: Path, body: object, label: str = "SIGSTORE") -> Path:
    text = base64.encodebytes(json.dumps(body).encode()).decode()
    name = f"ENCRYPTED {label} PRIVATE KEY"
    path.write_text(f"-----BEGIN {name}-----\n{text}-----END {name}-----\n")
    path.chmod(0o600)
    return path


def phrase(text: str = "") -> Passphrase:
    return Passphrase(environ={"DRAY_KEY_PASSPHRASE": text})


@pytest.mark.parametrize("label", ["SIGSTORE", "COSIGN"])
def test_a_key_file_of_cosign_opens_with_its_passphrase(
    label: str, plain: bytes, tmp_path: Path
) -> None:
    path = write(tmp_path / "cosign.key", sealed(plain, b"right"), label)
    found, warning = signing.load(path, passphrase=phrase("right"))
    assert (found.name, warning) == ("cosign", "")
    assert verify(found.public_key, found.sign(b"x"), b"x")
    with pytest.raises(UsageError, match="wrong passphrase"):
        signing.load(path, passphrase=phrase("wrong"))
    with pytest.raises(UsageError, match="no passphrase"):
        signing.load(path, passphrase=phrase())


def test_an_empty_passphrase_needs_none(plain: bytes, tmp_path: Path) -> None:
    path = write(tmp_path / "cosign.key", sealed(plain, b""))
    assert signing.load(path, passphrase=phrase())[0].name == "cosign"


def lies(body: dict[str, Any]) -> dict[str, object]:
    def kdf(**changes: object) -> dict[str, Any]:
        return {**body, "kdf": {**body["kdf"], **changes}}

    def params(**changes: int) -> dict[str, Any]:
        return kdf(params={**body["kdf"]["params"], **changes})

    return {
        "kdf.name is 'pbkdf2'": kdf(name="pbkdf2"),
        "cipher.name is 'none'": {**body, "cipher": {**body["cipher"], "name": "none"}},
        "ask scrypt for more": params(N=1 << 24),
        "ask scrypt for more than": params(N=15),
        "ask scrypt for more than cosign": params(p=1 << 20),
        "params.N is 0": params(N=0),
        "kdf.salt is not base64": kdf(salt="*"),
        "'ciphertext' is missing": {name: body[name] for name in ("kdf", "cipher")},
        "must be a mapping": [],
    }


@pytest.mark.parametrize("message", lies(sealed(b"", b"")))
def test_a_key_file_that_lies_is_refused_at_its_place(message: str, tmp_path: Path) -> None:
    path = write(tmp_path / "cosign.key", lies(sealed(b"", b"right"))[message])
    with pytest.raises(UsageError, match=message):
        signing.load(path, passphrase=phrase("right"))


def test_a_key_file_that_is_cut_is_refused(plain: bytes, tmp_path: Path) -> None:
    path = write(tmp_path / "cosign.key", sealed(plain, b"right"))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UsageError, match="not one of cosign's key files"):
        signing.load(path, passphrase=phrase("right"))


def test_fips_mode_reads_none(
    plain: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fips._Mode, "is_on", True)
    path = write(tmp_path / "cosign.key", sealed(plain, b""))
    with pytest.raises(UsageError, match=r"--fips: .*scrypt and XSalsa20, which are not approved"):
        signing.load(path, passphrase=phrase())
