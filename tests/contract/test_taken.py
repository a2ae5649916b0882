"""What a target has under another name is taken from there, and nothing else is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.contract.conftest import put_in
from tests.importer.targets.samples import fill, ignore, noise

if TYPE_CHECKING:
    from collections.abc import Callable

    from bundle.digest import Digest
    from tests.contract.conftest import Place

MIB = 1 << 20


def _unread(place: Place, never: Digest) -> Callable[[Digest], Any]:
    def blob(digest: Digest) -> Any:
        assert digest != never, "its bytes were asked for again"
        return place.shelf.blob(digest)

    return blob


def test_what_another_artifact_has_is_taken_and_not_sent_again(place: Place) -> None:
    old = place.artifact({"a.bin": noise(9 * MIB)}, "a/old")
    new = place.artifact({"sub/b.bin": noise(9 * MIB), "c.bin": b"new"}, "a/new")
    put_in(place, old)
    target = place.target()
    source = max(old.contents, key=lambda content: content.size)
    content = next(one for one in new.contents if one.digest == source.digest)
    if new.kind != "model":
        assert not target.take(new, content, old, source), "layers are mounted, or are one blob"
        return
    assert target.take(new, content, old, source)
    assert place.look(new) == {}
    rest = next(one for one in new.contents if one.path == "c.bin")
    target.put(new, rest, place.shelf.blob(rest.digest), ignore)
    assert target.publish(new, _unread(place, content.digest))
    assert sorted(place.look(new).values()) == place.expected(new)
    assert sorted(place.look(old).values()) == place.expected(old)
    assert not target.publish(new, place.shelf.blob)


def test_what_is_not_there_cannot_be_taken(place: Place) -> None:
    old, new = (place.artifact({"a.bin": noise(MIB)}, name) for name in ("a/old", "a/new"))
    target = place.target()
    assert not target.take(new, new.contents[0], old, old.contents[0])
    fill(target, new, place.shelf)
    target.publish(new, place.shelf.blob)
    assert sorted(place.look(new).values()) == place.expected(new)
