"""What a reviewer is told about a new lock."""

from __future__ import annotations

from dataclasses import replace

from bundle.artifact import Content
from bundle.digest import Digest
from bundler.lock import LockedArtifact, LockedContent
from bundler.lockdiff import changes, describe
from tests.bundler.world import lock, locked

ONE, TWO, MOVED = locked("one", b"1"), locked("two", b"2"), locked("one", b"other")


def signed(artifact: LockedArtifact) -> LockedArtifact:
    """Return the artifact with one more content, and the same root."""
    more = LockedContent(Content("layer", "a/b", Digest.of(b"signature"), 9))
    contents = (*artifact.contents, more)
    made = replace(artifact.artifact, contents=tuple(one.content for one in contents))
    return replace(artifact, artifact=made, contents=contents)


def test_a_first_lock_adds_everything() -> None:
    rows = changes(None, lock(ONE, TWO))
    assert [(row["artifact"], row["change"], row["before"]) for row in rows] == [
        ("up.example/one:1.0", "added", ""),
        ("up.example/two:1.0", "added", ""),
    ]


def test_what_moved_was_removed_or_added_is_told_with_its_digests() -> None:
    assert changes(lock(ONE, TWO), lock(MOVED)) == [
        {
            "artifact": "up.example/one:1.0",
            "change": "moved",
            "before": str(ONE.artifact.root),
            "after": str(MOVED.artifact.root),
        },
        {
            "artifact": "up.example/two:1.0",
            "change": "removed",
            "before": str(TWO.artifact.root),
            "after": "",
        },
    ]


def test_a_new_signature_of_the_same_image_is_a_change() -> None:
    (row,) = changes(lock(ONE, TWO), lock(signed(ONE), TWO))
    assert (row["artifact"], row["change"]) == ("up.example/one:1.0", "changed")
    assert row["before"] == row["after"]


def test_the_same_lock_has_no_changes() -> None:
    assert changes(lock(ONE, TWO), lock(ONE, TWO)) == []
    assert "nothing moved" in describe(lock(ONE), [], lock(ONE))


def test_the_table_has_a_line_for_each_artifact_its_notes_and_the_sum() -> None:
    noted = replace(ONE, artifact=replace(ONE.artifact, notes={"index": "complete"}))
    lines = describe(lock(noted, TWO), changes(None, lock(noted, TWO)), None)
    assert "up.example/one:1.0" in lines[0]
    assert str(ONE.artifact.root)[:19] in lines[0]
    assert lines[1].strip() == "index: complete"
    assert lines[-1].startswith("2 artifacts, 4 blobs, ")
    assert not any("added" in line for line in lines)
