"""The trust file's keys for receipts: read back, and every lie about them refused at its place."""

from __future__ import annotations

import json

import pytest

from bundle import trust
from bundle.errors import NotTrusted, UsageError
from bundle.receiptkeys import ReceiptKeys
from tests.keys import signer
from tests.keys import trust as trust_of

ALICE, BOB, HIGH = (signer(name) for name in ("alice", "bob", "high"))
NEXT = signer("high-next").public_key


def with_(receipts: object) -> bytes:
    return json.dumps({**trust_of(ALICE, BOB).to_dict(), "receipts": receipts}).encode()


def high(**changes: object) -> bytes:
    return with_([{"name": "high", "pem": HIGH.public_key.pem, **changes}])


LIES = {
    r"receipts\[0\].pem: is the key of 'alice' again": high(pem=ALICE.public_key.pem),
    r"receipts\[0\].name: 'bob' is there twice": high(name="bob"),
    r"receipts\[0\].name: is not allowed": high(name="Site A"),
    r"receipts\[0\].site: is not allowed": high(site="Site A"),
    r"receipts\[0\].pem: the key is not one public key": high(pem="x"),
    r"receipts\[0\].threshold: is not a known key": high(threshold=1),
    r"receipts\[1\].pem: is the key of 'high-0' again": with_(
        [{"name": f"high-{n}", "pem": HIGH.public_key.pem} for n in range(2)]
    ),
    r"receipts\[1\].name: 'high' is there twice": with_(
        [{"name": "high", "pem": signer(f"high-{n}").public_key.pem} for n in range(2)]
    ),
    "receipts: must be a list": with_({}),
    "receipts: has more than 64 keys": with_(
        [
            {"name": f"high-{n}", "pem": signer(f"high-{n}", "ed25519").public_key.pem}
            for n in range(65)
        ]
    ),
}


@pytest.mark.parametrize("message", LIES)
def test_a_lie_about_keys_for_receipts_is_refused_at_its_place(message: str) -> None:
    with pytest.raises(UsageError, match=message):
        trust.read(LIES[message])


def test_a_key_is_of_its_site_or_of_a_site_of_its_own_name() -> None:
    known = ReceiptKeys({"a": HIGH.public_key, "b": NEXT}, {"b": "berlin"})
    assert [known.site(key) for key in (HIGH.public_key, NEXT, BOB.public_key)] == [
        "a",
        "berlin",
        "",
    ]
    assert known.without("b").sites == {}


def test_a_trust_file_without_them_says_nothing_of_them() -> None:
    made = trust_of(ALICE)
    assert "receipts" not in made.to_dict()
    with pytest.raises(NotTrusted, match="names no key that signs receipts"):
        made.receipts.require()


def test_they_never_count_for_a_bundle() -> None:
    """Not even when the role of a stream names them."""
    document = json.loads(high())
    document["streams"]["prod"]["keys"] = ["high"]
    with pytest.raises(UsageError, match="'high' is not among the keys"):
        trust.read(json.dumps(document).encode())
