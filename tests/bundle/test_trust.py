"""The trust rows of the threat table, and the reader of the trust file, one row per lie."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)

from bundle import instant, trust
from bundle.errors import NotTrusted, UsageError
from bundle.quorum import Role, Signers, Stream
from bundle.signature import to_sigstore
from bundle.trust import MAX_SIGNATURES, Trust
from tests.keys import LATER, NOW, signed, signer
from tests.keys import trust as trust_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

DATA = b'{"stream": "prod", "sequence": 42}\n'
ALICE, BOB, CAROL, CI = (signer(name) for name in ("alice", "bob", "carol", "ci"))
EVE = signer("eve")
TWO_OF_THREE = trust_of(
    ALICE,
    BOB,
    CAROL,
    CI,
    streams={
        "prod": Stream.of(("alice", "bob", "carol"), 2, epoch=3),
        "dev": Stream.of(("ci",), 1),
    },
)


def check(held: Trust, files: Mapping[str, bytes], data: bytes = DATA) -> Signers:
    return held.require(held.verified_by(data, files), "prod", NOW)


def test_enough_trusted_signers_are_named_with_the_epoch() -> None:
    found = check(TWO_OF_THREE, signed(DATA, CAROL, ALICE))
    assert found == Signers(("alice", "carol"), threshold=2, epoch=3)


def test_ed25519_and_p256_count_together() -> None:
    edwards = signer("edwards", "ed25519")
    held = trust_of(ALICE, edwards, streams={"prod": Stream.of(("alice", "edwards"), 2)})
    assert check(held, signed(DATA, ALICE, edwards)).names == ("alice", "edwards")


def test_unsigned_is_not_trusted() -> None:
    with pytest.raises(NotTrusted, match="no signature file is here"):
        check(TWO_OF_THREE, {})


def test_an_untrusted_key_is_refused() -> None:
    with pytest.raises(NotTrusted, match="no trusted key made it") as caught:
        check(TWO_OF_THREE, signed(DATA, EVE))
    assert ALICE.public_key.fingerprint.short in caught.value.hint


def test_a_lying_hint_decides_nothing() -> None:
    of_eve = {"m.alice.sigstore.json": to_sigstore(DATA, EVE.sign(DATA), ALICE.public_key)}
    with pytest.raises(NotTrusted, match="names a trusted key, whose signature it is not"):
        check(TWO_OF_THREE, of_eve)
    by_alice = {"m.x.sigstore.json": to_sigstore(DATA, ALICE.sign(DATA), EVE.public_key)}
    assert TWO_OF_THREE.verified_by(DATA, by_alice).names == {"alice"}


def test_a_file_name_decides_nothing() -> None:
    files = {"m.bob.sigstore.json": signed(DATA, ALICE)["m.json.alice.sigstore.json"]}
    assert TWO_OF_THREE.verified_by(DATA, files).names == {"alice"}


def test_one_stolen_key_is_below_the_threshold() -> None:
    with pytest.raises(NotTrusted, match="needs 2 signatures of alice, bob, carol; 1 missing"):
        check(TWO_OF_THREE, signed(DATA, ALICE))


def test_the_same_signature_twice_counts_once() -> None:
    file = signed(DATA, ALICE)["m.json.alice.sigstore.json"]
    with pytest.raises(NotTrusted, match="1 missing"):
        check(TWO_OF_THREE, {"a.sigstore.json": file, "b.sigstore.json": file})


def test_two_different_signatures_of_one_key_count_once() -> None:
    one, two = (to_sigstore(DATA, ALICE.sign(DATA), ALICE.public_key) for _ in range(2))
    assert one != two
    with pytest.raises(NotTrusted, match="1 missing"):
        check(TWO_OF_THREE, {"a.sigstore.json": one, "b.sigstore.json": two})


def test_the_other_half_of_a_malleable_signature_counts_once() -> None:
    """With (r, s) also (r, -s) verifies, and anybody can compute it."""
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    made = ALICE.sign(DATA)
    r, s = decode_dss_signature(made)
    other = encode_dss_signature(r, order - s)
    assert other != made
    files = {
        f"{number}.sigstore.json": to_sigstore(DATA, one, ALICE.public_key)
        for number, one in enumerate((made, other))
    }
    assert TWO_OF_THREE.verified_by(DATA, files).ignored == {}
    with pytest.raises(NotTrusted, match="1 missing, signed by alice"):
        check(TWO_OF_THREE, files)


@pytest.mark.parametrize("spoil", [lambda der: der + b"\0", lambda der: b"\x30\x81" + der[1:]])
def test_a_signature_has_one_spelling(spoil: Callable[[bytes], bytes]) -> None:
    file = to_sigstore(DATA, spoil(ALICE.sign(DATA)), ALICE.public_key)
    with pytest.raises(NotTrusted, match="whose signature it is not"):
        check(TWO_OF_THREE, {"a.sigstore.json": file})


def test_one_key_under_two_names_counts_once_even_without_the_reader() -> None:
    held = trust_of(
        ALICE, replace(ALICE, name="al"), streams={"prod": Stream.of(("al", "alice"), 2)}
    )
    verified = trust.Verified(frozenset({"al", "alice"}))
    with pytest.raises(NotTrusted, match="1 missing"):
        held.require(verified, "prod", NOW)


def test_a_key_of_another_stream_does_not_count() -> None:
    with pytest.raises(NotTrusted, match="1 missing, signed by bob; ci signed but may not"):
        check(TWO_OF_THREE, signed(DATA, CI, BOB))
    with pytest.raises(NotTrusted, match="2 missing; ci signed but may not"):
        check(TWO_OF_THREE, signed(DATA, CI))


def test_an_unknown_stream_is_refused_whoever_signed() -> None:
    verified = TWO_OF_THREE.verified_by(DATA, signed(DATA, ALICE, BOB, CAROL))
    with pytest.raises(NotTrusted, match="stream 'lab'") as caught:
        TWO_OF_THREE.require(verified, "lab", NOW)
    assert "dev, prod" in caught.value.hint


def test_every_changed_bit_of_the_document_is_caught() -> None:
    files = signed(DATA, ALICE, BOB)
    for position in range(len(DATA)):
        bad = bytearray(DATA)
        bad[position] ^= 1
        with pytest.raises(NotTrusted, match="made for other bytes"):
            check(TWO_OF_THREE, files, bytes(bad))


@pytest.mark.parametrize("bad", [DATA + b" ", DATA[:-1], b" " + DATA, b""])
def test_a_space_more_or_a_byte_less_is_caught(bad: bytes) -> None:
    with pytest.raises(NotTrusted):
        check(TWO_OF_THREE, signed(DATA, ALICE, BOB), bad)


def test_a_message_digest_that_is_made_to_fit_does_not_help() -> None:
    forged = to_sigstore(DATA + b" ", ALICE.sign(DATA), ALICE.public_key)
    with pytest.raises(NotTrusted, match="whose signature it is not"):
        check(TWO_OF_THREE, {"m.alice.sigstore.json": forged}, DATA + b" ")


def test_bytes_that_no_parser_would_survive_are_verified_unparsed() -> None:
    data = b'{"a": 1, "a": 2' + b"[" * 100_000 + b"\xff"
    assert TWO_OF_THREE.verified_by(data, signed(data, ALICE)).names == {"alice"}


def test_broken_files_beside_good_ones_hinder_nothing_and_are_named() -> None:
    files = signed(DATA, ALICE, BOB) | {"m.json.zed.sigstore.json": b"{", **signed(DATA, EVE)}
    verified = TWO_OF_THREE.verified_by(DATA, files)
    assert verified.names == {"alice", "bob"}
    assert "strict JSON" in verified.ignored["m.json.zed.sigstore.json"]
    assert verified.ignored["m.json.eve.sigstore.json"] == "no trusted key made it"


def test_a_flood_of_signature_files_ends_somewhere() -> None:
    flood = {f"{number:03d}": b"{" for number in range(MAX_SIGNATURES)}
    late = {"z.sigstore.json": signed(DATA, ALICE)["m.json.alice.sigstore.json"]}
    with pytest.raises(NotTrusted, match="more") as caught:
        check(TWO_OF_THREE, flood | late)
    assert "remove signature files" in caught.value.hint


def test_an_expired_trust_file_is_refused_at_use() -> None:
    verified = TWO_OF_THREE.verified_by(DATA, signed(DATA, ALICE, BOB))
    last = TWO_OF_THREE.require(verified, "prod", LATER - timedelta(seconds=1))
    assert last.names == ("alice", "bob")
    with pytest.raises(NotTrusted, match=r"version 1\) expired on 2027-06-01") as caught:
        TWO_OF_THREE.require(verified, "prod", LATER)
    assert "version 2" in caught.value.hint


def test_a_single_key_is_trusted_for_any_stream_and_never_written() -> None:
    held = trust.single_key(ALICE.public_key.pem, "alice")
    verified = held.verified_by(DATA, signed(DATA, ALICE))
    assert held.require(verified, "whatever", NOW) == Signers(("alice",), 1, 0)
    with pytest.raises(NotTrusted):
        held.verified_by(DATA, signed(DATA, EVE))
    with pytest.raises(ValueError, match="no trust file"):
        held.to_dict()


# The file.


def test_a_trust_file_reads_back(tmp_path: Path) -> None:
    path = tmp_path / "trust.json"
    path.write_bytes(TWO_OF_THREE.to_bytes())
    assert trust.load(path) == TWO_OF_THREE
    assert trust.load(path).to_bytes() == TWO_OF_THREE.to_bytes()


def test_a_trust_file_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"Trust\.json: no such file"):
        trust.load(tmp_path / "Trust.json")
    with pytest.raises(UsageError, match="is a directory"):
        trust.load(tmp_path)


def edited(change: Callable[[dict[str, Any]], object]) -> bytes:
    document = TWO_OF_THREE.to_dict()
    change(document)
    return json.dumps(document).encode()


def with_(**changes: object) -> bytes:
    return edited(lambda document: document.update(changes))


def prod(**changes: object) -> bytes:
    return edited(lambda document: document["streams"]["prod"].update(changes))


ONE = {"keys": ["bob"], "threshold": 1}


def roles(*roles: dict[str, object]) -> bytes:
    return edited(lambda document: document["streams"].update(prod={"roles": list(roles)}))


def first_key(**changes: object) -> bytes:
    return edited(lambda document: document["keys"][0].update(changes))


def two_of_one(document: dict[str, Any]) -> None:
    document["keys"][0]["person"] = "bob"
    document["streams"]["prod"]["threshold"] = 3


LIES = {
    "not strict JSON": b"{",
    "duplicate key 'version'": b'{"version": 1, "version": 2}',
    "must be a mapping": b"null",
    "more than the": b" " * (trust.MAX_BYTES + 1),
    "mediaType: is 'application/vnd.dray.trust.v2": with_(
        mediaType="application/vnd.dray.trust.v2+json"
    ),
    "mediaType: is 'application/vnd.dray.manifest": with_(
        mediaType="application/vnd.dray.manifest.v1+json"
    ),
    "version: is 0": with_(version=0),
    "version: must be a whole number": with_(version=True),
    "expires: is not a moment": with_(expires="2027-01-01"),
    "expires: is no such day": with_(expires="2027-02-30T00:00:00Z"),
    "expires: is not a moment as": with_(expires="2027-01-01T00:00:00+00:00"),
    "extra: is not a known key": with_(extra=1),
    "keys: has 0 keys": with_(keys=[], streams={}),
    "'root' is missing": edited(lambda document: document.pop("root")),
    "'streams' is missing": edited(lambda document: document.pop("streams")),
    "'keys' is missing": edited(lambda document: document.pop("keys")),
    r"keys\[0\].name: is not allowed": first_key(name="Alice"),
    r"keys\[0\].name: is not allowed: '../x'": first_key(name="../x"),
    r"keys\[1\].name: 'bob' is there twice": first_key(name="bob"),
    r"keys\[1\].pem: is the key of 'alice' again": first_key(pem=BOB.public_key.pem),
    r"keys\[0\].pem: the key is not one public key": first_key(pem="x"),
    r"keys\[0\].more: is not a known key": first_key(more="x"),
    r"root.keys\[0\]: 'eve' is not among": with_(root={"keys": ["eve"], "threshold": 1}),
    "root.epoch: is not a known key": with_(root={"keys": ["bob"], "threshold": 1, "epoch": 1}),
    "root.threshold: is 2, but": with_(root={"keys": ["bob"], "threshold": 2}),
    "streams: must be a mapping": with_(streams=[]),
    "streams.stream: is not allowed: 'Prod'": with_(
        streams={"Prod": {"keys": ["bob"], "threshold": 1}}
    ),
    "streams.prod.keys: names no key": prod(keys=[], threshold=1),
    r"streams.prod.keys\[1\]: 'bob' is there twice": prod(keys=["bob", "bob"]),
    "streams.prod.threshold: is 0": prod(threshold=0),
    "streams.prod.threshold: is 4, but there are 3": prod(threshold=4),
    "streams.prod.epoch: is -1": prod(epoch=-1),
    "streams.prod.until: is not a known key": prod(until="x"),
    r"keys\[0\].person: is not allowed": first_key(person="Alice"),
    "streams.prod.threshold: is 3, but the keys are of 2": edited(two_of_one),
    "streams.prod.keys: is not a known key": prod(roles=[{**ONE, "name": "builder"}]),
    "streams.prod.roles: has 0 roles": roles(),
    "streams.prod.roles: has 9 roles": roles(*({**ONE, "name": f"r{n}"} for n in range(9))),
    r"streams.prod.roles\[0\]: 'name' is missing": roles(ONE),
    r"streams.prod.roles\[0\].epoch: is not a known key": roles({**ONE, "name": "a", "epoch": 1}),
    r"streams.prod.roles\[1\].name: 'a' is there twice": roles(
        {**ONE, "name": "a"}, {**ONE, "name": "a"}
    ),
    r"streams.prod.roles\[0\].keys\[0\]: 'eve' is not": roles(
        {"name": "a", "keys": ["eve"], "threshold": 1}
    ),
    "streams.prod.roles: need 2 different people": roles(
        {**ONE, "name": "a"}, {**ONE, "name": "b"}
    ),
}


@pytest.mark.parametrize("message", LIES)
def test_a_wrong_trust_file_is_refused_at_its_place(message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        trust.read(LIES[message], what="trust.json")
    assert caught.value.message.startswith("trust.json: ")


def test_the_same_key_in_other_words_is_the_same_key() -> None:
    document = TWO_OF_THREE.to_dict()
    document["keys"][0]["pem"] = BOB.public_key.pem.replace("\n", "\r\n") + "\n"
    with pytest.raises(UsageError, match="the key of 'alice' again"):
        trust.read(json.dumps(document).encode())


# Rotation: TUF's rule for the root.

ROOT = trust_of(ALICE, BOB, CAROL, version=3, root=Role(("alice", "bob"), 2))
NEXT = replace(ROOT, version=4, root=Role(("bob", "carol"), 2), streams={})


def test_the_next_version_is_accepted_when_both_roots_signed() -> None:
    data = NEXT.to_bytes()
    assert trust.accept_next(ROOT, data, signed(data, ALICE, BOB, CAROL)) == NEXT


def test_the_next_version_without_the_old_root_is_refused() -> None:
    data = NEXT.to_bytes()
    with pytest.raises(NotTrusted, match="version 4 needs 2 signatures of alice, bob; 1 missing"):
        trust.accept_next(ROOT, data, signed(data, BOB, CAROL))


def test_the_next_version_without_the_new_root_is_refused() -> None:
    data = NEXT.to_bytes()
    with pytest.raises(NotTrusted, match="by its own rule, needs 2 signatures of bob, carol"):
        trust.accept_next(ROOT, data, signed(data, ALICE, BOB))


@pytest.mark.parametrize("version", [1, 2, 3, 5])
def test_a_version_that_is_not_the_next_is_refused(version: int) -> None:
    data = replace(NEXT, version=version).to_bytes()
    with pytest.raises(NotTrusted, match=f"has version {version}, and 3 is in use"):
        trust.accept_next(ROOT, data, signed(data, ALICE, BOB, CAROL))


def test_an_expired_chain_can_be_walked_to_its_end() -> None:
    sleeping = replace(ROOT, expires=NOW - timedelta(days=900))
    data = replace(NEXT, expires=NOW - timedelta(days=500)).to_bytes()
    new = trust.accept_next(sleeping, data, signed(data, ALICE, BOB, CAROL))
    with pytest.raises(NotTrusted, match="expired"):
        new.check_current(NOW)


def test_nothing_of_an_unsigned_trust_file_is_parsed() -> None:
    with pytest.raises(NotTrusted, match="no trusted key"):
        trust.accept_next(ROOT, b"{", signed(b"{", EVE))


def test_a_signed_trust_file_that_is_broken_is_not_trusted() -> None:
    with pytest.raises(NotTrusted, match="the new trust file: is not strict JSON"):
        trust.accept_next(ROOT, b"{", signed(b"{", ALICE, BOB))


def test_a_manifest_signed_by_the_root_is_no_trust_file() -> None:
    data = b'{"mediaType": "application/vnd.dray.manifest.v1+json"}'
    with pytest.raises(NotTrusted, match="mediaType"):
        trust.accept_next(ROOT, data, signed(data, ALICE, BOB))


def test_a_revoked_key_counts_no_more() -> None:
    data = replace(NEXT, streams={"prod": Stream.of(("bob", "carol"), 1)}).to_bytes()
    new = trust.accept_next(ROOT, data, signed(data, ALICE, BOB, CAROL))
    assert check(ROOT, signed(DATA, ALICE)).names == ("alice",)
    with pytest.raises(NotTrusted, match="alice signed but may not"):
        check(new, signed(DATA, ALICE))


def test_moments_have_one_spelling() -> None:
    for text in ("2027-1-1T00:00:00Z", "2027-01-01t00:00:00z", "2027-01-01T00:00:60Z", ""):
        with pytest.raises(ValueError, match="no"):
            instant.parse(text)
    assert instant.spell(instant.parse("2027-01-01T00:00:00Z")) == "2027-01-01T00:00:00Z"
