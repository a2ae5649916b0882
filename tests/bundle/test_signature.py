from __future__ import annotations

import base64
import hashlib
import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa, x25519
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bundle.errors import NotTrusted, UsageError
from bundle.signature import MAX_BYTES, PublicKey, parse_sigstore, to_sigstore, verify
from tests.keys import signer
from tests.servers import programs

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

DATA = b'{"stream": "prod"}\n'
ALGORITHMS = ["p256", "ed25519"]


def openssl(folder: Path, *words: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [programs.require("openssl"), *words], cwd=folder, capture_output=True, check=False
    )


def made_by_openssl(folder: Path, algorithm: str) -> None:
    kinds = {
        "p256": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
        "ed25519": ["-algorithm", "ED25519"],
    }
    assert openssl(folder, "genpkey", *kinds[algorithm], "-out", "k.key").returncode == 0
    assert openssl(folder, "pkey", "-in", "k.key", "-pubout", "-out", "k.pub").returncode == 0


def check_with_openssl(folder: Path, algorithm: str) -> int:
    words = {
        "p256": ["dgst", "-sha256", "-verify", "k.pub", "-signature", "m.sig", "m"],
        "ed25519": [
            "pkeyutl",
            "-verify",
            "-pubin",
            "-inkey",
            "k.pub",
            "-rawin",
            "-in",
            "m",
            "-sigfile",
            "m.sig",
        ],
    }
    return openssl(folder, *words[algorithm]).returncode


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_signature_verifies_over_exactly_what_was_signed(algorithm: str) -> None:
    one = signer("alice", algorithm)
    signature = one.sign(DATA)
    assert verify(one.public_key, signature, DATA)
    assert not verify(one.public_key, signature, DATA + b" ")
    assert not verify(one.public_key, signature, DATA[1:])
    assert not verify(signer("bob", algorithm).public_key, signature, DATA)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_any_changed_bit_of_a_signature_is_caught(algorithm: str) -> None:
    one = signer("alice", algorithm)
    signature = one.sign(DATA)
    for position in range(len(signature)):
        bad = bytearray(signature)
        bad[position] ^= 1
        assert not verify(one.public_key, bytes(bad), DATA)
    assert not verify(one.public_key, signature + b"\0", DATA)
    assert not verify(one.public_key, b"", DATA)


@pytest.mark.server
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_openssl_accepts_our_signatures(algorithm: str, tmp_path: Path) -> None:
    one = signer("alice", algorithm)
    (tmp_path / "k.pub").write_text(one.public_key.pem)
    (tmp_path / "m").write_bytes(DATA)
    (tmp_path / "m.sig").write_bytes(one.sign(DATA))
    assert check_with_openssl(tmp_path, algorithm) == 0
    (tmp_path / "m").write_bytes(DATA + b" ")
    assert check_with_openssl(tmp_path, algorithm) != 0


@pytest.mark.server
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_keys_and_signatures_of_openssl_are_accepted(algorithm: str, tmp_path: Path) -> None:
    made_by_openssl(tmp_path, algorithm)
    (tmp_path / "m").write_bytes(DATA)
    words = {
        "p256": ["dgst", "-sha256", "-sign", "k.key", "-out", "m.sig", "m"],
        "ed25519": ["pkeyutl", "-sign", "-inkey", "k.key", "-rawin", "-in", "m", "-out", "m.sig"],
    }
    assert openssl(tmp_path, *words[algorithm]).returncode == 0
    key = PublicKey.from_pem((tmp_path / "k.pub").read_bytes())
    assert key.algorithm == algorithm
    assert verify(key, (tmp_path / "m.sig").read_bytes(), DATA)


@pytest.mark.server
def test_the_fingerprint_is_the_hash_of_the_der_that_openssl_writes(tmp_path: Path) -> None:
    made_by_openssl(tmp_path, "p256")
    der = openssl(tmp_path, "pkey", "-pubin", "-in", "k.pub", "-outform", "DER").stdout
    key = PublicKey.from_pem((tmp_path / "k.pub").read_text())
    assert key.fingerprint.hex == hashlib.sha256(der).hexdigest()
    assert key.hint == base64.b64encode(hashlib.sha256(der).digest()).decode()


@pytest.mark.server
def test_a_key_with_a_compressed_point_is_the_same_key(tmp_path: Path) -> None:
    made_by_openssl(tmp_path, "p256")
    words = ["pkey", "-pubin", "-in", "k.pub", "-ec_conv_form", "compressed", "-out", "c.pub"]
    assert openssl(tmp_path, *words).returncode == 0
    plain, packed = (tmp_path / "k.pub").read_bytes(), (tmp_path / "c.pub").read_bytes()
    assert plain != packed
    assert PublicKey.from_pem(plain) == PublicKey.from_pem(packed)
    assert PublicKey.from_pem(plain).fingerprint == PublicKey.from_pem(packed).fingerprint


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_pem_reads_back_whatever_the_line_ends(algorithm: str) -> None:
    key = signer("alice", algorithm).public_key
    assert PublicKey.from_pem(key.pem) == key
    assert PublicKey.from_pem(key.pem.replace("\n", "\r\n").encode() + b"\r\n\r\n") == key


def pem_of(key: PublicKeyTypes) -> str:
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


OTHER_KEYS: dict[str, Callable[[], PublicKeyTypes]] = {
    "ECDSA key on secp384r1": lambda: ec.generate_private_key(ec.SECP384R1()).public_key(),
    "ECDSA key on secp256k1": lambda: ec.generate_private_key(ec.SECP256K1()).public_key(),
    "kind RSA": lambda: rsa.generate_private_key(65537, 2048).public_key(),
    "kind Ed448": lambda: ed448.Ed448PrivateKey.generate().public_key(),
    "kind X25519": lambda: x25519.X25519PrivateKey.generate().public_key(),
}


@pytest.mark.parametrize("kind", OTHER_KEYS)
def test_other_kinds_of_keys_are_refused_by_their_kind(kind: str) -> None:
    with pytest.raises(UsageError, match=kind) as caught:
        PublicKey.from_pem(pem_of(OTHER_KEYS[kind]()), what="the key")
    assert "P-256" in caught.value.hint


NOT_KEYS = {
    "cosign's private key": "-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\nAA==\n"
    "-----END ENCRYPTED SIGSTORE PRIVATE KEY-----\n",
    "cosign's private key file": "-----BEGIN ENCRYPTED COSIGN PRIVATE KEY-----\nAA==\n"
    "-----END ENCRYPTED COSIGN PRIVATE KEY-----\n",
    "a private key": "-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n",
    "a private key, not": "-----BEGIN EC PRIVATE KEY-----\nAA==\n-----END EC PRIVATE KEY-----\n",
    "a certificate": "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n",
    "an RSA key": "-----BEGIN RSA PUBLIC KEY-----\nAA==\n-----END RSA PUBLIC KEY-----\n",
    "an SSH key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB alice@host",
    "not a public key": "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
    "not a public key that": "-----BEGIN PUBLIC KEY-----\nA=A=\n-----END PUBLIC KEY-----\n",
    "not one public key in PEM": "",
    "larger than any": " " * 9000,
}


@pytest.mark.parametrize("message", NOT_KEYS)
def test_what_is_no_public_key_is_called_by_its_name(message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        PublicKey.from_pem(NOT_KEYS[message])
    assert caught.value.hint


def test_two_keys_in_one_file_are_refused() -> None:
    both = signer("alice").public_key.pem + signer("bob").public_key.pem
    with pytest.raises(UsageError, match="more than one"):
        PublicKey.from_pem(both)


def test_a_key_in_der_is_refused_with_the_way_to_convert_it() -> None:
    with pytest.raises(UsageError, match="not in PEM") as caught:
        PublicKey.from_pem(signer("alice").public_key.der)
    assert "inform DER" in caught.value.hint


def written(der: bytes) -> str:
    body = base64.encodebytes(der).decode()
    return f"-----BEGIN PUBLIC KEY-----\n{body}-----END PUBLIC KEY-----\n"


SMALL = {  # the y of the points of small order, computed from RFC 8032's curve by another program
    "0": bytes(32),
    "1": (1).to_bytes(32, "little"),
    "-1": (2**255 - 20).to_bytes(32, "little"),
    "order 8": bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
    "order 8 too": bytes.fromhex(
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"
    ),
    "1, not reduced": (2**255 - 18).to_bytes(32, "little"),
    "2, not reduced": (2**255 - 17).to_bytes(32, "little"),
}


@pytest.mark.parametrize("sign", [0, 0x80])
@pytest.mark.parametrize("y", SMALL)
def test_a_key_for_which_anybody_could_sign_is_none(y: str, sign: int) -> None:
    raw = SMALL[y][:31] + bytes([SMALL[y][31] | sign])
    with pytest.raises(UsageError, match="small order"):
        PublicKey.from_pem(written(bytes.fromhex("302a300506032b6570032100") + raw))


def test_why_keys_of_small_order_are_none() -> None:
    """OpenSSL verifies one signature of such a key over any message."""
    weak = Ed25519PublicKey.from_public_bytes(SMALL["1"])
    for message in (b"one", b"another"):
        weak.verify(SMALL["1"] + bytes(32), message)


@pytest.mark.parametrize("lead", [0x02, 0x03, 0x06, 0x07])
def test_one_key_has_one_fingerprint_however_its_point_is_written(lead: int) -> None:
    der = signer("alice").public_key.der
    point = der[-65:]
    if lead & 1 != point[-1] & 1:
        lead ^= 1
    other = bytes([lead]) + (point[1:33] if lead < 4 else point[1:])
    head = bytearray(der[:-65])
    head[1] -= 65 - len(other)
    head[-2] -= 65 - len(other)
    assert PublicKey.from_pem(written(bytes(head) + other)) == signer("alice").public_key


@pytest.mark.parametrize(
    "point", [b"\0", b"\4" + bytes(64), b"\4" + b"\xff" * 64, b"\5" + bytes(64), b""]
)
def test_a_point_that_is_none_is_no_key(point: bytes) -> None:
    head = bytearray(signer("alice").public_key.der[:-65])
    head[1] -= 65 - len(point)
    head[-2] -= 65 - len(point)
    with pytest.raises(UsageError, match="can be read"):
        PublicKey.from_pem(written(bytes(head) + point))


GENERATOR = bytes.fromhex(
    "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
    "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"
)


@pytest.mark.server
def test_a_curve_with_another_generator_is_not_p256(tmp_path: Path) -> None:
    """For a generator of their own choice, anybody has the private key (CVE-2020-0601)."""
    openssl, key = programs.require("openssl"), tmp_path / "key"
    explicit = ["-param_enc", "explicit"]
    make = ["ecparam", "-name", "prime256v1", *explicit, "-genkey", "-noout", "-out", str(key)]
    subprocess.run([openssl, *make], check=True, capture_output=True)
    out = ["ec", "-in", str(key), "-pubout", *explicit, "-outform", "DER"]
    der = subprocess.run([openssl, *out], check=True, capture_output=True).stdout
    assert der.count(GENERATOR) == 1
    with pytest.raises(UsageError, match="can be read"):
        PublicKey.from_pem(written(der.replace(GENERATOR, der[-65:])))


def test_no_point_of_the_curve_is_no_key() -> None:
    der = bytearray(signer("alice").public_key.der)
    der[-1] ^= 1
    body = base64.b64encode(der).decode()
    with pytest.raises(UsageError, match="can be read"):
        PublicKey.from_pem(f"-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n")


EMPTY_ROOT = '{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1"}'


@pytest.mark.server
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_stock_cosign_accepts_our_signature_files(algorithm: str, tmp_path: Path) -> None:
    one = signer("alice", algorithm)
    (tmp_path / "k.pub").write_text(one.public_key.pem)
    (tmp_path / "m").write_bytes(DATA)
    (tmp_path / "root.json").write_text(EMPTY_ROOT)
    (tmp_path / "m.sigstore.json").write_bytes(to_sigstore(DATA, one.sign(DATA), one.public_key))
    words = [
        str(programs.require("cosign")),
        "verify-blob",
        "--key",
        "k.pub",
        "--bundle",
        "m.sigstore.json",
    ]
    words += ["--trusted-root", "root.json", "--insecure-ignore-tlog=true", "m"]

    def check() -> subprocess.CompletedProcess[str]:
        return subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)

    done = check()
    assert done.returncode == 0, done.stderr
    (tmp_path / "m").write_bytes(DATA + b" ")
    assert check().returncode != 0


def document(**changes: object) -> dict[str, Any]:
    one = signer("alice")
    made: dict[str, Any] = json.loads(to_sigstore(DATA, one.sign(DATA), one.public_key))
    return made | changes


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_signature_file_reads_back(algorithm: str) -> None:
    one = signer("alice", algorithm)
    signature = one.sign(DATA)
    parsed = parse_sigstore(to_sigstore(DATA, signature, one.public_key))
    assert parsed.signature == signature
    assert parsed.hint == one.public_key.hint
    assert parsed.message_digest.hex == hashlib.sha256(DATA).hexdigest()


def test_log_entries_and_timestamps_of_cosign_are_passed_over() -> None:
    made = document()
    made["verificationMaterial"]["tlogEntries"] = [{"logIndex": "1", "kindVersion": {}}]
    made["verificationMaterial"]["timestampVerificationData"] = {"rfc3161Timestamps": []}
    assert parse_sigstore(json.dumps(made).encode()).signature


def changed(*path: str, to: object) -> bytes:
    made = document()
    inner = made
    for step in path[:-1]:
        inner = inner[step]
    if to is None:
        del inner[path[-1]]
    else:
        inner[path[-1]] = to
    return json.dumps(made).encode()


MESSAGE = "messageSignature"
LIES = {
    "not strict JSON": b"{",
    "not strict JSON: dup": b'{"mediaType": "a", "mediaType": "b"}',
    "must be a mapping": b"[]",
    "bytes are more than": b" " * (MAX_BYTES + 1),
    "mediaType is": changed("mediaType", to="application/vnd.dev.sigstore.bundle.v0.9+json"),
    "'mediaType' is missing": changed("mediaType", to=None),
    "DSSE envelope": json.dumps(document(dsseEnvelope={})).encode(),
    "extra is not a known key": json.dumps(document(extra=1)).encode(),
    "certificate is no key": changed("verificationMaterial", "certificate", to={"rawBytes": ""}),
    "x509CertificateChain is no key": changed(
        "verificationMaterial", "x509CertificateChain", to={}
    ),
    "'publicKey' is missing": changed("verificationMaterial", to=None),
    "publicKey must be a mapping": changed("verificationMaterial", "publicKey", to="x"),
    "hint must be text": changed("verificationMaterial", "publicKey", "hint", to=7),
    "publicKey.more is not": changed("verificationMaterial", "publicKey", "more", to=7),
    "'signature' is missing": changed(MESSAGE, "signature", to=None),
    "signature is not allowed": changed(MESSAGE, "signature", to="a_b-"),
    "signature is not base64": changed(MESSAGE, "signature", to="AAB="),
    "signature is not base64$": changed(MESSAGE, "signature", to=""),
    "algorithm is 'SHA2_512'": changed(MESSAGE, "messageDigest", "algorithm", to="SHA2_512"),
    "digest has 3 bytes": changed(MESSAGE, "messageDigest", "digest", to="AAAA"),
    "messageDigest.x is not": changed(MESSAGE, "messageDigest", "x", to=1),
    "messageSignature.x is not": changed(MESSAGE, "x", to=1),
}


@pytest.mark.parametrize("message", LIES)
def test_a_broken_signature_file_is_not_trusted(message: str) -> None:
    with pytest.raises(NotTrusted, match=message):
        parse_sigstore(LIES[message])
