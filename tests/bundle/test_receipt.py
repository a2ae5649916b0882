"""What a receipt says has to fit together; and an envelope is read strictly."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest

from bundle import receipt
from bundle.decode import dump_json
from bundle.dsse import MAX_SIGNATURES
from bundle.errors import NotTrusted, VerificationError
from tests.bundler.test_delta import receipt as made
from tests.bundler.test_delta import sealed

if TYPE_CHECKING:
    from collections.abc import Callable


def twice(body: dict[str, Any]) -> None:
    rows = body["predicate"]["artifacts"]
    rows.append(rows[0])
    body["subject"].append(body["subject"][1])


def nowhere(body: dict[str, Any]) -> None:
    body["predicate"]["artifacts"][0]["place"] = ""


LIES: dict[str, Callable[[dict[str, Any]], object]] = {
    "names one twice": twice,
    "complete is not what the artifacts say": lambda b: b["predicate"].update(complete=False),
    "place is missing for what is at a target": nowhere,
    "subject is not what the artifacts say": lambda b: b["subject"].pop(),
    "ending.outcome is 'better'": lambda b: b["predicate"].update(
        ending={"outcome": "better", "rule": "x", "exitCode": 1, "error": "x"}, complete=False
    ),
    "ending.exitCode is 0": lambda b: b["predicate"].update(
        ending={"outcome": "failed", "rule": "x", "exitCode": 0, "error": "x"}, complete=False
    ),
}


@pytest.mark.parametrize("message", LIES)
def test_a_statement_that_contradicts_itself_is_refused(message: str) -> None:
    body = made().to_dict()
    assert receipt.parse(dump_json(body)) == made()
    LIES[message](body)
    with pytest.raises(VerificationError, match=message):
        receipt.parse(dump_json(body))


def envelope(**changes: object) -> bytes:
    return json.dumps({**json.loads(sealed(made())), **changes}).encode()


ENVELOPES = {
    f"are more than {MAX_SIGNATURES}": envelope(
        signatures=[{"sig": base64.b64encode(b"x").decode()}] * (MAX_SIGNATURES + 1)
    ),
    "payload is not base64": envelope(payload="e w="),
    "sig is not base64": envelope(signatures=[{"sig": "eA"}]),
    "'signatures' is missing": json.dumps(
        {k: v for k, v in json.loads(sealed(made())).items() if k != "signatures"}
    ).encode(),
}


@pytest.mark.parametrize("message", ENVELOPES)
def test_an_envelope_that_is_none_is_refused(message: str) -> None:
    with pytest.raises(NotTrusted, match=message):
        receipt.unproved(ENVELOPES[message], what="it")
