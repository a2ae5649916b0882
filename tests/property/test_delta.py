"""A delta and its base are a whole bundle: whatever was there, whatever is wanted."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bundle.artifact import MANIFEST_ROLES
from bundle.digest import Digest
from bundle.receipt import LOADED, Bundle, Entry, Receipt, Signed, Verified
from bundle.required import SMALLEST
from bundler import delta
from bundler.lock import Lock
from tests import factory

if TYPE_CHECKING:
    from bundler.lock import LockedArtifact

SPEC = Digest.of(b"spec")
WHEN = datetime(2027, 1, 1, tzinfo=UTC)
LAYERS = [factory.noise(f"layer {n}", SMALLEST + n) for n in range(4)] + [factory.noise("s", 99)]
CHOSEN = st.lists(st.sampled_from(LAYERS), min_size=1, max_size=4, unique=True)
CONTENT = st.lists(st.tuples(st.sampled_from(["image", "model"]), CHOSEN), max_size=4)
SLOW = settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])


def made(rows: list[tuple[str, list[bytes]]], version: str) -> tuple[LockedArtifact, ...]:
    """Return images with these layers, and models with these files."""
    kept = factory.Contents()
    found: list[Any] = []
    for number, (kind, blobs) in enumerate(rows):
        if kind == "image":
            found.append(factory.image(kept, f"nvcr.io/nvidia/i{number}:{version}", blobs))
        else:
            files = {f"f{place}.bin": data for place, data in enumerate(blobs)}
            found.append(factory.model(kept, f"nvidia/m{number}", version, files))
    return tuple(found)


def receipt(locked: tuple[LockedArtifact, ...], host: str) -> Signed:
    day = "2027-01-01T00:00:00Z"
    entries = [Entry(one.artifact, LOADED, "t", f"t/{one.artifact.name}") for one in locked]
    body = Receipt(
        Bundle("prod-000001", "prod", 0, 1, SPEC, day, day, SPEC, SPEC),
        Verified({"a": SPEC}, 1, 0, None, 1, 1),
        WHEN,
        WHEN,
        {"host": host},
        ("t",),
        tuple(entries),
        {},
    )
    return Signed(body, Digest.of(host.encode()), None, is_signed=True)


def held(locked: tuple[LockedArtifact, ...]) -> set[tuple[str, Digest]]:
    """Return what a target of each kind stores."""
    return {
        (one.artifact.kind, content.digest)
        for one in locked
        for content in one.artifact.contents
        if content.role == "file" or not any(one.artifact.files)
    }


@SLOW
@given(CONTENT.filter(bool), CONTENT)
def test_delta_and_base_together_are_the_whole(before: Any, after: Any) -> None:
    base, wanted = made(before, "1"), made(after, "2")
    lock = Lock("prod", SPEC, wanted)
    omitted = delta.make(lock, [receipt(base, "one")]).omitted
    there = held(base)
    needs = {
        (one.artifact.kind, content.digest, content.role, content.size)
        for one in wanted
        for content in one.artifact.contents
    }
    for kind, digest, role, size in needs:
        if digest in omitted:
            assert (kind, digest) in there, "what is left out is there, for that kind"
            assert role not in MANIFEST_ROLES
            assert size >= SMALLEST
            assert kind in {place.kind for place in omitted[digest]}
        elif (kind, digest) in there and role in {"layer", "file"} and size >= SMALLEST:
            others = {k for k, d, _, _ in needs if d == digest}
            assert not {(k, digest) for k in others} <= there, "what travels was needed"
    assert set(omitted) <= {digest for _, digest, _, _ in needs}


@SLOW
@given(CONTENT.filter(bool), CONTENT.filter(bool), CONTENT)
def test_two_sites_both_get_what_they_lack(one: Any, two: Any, after: Any) -> None:
    first, second = made(one, "1"), made(two, "1")
    lock = Lock("prod", SPEC, made(after, "2"))
    both = delta.make(lock, [receipt(first, "one"), receipt(second, "two")])
    alone = [delta.make(lock, [receipt(site, "x")]).omitted for site in (first, second)]
    assert set(both.omitted) == set(alone[0]) & set(alone[1])
