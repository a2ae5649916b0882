"""Every fuzz target over its seeds, and for a short while over changes of them."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz import structure
from tests.fuzz.corpus import CORPORA, seeds
from tests.fuzz.mutation import mutate
from tests.fuzz.targets import TARGETS, check

SEEDS = [(target, name, data) for target in TARGETS for name, data in seeds(target)]


def test_every_target_has_seeds_and_every_seed_a_target() -> None:
    assert {path.name for path in CORPORA.iterdir()} == set(TARGETS)
    assert {target for target, _, _ in SEEDS} == set(TARGETS)


@pytest.mark.parametrize(
    ("target", "data"),
    [(target, data) for target, _, data in SEEDS],
    ids=[f"{target}-{name}" for target, name, _ in SEEDS],
)
def test_a_seed_is_read_or_refused(target: str, data: bytes) -> None:
    check(TARGETS[target], data)


@pytest.mark.parametrize(
    ("target", "data"),
    [(target, data) for target, name, data in SEEDS if name.startswith("good")],
    ids=[f"{target}-{name}" for target, name, _ in SEEDS if name.startswith("good")],
)
def test_a_good_seed_is_read(target: str, data: bytes) -> None:
    TARGETS[target](data)


@pytest.mark.parametrize("target", TARGETS)
@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_any_bytes_are_read_or_refused(target: str, data: st.DataObject) -> None:
    pool = [seed for _, seed in seeds(target)]
    changed = st.builds(
        lambda one, other, number: mutate(one, other, random.Random(number)),
        st.sampled_from(pool),
        st.sampled_from(pool),
        st.integers(0, 2**32),
    )
    check(TARGETS[target], data.draw(st.one_of(changed, changed, st.binary(max_size=200))))


@given(seed=st.integers(0, 2**32), number=st.integers(0, 10**6))
def test_changes_to_a_document_are_documents(seed: int, number: int) -> None:
    pool = [data for _, data in seeds("trust-policy")]
    made = pool[number % len(pool)]
    for step in range(3):
        made = structure.mutate(made, random.Random(seed + step)) or made
        json.loads(made.decode("utf-8", "surrogatepass"))


def test_what_is_no_document_is_left_alone() -> None:
    assert structure.mutate(b"{", random.Random(0)) is None
