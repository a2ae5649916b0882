"""The label of the latest version: pinned as the version that it is when the lock is made."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from bundle.errors import DrayError, NotFound, SourceError
from bundler.sources.ngc import NgcSource
from tests.bundler.sources.items import CITRINET

if TYPE_CHECKING:
    from bundle.http import Http
    from fixtures.ngc import EmulatedNgc


def test_the_label_latest_is_the_version_that_it_is_today(http: Http, ngc: EmulatedNgc) -> None:
    labelled = NgcSource(http).resolve(replace(CITRINET, version="latest"))
    notes = dict(labelled.artifact.notes)
    assert notes.pop("label") == "'latest' was deployable_v1.0 when this was locked"
    exact = NgcSource(http).resolve(replace(CITRINET, version="deployable_v1.0"))
    assert (labelled.artifact.name, labelled.artifact.root) == (
        exact.artifact.name,
        exact.artifact.root,
    )
    assert labelled.origin == exact.origin
    assert notes == exact.artifact.notes


@pytest.mark.parametrize(
    ("fields", "kind", "words"),
    [
        ({"latestVersionIdStr": ""}, NotFound, "names no latest version"),
        ({"latestVersionIdStr": None}, NotFound, "names no latest version"),
        ({"latestVersionIdStr": "../x"}, SourceError, "is no name"),
        ({"latestVersionIdStr": "latest"}, SourceError, "is no name"),
        ({"latestVersionIdStr": "gone"}, NotFound, "has no such version"),
        ({"latestVersionIdStr": "deployable_v3.0.0"}, SourceError, "is not complete"),
        ({"orgName": "other"}, SourceError, "another orgName"),
    ],
)
def test_a_label_that_names_no_version_is_refused(
    http: Http, ngc: EmulatedNgc, fields: dict[str, object], kind: type[DrayError], words: str
) -> None:
    ngc.faults.add(
        f"/{CITRINET.name}$", edit=lambda body: {**body, "model": {**body["model"], **fields}}
    )
    with pytest.raises(kind, match=words):
        NgcSource(http).resolve(replace(CITRINET, version="latest"))
