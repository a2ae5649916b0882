"""The trust file's schema and its reader say the same, as far as a schema can say it."""

from __future__ import annotations

import copy
import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import schemas
from bundle import trust
from bundle.errors import UsageError
from bundle.quorum import Ballot, Role, Stream
from bundle.receiptkeys import ReceiptKeys
from bundle.trust import Trust
from tests.keys import signer
from tests.keys import trust as trust_of

KEYS = [
    signer(f"key-{number}", "ed25519" if number % 2 else "p256").public_key for number in range(6)
]
HIGH = [signer(f"high-{number}").public_key for number in range(3)]
SIGNERS = st.from_regex(r"[a-z0-9][a-z0-9-]{0,31}", fullmatch=True)
STREAMS = st.from_regex(r"[a-z0-9][a-z0-9-]{0,39}", fullmatch=True)
NUMBERS = st.integers(1, 2**53 - 1)
MOMENTS = st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31)).map(
    lambda moment: moment.replace(microsecond=0, tzinfo=UTC)
)

BEYOND_SCHEMAS = re.compile(
    r"is there twice|is not among the keys|but there are \d+ keys|again|no such day"
    r"|but the keys are of|different people"
    r"|is not a public key that can be read|which dray does not take"
)
"""Faults that tie one place of the document to another, or lie within a key."""


@st.composite
def roles(draw: st.DrawFn, names: list[str], people: dict[str, str], name: str = "") -> Role:
    chosen = draw(st.lists(st.sampled_from(names), min_size=1, unique=True))
    threshold = draw(st.integers(1, len({people.get(key, key) for key in chosen})))
    return Role(tuple(chosen), threshold, name)


@st.composite
def streams(draw: st.DrawFn, names: list[str], people: dict[str, str]) -> Stream:
    epoch = draw(st.integers(0, 2**53 - 1))
    if draw(st.booleans()):
        return Stream((draw(roles(names, people)),), epoch)
    titles = draw(st.lists(SIGNERS, min_size=1, max_size=3, unique=True))
    made = Stream(tuple(draw(roles(names, people, title)) for title in titles), epoch)
    everybody = {key: people.get(key, key) for key in names}
    assume(Ballot(made.roles, everybody, everybody).is_enough())
    return made


@st.composite
def for_receipts(draw: st.DrawFn, taken: list[str]) -> ReceiptKeys:
    fresh = SIGNERS.filter(lambda name: name not in taken)
    names = draw(st.lists(fresh, max_size=len(HIGH), unique=True))
    keys = dict(zip(names, HIGH, strict=False))
    sites = {name: draw(SIGNERS) for name in names if draw(st.booleans())}
    return ReceiptKeys(keys, sites)


@st.composite
def trusts(draw: st.DrawFn) -> Trust:
    names = draw(st.lists(SIGNERS, min_size=1, max_size=len(KEYS), unique=True))
    owned = st.dictionaries(st.sampled_from(names), SIGNERS | st.sampled_from(names))
    people = {name: person for name, person in draw(owned).items() if name in names}
    return Trust(
        version=draw(NUMBERS),
        expires=draw(MOMENTS),
        keys=dict(zip(names, KEYS, strict=False)),
        root=draw(roles(names, people)),
        streams=draw(st.dictionaries(STREAMS, streams(names, people), max_size=3)),
        people=people,
        receipts=draw(for_receipts(names)),
    )


def obeys(document: object) -> bool:
    try:
        schemas.validate("trust", document)
    except schemas.SchemaFault:
        return False
    return True


@settings(deadline=None)
@given(trusts())
def test_every_trust_obeys_the_schema_and_reads_back_equal(made: Trust) -> None:
    schemas.validate("trust", json.loads(made.to_bytes()))
    assert trust.read(made.to_bytes()) == made
    assert trust.read(made.to_bytes()).to_bytes() == made.to_bytes()


JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 70),
    st.text(max_size=3),
    st.sampled_from(["alice\n", "Alice", "2027-02-30T00:00:00Z", "2027-13-01T00:00:00Z", "x" * 41]),
    st.sampled_from([KEYS[0].pem, KEYS[0].pem + " ", KEYS[0].pem.replace("\n", "\r\n")]),
    st.sampled_from([KEYS[0].pem.replace("A", "\u00c4"), KEYS[0].pem[:60], KEYS[0].pem * 2]),
    st.lists(st.sampled_from(["alice", "bob", "bob ", "eve"]), max_size=3),
    st.dictionaries(
        st.sampled_from(["keys", "threshold", "epoch", "roles", "name", "a"]), st.just(1)
    ),
)


def places(value: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    found = [path]
    if isinstance(value, dict):
        for key, item in value.items():
            found += places(item, (*path, key))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            found += places(item, (*path, number))
    return found


BASE: dict[str, Any] = trust_of(
    signer("alice"),
    signer("bob"),
    signer("carol", "ed25519"),
    streams={
        "prod": Stream.of(("alice", "bob"), 2, 1),
        "dev": Stream.of(("carol",), 1),
        "two": Stream((Role(("alice", "bob"), 1, "builder"), Role(("carol",), 1, "releaser")), 3),
    },
    people={"carol": "caroline"},
).to_dict()


@st.composite
def mutations(draw: st.DrawFn) -> object:
    document: Any = copy.deepcopy(BASE)
    for _ in range(draw(st.integers(1, 2))):
        *way, last = draw(st.sampled_from(places(document)[1:]))
        inner = document
        for step in way:
            inner = inner[step]
        match draw(st.sampled_from(["replace", "remove", "add", "swap"])):
            case "replace":
                inner[last] = draw(JUNK)
            case "remove":
                del inner[last]
            case "swap":
                inner[last] = copy.deepcopy(
                    draw(st.sampled_from([BASE["keys"], BASE["streams"], BASE["streams"]["two"]]))
                )
            case _ if isinstance(inner, dict):
                inner[
                    draw(st.sampled_from(["extra", "epoch", "roles", "person", "Lab", "lab\n"]))
                ] = draw(JUNK)
            case _:
                inner.append(draw(JUNK))
        assume(isinstance(document, dict) and len(document) > 0)
    return document


@settings(deadline=None, max_examples=150)
@given(mutations())
def test_the_reader_and_the_schema_agree_on_changed_documents(document: object) -> None:
    try:
        trust.read(json.dumps(document).encode())
    except UsageError as error:
        if obeys(document):
            assert BEYOND_SCHEMAS.search(error.message), error.message
    else:
        schemas.validate("trust", document)


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_no_garbage_is_a_trust_file(data: bytes) -> None:
    with pytest.raises(UsageError):
        trust.read(data)


def test_a_schema_fault_names_the_place() -> None:
    document = copy.deepcopy(BASE)
    document["streams"]["prod"]["threshold"] = 0
    with pytest.raises(schemas.SchemaFault) as caught:
        schemas.validate("trust", document)
    assert caught.value.path == "$.streams.prod.threshold"


def test_the_schema_is_itself_a_schema() -> None:
    from jsonschema import Draft202012Validator

    Draft202012Validator.check_schema(schemas.load("trust"))
    with pytest.raises(KeyError):
        schemas.load("nothing")
