"""The publisher's signature of a version: pinned with it, carried as its referrer, as it was."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bundle.errors import NotFound, SourceError
from bundler import lock as locks
from bundler.lock import Lock
from bundler.sources import ngc_signature
from bundler.sources.ngc import NgcSource
from fixtures.content import blob
from fixtures.signatures import model_signature
from tests.bundler.sources.items import CITRINET, DETECTOR, QUICKSTART, fetch, use_key

if TYPE_CHECKING:
    from bundle.http import Http
    from bundler.lock import LockedArtifact, LockedContent
    from fixtures.ngc import Catalogue, EmulatedNgc
    from fixtures.ngc.catalogue import Version

SIGSTORE = "application/vnd.dev.sigstore.bundle.v0.3+json"
ASKED = r"deployable_v2.0.0/signature$"
GIVEN = r"xfiles.*result\.sigstore"


def version(catalogue: Catalogue) -> Version:
    kept = catalogue.filesets["models", str(CITRINET).partition(":")[0]]
    return kept.versions[CITRINET.version]


def pinned(locked: LockedArtifact) -> LockedContent:
    return next(item for item in locked.contents if item.content == locked.artifact.signature)


@pytest.mark.parametrize("key", ["", "personal", "service", "legacy"])
def test_a_signed_version_brings_its_signature_with_every_kind_of_key(
    http: Http, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    use_key(monkeypatch, catalogue, key)
    source = NgcSource(http)
    locked = source.resolve(CITRINET)
    there = version(catalogue).signature
    assert there
    found = pinned(locked)
    assert (found.content.digest, found.content.size) == (there.digest, there.size)
    assert found.unvouched
    assert fetch(source, locked, found) == there.read()


def test_the_signature_is_a_referrer_and_the_artifact_is_the_same_without_it(
    http: Http, catalogue: Catalogue
) -> None:
    signed = NgcSource(http).resolve(CITRINET)
    version(catalogue).signature = None
    bare = NgcSource(http).resolve(CITRINET)
    assert bare.artifact.root == signed.artifact.root
    assert bare.contents == signed.contents[: len(bare.contents)]
    assert "signature" not in bare.artifact.notes
    *_, layer, manifest = signed.contents
    document = json.loads(manifest.text or "")
    assert document["artifactType"] == SIGSTORE
    assert document["subject"]["digest"] == manifest.content.subject == bare.artifact.root
    assert [entry["digest"] for entry in document["layers"]] == [layer.content.digest]
    assert document["layers"][0]["annotations"]["org.opencontainers.image.title"] == (
        "result.sigstore"
    )
    assert manifest.content.tags == ()
    assert layer.content.digest[:19] in signed.artifact.notes["signature"]


def test_a_lock_with_a_signature_reads_back_and_holds_no_url(http: Http) -> None:
    locked = NgcSource(http).resolve(CITRINET)
    made = Lock("prod", locked.artifact.root, (locked,))
    assert locks.parse(made.text, Path("dray.lock.yaml")) == made
    assert b"http" not in made.text
    assert not made.source_fault()


def test_a_resource_and_a_private_model_can_be_signed(
    http: Http, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_key(monkeypatch, catalogue, "personal")
    for entry in (QUICKSTART, DETECTOR):
        kept = catalogue.filesets[f"{entry.kind}s", str(entry).partition(":")[0]]
        found = kept.versions[entry.version]
        found.signature = model_signature(found.files, entry.name)
        locked = NgcSource(http).resolve(entry)
        assert fetch(NgcSource(http), locked, pinned(locked)) == found.signature.read()


def test_a_part_of_a_version_brings_the_signature_of_the_whole(http: Http) -> None:
    locked = NgcSource(http).resolve(CITRINET, only=frozenset({"README.md"}))
    assert [file.path for file in locked.artifact.files] == ["README.md"]
    assert locked.artifact.signature
    assert "partial" in locked.artifact.notes


def test_a_version_that_is_said_to_be_signed_and_has_no_signature_is_refused(
    http: Http, ngc: EmulatedNgc
) -> None:
    ngc.faults.add(ASKED, status=404, times=None)
    with pytest.raises(NotFound, match="is signed, and has no signature of it") as caught:
        NgcSource(http).resolve(CITRINET)
    assert "without its signature" in caught.value.hint


@pytest.mark.parametrize(("status", "words"), [(412, "terms"), (403, "guests"), (451, "legal")])
def test_a_refused_signature_is_explained_as_a_refused_file_is(
    http: Http, ngc: EmulatedNgc, status: int, words: str
) -> None:
    ngc.faults.add(ASKED, status=status, times=None)
    with pytest.raises(SourceError, match=words):
        NgcSource(http).resolve(CITRINET)


LIES: dict[str, tuple[bytes, str]] = {
    "a page instead": (b"<html>", "no Sigstore bundle"),
    "nothing": (b"", "no Sigstore bundle"),
    "a list": (b"[]", "no object"),
    "another document": (b'{"mediaType": "application/json"}', "another media type"),
    "a bundle without an envelope": (
        json.dumps({"mediaType": SIGSTORE, "messageSignature": {}}).encode(),
        "no DSSE envelope",
    ),
    "a key twice": (b'{"mediaType": "a", "mediaType": "b"}', "duplicate key"),
}


@pytest.mark.parametrize("lie", LIES)
def test_what_is_no_signature_is_not_pinned_as_one(
    http: Http, catalogue: Catalogue, lie: str
) -> None:
    data, words = LIES[lie]
    version(catalogue).signature = blob(data)
    with pytest.raises(SourceError, match=words):
        NgcSource(http).resolve(CITRINET)


def test_a_signature_without_end_is_refused(
    http: Http, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ngc_signature, "LIMIT", 1000)
    version(catalogue).signature = blob(b'{"mediaType": "' + b"x" * 2000)
    with pytest.raises(SourceError, match="more than 1000 bytes"):
        NgcSource(http).resolve(CITRINET)


@pytest.mark.parametrize("url", [None, 7, "", "file:///etc/passwd", "http://example.com/f"])
def test_a_url_that_is_none_is_not_followed(http: Http, ngc: EmulatedNgc, url: Any) -> None:
    ngc.faults.add(ASKED, edit=lambda body: {**body, "url": url}, times=None)
    with pytest.raises(SourceError, match=r"does not give the URL|no HTTP URL|plain HTTP"):
        NgcSource(http).resolve(CITRINET)


@pytest.mark.parametrize(("said", "signed"), [(None, False), (False, False)])
def test_a_version_of_which_nothing_is_said_is_not_signed(
    http: Http, ngc: EmulatedNgc, said: object, signed: bool
) -> None:
    edited = {"isSigned": said}
    ngc.faults.add(
        r"versions/[^/]+$",
        edit=lambda body: {**body, "modelVersion": {**body["modelVersion"], **edited}},
    )
    assert bool(NgcSource(http).resolve(CITRINET).artifact.signature) is signed


def test_a_word_for_signed_is_refused(http: Http, ngc: EmulatedNgc) -> None:
    ngc.faults.add(
        r"versions/[^/]+$",
        edit=lambda body: {**body, "modelVersion": {**body["modelVersion"], "isSigned": "yes"}},
    )
    with pytest.raises(SourceError, match=r"isSigned must be true or false"):
        NgcSource(http).resolve(CITRINET)


def test_another_signature_later_is_refused_with_both_digests(
    http: Http, catalogue: Catalogue
) -> None:
    source = NgcSource(http)
    locked = source.resolve(CITRINET)
    found = version(catalogue)
    found.signature = model_signature({}, "another")
    with pytest.raises(SourceError, match="another signature now") as caught:
        fetch(source, locked, pinned(locked))
    assert found.signature.digest in str(caught.value)
    assert pinned(locked).content.digest in str(caught.value)
    assert "lock anew" in caught.value.hint


def test_a_signature_that_is_gone_later_is_refused(http: Http, catalogue: Catalogue) -> None:
    source = NgcSource(http)
    locked = source.resolve(CITRINET)
    version(catalogue).signature = None
    with pytest.raises(NotFound, match="no signature of it"):
        fetch(source, locked, pinned(locked))


def test_a_url_that_has_expired_is_asked_for_once_more(http: Http, ngc: EmulatedNgc) -> None:
    ngc.faults.add(GIVEN, status=403)
    assert NgcSource(http).resolve(CITRINET).artifact.signature
    ngc.faults.add(GIVEN, status=403, times=None)
    with pytest.raises(SourceError, match="refuses a URL that was just signed"):
        NgcSource(http).resolve(CITRINET)


def test_reading_goes_on_where_it_was_cut(http: Http) -> None:
    source = NgcSource(http)
    locked = source.resolve(CITRINET)
    whole = fetch(source, locked, pinned(locked))
    with source.opener(locked, pinned(locked))(100) as blocks:
        assert b"".join(blocks) == whole[100:]


def test_an_image_with_such_a_layer_has_no_signature_of_files(http: Http) -> None:
    locked = NgcSource(http).resolve(CITRINET).artifact
    bare = tuple(content for content in locked.contents if content.role != "file")
    assert replace(locked, contents=bare).signature is None
