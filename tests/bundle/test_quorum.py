"""Two people and not two keys: roles, whose keys, and the words in which somebody is missing."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bundle.errors import NotTrusted
from bundle.quorum import Ballot, Role, Signers, Stream, fill
from tests.keys import NOW, signed, signer
from tests.keys import trust as trust_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bundle.trust import Trust

DATA = b"a manifest\n"
ALICE, SPARE, BOB, CAROL, DAVE = (
    signer(name) for name in ("alice", "alice-spare", "bob", "carol", "dave")
)
BUILDER = Role(("alice", "bob"), 1, "builder")
RELEASER = Role(("alice-spare", "bob", "carol", "dave"), 1, "releaser")
HELD = trust_of(
    ALICE,
    SPARE,
    BOB,
    CAROL,
    DAVE,
    streams={
        "prod": Stream((BUILDER, RELEASER), epoch=1),
        "flat": Stream.of(("alice", "alice-spare", "bob"), 2),
    },
    people={"alice-spare": "alice"},
)


def check(*names: str, stream: str = "prod", held: Trust = HELD) -> Signers:
    files = signed(DATA, *(signer(name) for name in names))
    return held.require(held.verified_by(DATA, files), stream, NOW)


def refused(*names: str, stream: str = "prod") -> NotTrusted:
    with pytest.raises(NotTrusted) as caught:
        check(*names, stream=stream)
    return caught.value


def test_a_builder_and_a_releaser_are_enough_and_named_with_their_roles() -> None:
    found = check("alice", "carol")
    roles = {"builder": ("alice",), "releaser": ("carol",)}
    assert found == Signers(("alice", "carol"), 2, 1, roles)
    assert str(found) == "alice (builder), carol (releaser)"


def test_one_role_alone_is_not_enough() -> None:
    error = refused("alice")
    assert error.message == (
        "the stream 'prod' needs 1 builder of alice, bob and 1 releaser of alice-spare, bob, "
        "carol, dave; 1 releaser missing, signed by alice (builder)"
    )
    assert error.hint == "let one of bob, carol, dave add a signature: dray sign DIR"


def test_two_of_one_role_are_not_the_two_roles() -> None:
    error = refused("carol", "dave")
    assert "1 builder missing, signed by carol (releaser), dave" in error.message
    assert error.hint == "let one of alice, bob add a signature: dray sign DIR"


def test_two_keys_of_one_person_do_not_fill_two_roles() -> None:
    error = refused("alice", "alice-spare")
    assert "1 releaser missing, signed by alice (builder)" in error.message
    assert "alice-spare and alice are one person's, alice, who counts once" in error.message


def test_two_keys_of_one_person_do_not_meet_a_threshold_of_two() -> None:
    assert "1 missing" in refused("alice", "alice-spare", stream="flat").message
    assert check("bob", "alice-spare", stream="flat").names == ("alice-spare", "bob")
    assert check("bob", "alice-spare", "alice", stream="flat").names == ("alice", "bob")


def test_who_may_fill_two_roles_fills_one() -> None:
    error = refused("bob")
    assert "1 releaser missing, signed by bob (builder)" in error.message
    assert error.hint == "let one of alice, alice-spare, carol, dave add a signature: dray sign DIR"


def test_who_may_fill_two_roles_makes_way_for_who_may_fill_one() -> None:
    assert check("alice", "bob").roles == {"builder": ("alice",), "releaser": ("bob",)}
    assert check("bob", "carol").roles == {"builder": ("bob",), "releaser": ("carol",)}


def test_a_key_named_as_another_ones_person_is_of_that_person() -> None:
    held = replace(HELD, people={"bob": "alice", "alice-spare": "alice"})
    with pytest.raises(NotTrusted, match="1 missing"):
        check("alice", "bob", stream="flat", held=held)


def test_the_root_role_counts_people_too() -> None:
    root = Role(("alice", "alice-spare", "bob"), 2)
    ballot = HELD.ballot((root,), HELD.verified_by(DATA, signed(DATA, ALICE, SPARE)))
    assert not ballot.is_enough()
    assert ballot.waiting() == ["bob"]


PEOPLE = ["ann", "ben", "cas", "dot", "eve"]
ROLES = st.lists(
    st.tuples(st.lists(st.sampled_from(PEOPLE), min_size=1, unique=True), st.integers(1, 3)),
    min_size=1,
    max_size=3,
)


def possible(roles: Sequence[tuple[list[str], int]], people: set[str]) -> int:
    """Try every assignment of people to roles, or to none."""
    best = 0
    for tried in itertools.product(range(-1, len(roles)), repeat=len(people)):
        pairs = [
            (person, role) for person, role in zip(sorted(people), tried, strict=True) if role >= 0
        ]
        if any(person not in roles[role][0] for person, role in pairs):
            continue
        counts = [sum(1 for _, role in pairs if role == number) for number in range(len(roles))]
        if all(count <= roles[number][1] for number, count in enumerate(counts)):
            best = max(best, len(pairs))
    return best


@example([(["ann", "ben"], 1), (["ann"], 1)], {"ann", "ben"})  # ann makes way
@given(ROLES, st.sets(st.sampled_from(PEOPLE)))
def test_as_many_places_are_filled_as_can_be(
    wanted: list[tuple[list[str], int]], people: set[str]
) -> None:
    roles = [Role(tuple(keys), count, f"r{n}") for n, (keys, count) in enumerate(wanted)]
    filled = fill(roles, {person: person for person in people})
    assert sum(map(len, filled)) == possible(wanted, people)
    everybody = [person for held in filled for person in held]
    assert len(everybody) == len(set(everybody)), "nobody fills two places"
    for role, held in zip(roles, filled, strict=True):
        assert set(held) <= set(role.keys)
        assert len(held) <= role.threshold


@given(ROLES, st.dictionaries(st.sampled_from(PEOPLE), st.sampled_from(PEOPLE)))
def test_another_signature_never_makes_it_worse(
    wanted: list[tuple[list[str], int]], whose: Mapping[str, str]
) -> None:
    roles = tuple(Role(tuple(keys), count, f"r{n}") for n, (keys, count) in enumerate(wanted))
    people = {name: whose.get(name, name) for name in PEOPLE}
    enough = False
    for number in range(len(PEOPLE) + 1):
        ballot = Ballot(roles, people, {name: people[name] for name in PEOPLE[:number]})
        assert ballot.is_enough() or not enough
        enough = ballot.is_enough()
        assert set(ballot.waiting()).isdisjoint(ballot.signed)
        assert len(ballot.names()) == len({people[name] for name in ballot.names()})
