"""The receipt's schema and its reader say the same, as far as a schema can say it."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

import schemas
from bundle import dsse, receipt
from bundle.decode import dump_json
from bundle.errors import DrayError, NotTrusted
from bundle.gate.finding import SEVERITIES, Finding
from bundle.gate.judge import RESULTS as VERDICTS
from bundle.gate.judge import Check, Excused
from bundle.promotion import Promotion, Ruling
from bundle.receipt import HELD, RESULTS, Bundle, Entry, Receipt, Verified
from bundle.rulings import OUTCOMES, RULE, Ending, Judgement, Publishers
from bundle.scanned import Row, Scanned
from tests.keys import signer
from tests.property.strategies import (
    ACCOUNTS,
    DIGESTS,
    MOMENTS,
    NAMES,
    RECORDS,
    STREAMS,
    TEXTS,
    artifacts,
    mutations,
)

WHEN = st.datetimes(datetime(2000, 1, 1), datetime(2999, 12, 31)).map(
    lambda moment: moment.replace(microsecond=0, tzinfo=UTC)
)
COUNTS = st.integers(0, 2**53 - 1)
WORDS = st.text(st.characters(codec="utf-8"), max_size=12)
BEYOND_SCHEMAS = re.compile(
    r"is not what the (artifacts|gates) say|is a refusal, and|names one twice|no such day"
    r"|two sizes|upper and lower case|root is not among|has tags|without a path"
    r"|both a file and a folder|normal form C|900 bytes|no such"
)
"""Faults that tie one place of the document to another, or lie within a text."""


@st.composite
def entries(draw: st.DrawFn, name: str) -> Entry:
    artifact = draw(artifacts({}))
    result = draw(st.sampled_from(RESULTS))
    object.__setattr__(artifact, "name", name)
    here = result in HELD or draw(st.booleans())
    target, place = (draw(WORDS.filter(bool)) if here else "" for _ in range(2))
    replaced = draw(st.lists(st.tuples(WORDS, WORDS), max_size=2))
    pinned = draw(WORDS) if target else ""
    quarantine = draw(st.sampled_from(["", "quarantine", "a-b"]))
    return Entry(artifact, result, target, place, tuple(replaced), draw(WORDS), pinned, quarantine)


@st.composite
def endings(draw: st.DrawFn, *, may_refuse: bool) -> Ending:
    outcomes = [one for one in OUTCOMES if may_refuse or one != "refused"]
    rule = draw(st.from_regex(RULE, fullmatch=True))
    return Ending(draw(st.sampled_from(outcomes)), rule, draw(st.integers(1, 255)), draw(WORDS))


@st.composite
def publishers(draw: st.DrawFn) -> Publishers:
    judgement = st.builds(
        Judgement, WORDS, RECORDS, st.booleans(), st.lists(WORDS, max_size=2).map(tuple)
    )
    rows = draw(st.lists(judgement, max_size=2))
    return Publishers(draw(WORDS), draw(DIGESTS), tuple(rows), tuple(draw(st.lists(WORDS))))


SEVERAL = st.lists(WORDS, max_size=2).map(tuple)
FINDINGS = st.builds(
    Finding, WORDS, st.sampled_from(SEVERITIES), *[WORDS] * 5, st.lists(WORDS).map(tuple)
)
CHECKS = st.builds(
    Check,
    st.sampled_from(["signature", "severity", "licenses", "other"]),
    st.sampled_from(VERDICTS),
    WORDS,
    SEVERAL,
    st.lists(st.builds(Excused, FINDINGS, WORDS, WORDS), max_size=2).map(tuple),
    SEVERAL,
)
PROMOTIONS = st.builds(
    Promotion,
    DIGESTS,
    WORDS,
    DIGESTS,
    st.lists(st.builds(Ruling, WORDS, st.lists(CHECKS, max_size=2).map(tuple)), max_size=2).map(
        tuple
    ),
    SEVERAL,
    WORDS,
)


@st.composite
def scans(draw: st.DrawFn) -> Scanned:
    rows = st.lists(st.builds(Row, DIGESTS, WORDS, WORDS), max_size=2).map(tuple)
    digests = st.lists(DIGESTS, max_size=3).map(tuple)
    return Scanned(
        draw(WORDS),
        draw(WORDS),
        draw(WORDS),
        limits=draw(st.booleans()),
        encrypted=draw(st.booleans()),
        files=draw(COUNTS),
        size=draw(COUNTS),
        clean=draw(digests),
        earlier=draw(st.dictionaries(DIGESTS, digests, max_size=2)),
        unscanned=draw(rows),
        found=draw(rows),
        allowed=draw(WORDS),
    )


@st.composite
def receipts(draw: st.DrawFn) -> Receipt:
    stream, number = draw(STREAMS), draw(st.integers(1, 10**9))
    trust = draw(st.none() | DIGESTS)
    names = draw(st.lists(NAMES, max_size=3, unique=True))
    rows = tuple(draw(entries(name)) for name in names)
    may_refuse = not any(row.result in HELD for row in rows)
    return Receipt(
        bundle=Bundle(
            f"{stream}-{number:06d}",
            stream,
            draw(COUNTS),
            number,
            draw(DIGESTS),
            draw(MOMENTS),
            draw(MOMENTS),
            draw(DIGESTS),
            draw(DIGESTS),
            draw(WORDS),
            draw(st.none() | ACCOUNTS),
        ),
        verified=Verified(
            draw(st.dictionaries(WORDS, DIGESTS, max_size=2)),
            draw(st.integers(1, 2**53 - 1)),
            draw(COUNTS) if trust else 0,
            trust,
            draw(COUNTS),
            draw(COUNTS),
        ),
        began=draw(WHEN),
        ended=draw(WHEN),
        by=draw(st.dictionaries(WORDS, TEXTS, max_size=3)),
        targets=tuple(draw(st.lists(WORDS, max_size=2))),
        entries=rows,
        sizes=draw(st.dictionaries(WORDS, COUNTS, max_size=3)),
        overrides=draw(st.dictionaries(WORDS, WORDS, max_size=2)),
        only=tuple(draw(st.lists(WORDS, max_size=2))),
        unread=tuple(draw(st.lists(WORDS, max_size=2))),
        publishers=draw(st.none() | publishers()),
        ending=draw(st.none() | endings(may_refuse=may_refuse)),
        scan=draw(st.none() | scans()),
        promotion=draw(st.none() | PROMOTIONS),
    )


@settings(max_examples=40)
@given(receipts())
def test_a_receipt_reads_back_and_obeys_its_schema(made: Receipt) -> None:
    data = made.to_bytes()
    schemas.validate("receipt", json.loads(data))
    again = receipt.parse(data)
    assert again == made
    assert again.to_bytes() == data


@settings(max_examples=40)
@given(receipts(), st.data())
def test_what_the_schema_refuses_the_reader_refuses_and_the_other_way(
    made: Receipt, data: st.DataObject
) -> None:
    document: Any = data.draw(mutations(made.to_dict()))
    refused = ""
    try:
        receipt.parse(dump_json(document))
    except DrayError as error:
        refused = error.message
    except UnicodeEncodeError:
        assume(False)
    try:
        schemas.validate("receipt", document)
    except schemas.SchemaFault as fault:
        assert refused, fault
    else:
        assert not refused or BEYOND_SCHEMAS.search(refused) or "strict JSON" in refused, refused


@settings(max_examples=40)
@given(receipts(), st.integers(0), st.integers(1, 255))
def test_any_changed_byte_of_a_signed_receipt_is_refused(
    made: Receipt, place: int, flip: int
) -> None:
    one = signer("high")
    hint = str(one.public_key.fingerprint)
    data = dsse.sign(receipt.PAYLOAD_TYPE, made.to_bytes(), hint, one.sign).to_bytes()
    keys = {"high": one.public_key}
    assert receipt.unseal(data, keys, what="it").receipt == made
    changed = bytearray(data)
    changed[place % len(data)] ^= flip
    try:
        found = receipt.unseal(bytes(changed), keys, what="it")
    except NotTrusted:
        return
    # White space of the envelope, and the hint, are nothing that a signature is over.
    assert found.receipt == made
