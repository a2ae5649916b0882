"""What every target does, whatever it is: one suite over folders, a registry and object stores."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bundle.digest import Digest
from bundle.errors import PartlyDone, TargetError, VerificationError
from tests.contract.conftest import put_in
from tests.importer.targets.samples import fill, ignore, noise

if TYPE_CHECKING:
    from tests.contract.conftest import Place

MIB = 1 << 20


def test_an_artifact_becomes_visible_only_by_publishing(place: Place) -> None:
    artifact = place.artifact({"a.bin": noise(3 * MIB), "deep/er/b.txt": b"text"})
    target = place.target()
    target.check()
    fill(target, artifact, place.shelf)
    assert place.look(artifact) == {}
    assert target.publish(artifact, place.shelf.blob)
    assert sorted(place.look(artifact).values()) == place.expected(artifact)


def test_files_keep_their_paths(place: Place) -> None:
    artifact = place.artifact({"a.bin": b"one", "deep/er/b c+ü.txt": b"two"})
    put_in(place, artifact)
    if artifact.kind == "model":
        assert place.look(artifact) == {"a.bin": b"one", "deep/er/b c+ü.txt": b"two"}
    else:
        assert len(place.look(artifact)) == 2


def test_a_fresh_target_has_nothing(place: Place) -> None:
    artifact = place.artifact({"a.bin": b"one"})
    target = place.target()
    assert not target.has(artifact, artifact.contents[0])


def test_what_was_published_is_there_for_the_next_run(place: Place) -> None:
    artifact = place.artifact({"a.bin": b"one", "b.bin": noise(2 * MIB)})
    put_in(place, artifact)
    again = place.target()
    assert all(again.has(artifact, content) for content in artifact.contents)


def test_publishing_twice_changes_nothing(place: Place) -> None:
    artifact = place.artifact({"a.bin": b"one", "empty": b""})
    assert put_in(place, artifact)
    before = place.look(artifact)
    assert not put_in(place, artifact)
    assert place.look(artifact) == before
    assert all(target.replaced == [] for target in place.made)


def test_putting_twice_changes_nothing(place: Place) -> None:
    artifact = place.artifact({"a.bin": noise(2 * MIB)})
    target = place.target()
    for _ in range(2):
        for content in artifact.contents:
            if content.role not in {"manifest", "index"}:
                target.put(artifact, content, place.shelf.blob(content.digest), ignore)
    assert place.look(artifact) == {}
    assert target.publish(artifact, place.shelf.blob)
    assert sorted(place.look(artifact).values()) == place.expected(artifact)


@pytest.mark.parametrize("size", [1, 3, MIB, MIB + 1, 9 * MIB])
def test_a_wrong_byte_leaves_nothing_behind(place: Place, size: int) -> None:
    artifact = place.artifact({"a.bin": noise(size)})
    content = artifact.contents[0]
    target = place.target()
    with pytest.raises(VerificationError):
        target.put(artifact, content, place.shelf.bad(content.digest), ignore)
    assert not target.has(artifact, content)
    assert place.look(artifact) == {}
    fill(target, artifact, place.shelf)
    target.publish(artifact, place.shelf.blob)
    assert sorted(place.look(artifact).values()) == place.expected(artifact)


def test_an_empty_file_is_a_file(place: Place) -> None:
    artifact = place.artifact({"empty": b"", "full": b"x"})
    put_in(place, artifact)
    assert sorted(place.look(artifact).values()) == [b"", b"x"]


def test_many_small_files_all_arrive(place: Place) -> None:
    files = {f"folder{n % 7}/file{n}": f"text {n}".encode() for n in range(40)}
    artifact = place.artifact(files)
    put_in(place, artifact)
    assert sorted(place.look(artifact).values()) == place.expected(artifact)


def test_equal_bytes_at_two_paths_are_two_files(place: Place) -> None:
    artifact = place.artifact({"one": b"same", "two": b"same", "three": b"other"})
    put_in(place, artifact)
    assert sorted(place.look(artifact).values()) == place.expected(artifact)


def test_a_run_completes_what_another_was_interrupted_in(place: Place) -> None:
    artifact = place.artifact({"a.bin": noise(20 * MIB), "b.bin": b"small"})
    large = max(artifact.contents, key=lambda content: content.size)
    first = place.target()
    with pytest.raises(PartlyDone):
        blob = place.shelf.cut_off(large.digest, 18 * MIB)
        first.put(artifact, large, blob, ignore)
    first.close()
    assert place.look(artifact) == {}
    assert put_in(place, artifact)
    assert sorted(place.look(artifact).values()) == place.expected(artifact)


def test_a_run_publishes_what_another_has_put(place: Place) -> None:
    artifact = place.artifact({"a.bin": noise(9 * MIB), "b.bin": b"small", "c": b""})
    first = place.target()
    fill(first, artifact, place.shelf)
    first.close()
    assert place.target().publish(artifact, place.shelf.blob)
    assert sorted(place.look(artifact).values()) == place.expected(artifact)


def test_an_artifact_that_lacks_blobs_is_published_whole_or_not_at_all(place: Place) -> None:
    artifact = place.artifact({"a.bin": b"one", "b.bin": b"two"})
    try:
        changed = place.target().publish(artifact, place.shelf.blob)
    except TargetError:
        assert place.look(artifact) == {}
    else:
        assert changed
        assert sorted(place.look(artifact).values()) == place.expected(artifact)


def test_two_artifacts_share_a_blob(place: Place) -> None:
    shared = noise(2 * MIB)
    one = place.artifact({"a.bin": shared, "b": b"1"}, name="a/one")
    two = place.artifact({"a.bin": shared, "b": b"2"}, name="a/two")
    target = place.target()
    for artifact in (one, two):
        fill(target, artifact, place.shelf)
    for artifact in (one, two):
        assert target.publish(artifact, place.shelf.blob)
        assert sorted(place.look(artifact).values()) == place.expected(artifact)


def test_progress_ends_at_the_size_of_what_was_put(place: Place) -> None:
    artifact = place.artifact({"a.bin": noise(9 * MIB + 5)})
    content = artifact.contents[0]
    counted: list[int] = []
    blob = place.shelf.blob(content.digest)
    assert place.target().put(artifact, content, blob, counted.append) == "uploaded"
    assert sum(counted) == content.size


def test_progress_ends_at_the_size_after_an_interruption_too(place: Place) -> None:
    artifact = place.artifact({"a.bin": noise(20 * MIB)})
    content = artifact.contents[0]
    with pytest.raises(PartlyDone):
        blob = place.shelf.cut_off(content.digest, 18 * MIB)
        place.target().put(artifact, content, blob, ignore)
    counted: list[int] = []
    place.target().put(artifact, content, place.shelf.blob(content.digest), counted.append)
    assert sum(counted) == content.size


def test_a_name_that_pointed_elsewhere_is_taken_over_and_reported(place: Place) -> None:
    old = place.artifact({"a.bin": b"old", "gone.bin": b"old too", "kept": b"same"})
    new = place.artifact({"a.bin": b"new", "kept": b"same"})
    put_in(place, old)
    target = place.target()
    fill(target, new, place.shelf)
    assert target.publish(new, place.shelf.blob)
    assert [(r.before, r.after) for r in target.replaced] == [(str(old.root), new.root)]
    assert sorted(place.look(new).values()) == [b"new", b"same"]


def test_a_place_is_what_two_different_artifacts_both_claim(place: Place) -> None:
    one, two = place.artifact({"a": b"1"}), place.artifact({"a": b"2"})
    target = place.target()
    claims = [target.claims(artifact) for artifact in (one, two)]
    assert [claim.place for claim in claims[0]] == [claim.place for claim in claims[1]]
    assert {claim.digest for claim in claims[0]} == {one.root}
    assert isinstance(claims[1][0].digest, Digest)
    assert "a/thing" in target.place(one)
