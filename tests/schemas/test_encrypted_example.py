"""The example of an encrypted chunk: written from the text alone, and opened by the program."""

from __future__ import annotations

import hashlib
import hmac
import re
from itertools import pairwise

from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDH,
    SECP256R1,
    EllipticCurvePrivateKey,
    derive_private_key,
)
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bundle import envelope
from bundle.box import Box
from bundle.segments import HEADER, Cuts
from bundle.signature import PublicKey
from importer.decryptkey import DecryptKey
from tests.schemas.test_readme import BLOCKS, TEXT, chunk

NAME = "demo-000001.chunk-00001.tar.enc"


def sha(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def scalar(text: str) -> EllipticCurvePrivateKey:
    return derive_private_key(int.from_bytes(sha(text), "big"), SECP256R1())


def point(key: EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


RECIPIENT = scalar("recipient")


def labelled(suite: bytes, secret: bytes, label: bytes, info: bytes, size: int = 0) -> bytes:
    """``LabeledExtract``, or with a size ``LabeledExpand`` (RFC 9180, section 4)."""
    start = size.to_bytes(2, "big") if size else b""
    end = b"\x01" if size else b""
    made = hmac.digest(secret, start + b"HPKE-v1" + suite + label + info + end, "sha256")
    return made[:size] if size else made


def wrapped() -> tuple[bytes, bytes]:
    """Wrap the file key as section 17 says, without the program."""
    ephemeral = scalar("ephemeral")
    kem, suite = b"KEM\x00\x10", b"HPKE\x00\x10\x00\x01\x00\x02"
    agreed = ephemeral.exchange(ECDH(), RECIPIENT.public_key())
    prk = labelled(kem, b"", b"eae_prk", agreed)
    shared = labelled(kem, prk, b"shared_secret", point(ephemeral) + point(RECIPIENT), 32)
    info = b"dray chunk key v1\x00" + NAME.encode()
    context = b"\x00" + labelled(suite, b"", b"psk_id_hash", b"")
    context += labelled(suite, b"", b"info_hash", info)
    secret = labelled(suite, shared, b"secret", b"")
    key = labelled(suite, secret, b"key", context, 32)
    nonce = labelled(suite, secret, b"base_nonce", context, 12)
    return point(ephemeral), AESGCM(key).encrypt(nonce, sha("file key"), b"")


def written() -> tuple[bytes, list[str]]:
    """Write the file as section 17 says; return it, and the rows of the table."""
    spki = RECIPIENT.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    header = b"DRAYENC1" + (1 << 20).to_bytes(4, "big") + (1).to_bytes(4, "big") + bytes(16)
    header += hashlib.sha256(spki).digest() + b"".join(wrapped())
    file, rows = header.ljust(4096, b"\0"), []
    bound, data = hashlib.sha256(file).digest(), chunk()
    starts = [0, 2048, 2560, 3584, 4096, 4608, 5120, 5632, 6656]
    for number, (start, end) in enumerate(pairwise(starts)):
        size, nonce = (end - start).to_bytes(4, "big"), number.to_bytes(12, "big")
        about = bound + start.to_bytes(8, "big") + size + bytes([end == len(data)])
        sealed = AESGCM(sha("file key")).encrypt(nonce, data[start:end], about)
        place = f"{number} {start:5} {end - start:4} {len(file)}"
        rows.append(f"{place} {sealed[:16].hex()} {sealed[-16:].hex()}")
        file += size + nonce + sealed
    return file, rows


def test_the_example_is_what_the_text_says() -> None:
    file, rows = written()
    header = bytes.fromhex(re.sub(r"\s", "", BLOCKS["encrypted-header"]))
    assert file[:HEADER] == header.ljust(HEADER, b"\0")
    assert rows == BLOCKS["encrypted-segments"].splitlines()
    said = re.search(r"has\n?\s*(\d+) bytes and the SHA-256 `([0-9a-f]{64})`", TEXT)
    assert said
    assert said.groups() == (str(len(file)), hashlib.sha256(file).hexdigest())


def test_the_program_opens_it() -> None:
    file, _rows = written()
    key = DecryptKey(PublicKey.of(RECIPIENT.public_key()), point(RECIPIENT), RECIPIENT)
    found = envelope.file_key(file[:HEADER], NAME, key)
    assert found == sha("file key")
    box = Box(found, hashlib.sha256(file[:HEADER]).digest())
    cuts = Cuts(2048, [(2560, 617), (4096, 6), (5120, 2)])
    assert cuts.file_size == len(file)
    stored = [(one, file[one.position : one.position + one.stored]) for one in cuts]
    assert b"".join(box.open(one, data) for one, data in stored) == chunk()
