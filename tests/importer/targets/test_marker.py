"""The marker of a complete folder."""

from __future__ import annotations

from typing import Any

import pytest

from bundle.decode import dump_json
from bundle.digest import Digest
from bundle.errors import TargetError
from importer.targets import marker
from tests.importer.targets.samples import Shelf

DIGEST = str(Digest.of(b""))


def document(**changed: Any) -> bytes:
    file = {"path": "a", "size": 0, "digest": DIGEST}
    return dump_json({"root": DIGEST, "files": [{**file, **changed}]})


def test_a_marker_gives_back_root_and_files() -> None:
    model = Shelf().model("m", "1", {"b": b"2", "a/c": b"1"})
    found = marker.read(marker.compose(model), "here")
    assert found.root == model.root
    assert found.files == {content.path: content.digest for content in model.files}
    assert found.signature is None


def test_a_marker_names_the_signature_beside_the_files() -> None:
    shelf = Shelf()
    model = shelf.signed_model("m", "1", {"b": b"2"}, b"{}")
    found = marker.read(marker.compose(model), "here")
    assert found.signature == Digest.of(b"{}")
    assert list(found.files) == ["b"]


@pytest.mark.parametrize("path", ["../x", "/x", "a//b", "", marker.NAME, "a\\b", "."])
def test_a_marker_that_names_an_unsafe_path_is_refused(path: str) -> None:
    assert marker.read(document(), "here").files
    with pytest.raises(TargetError, match="here is no marker of dray"):
        marker.read(document(path=path), "here")


def test_what_only_the_earlier_artifact_had_is_stale() -> None:
    model = Shelf().model("m", "1", {"kept": b"1"})
    before = {"kept": Digest.of(b"0"), "gone": Digest.of(b"2")}
    assert marker.stale(before, model) == {"gone": Digest.of(b"2")}
