from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bundle.errors import SourceError
from bundler.sources.ngc import NgcSource
from bundler.sources.ngc_listing import digest_of
from tests.bundler.sources.items import (
    CITRINET,
    DETECTOR,
    MODEL,
    fetch,
    file_of,
    use_key,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from bundle.http import Http
    from fixtures.ngc import Catalogue, EmulatedNgc


def change(**fields: Any) -> Callable[[Any], Any]:
    return lambda body: {**body, **fields}


def inside(key: str, **fields: Any) -> Callable[[Any], Any]:
    return lambda body: {**body, key: {**body[key], **fields}}


def first_file(**fields: Any) -> Callable[[Any], Any]:
    def edit(body: Any) -> Any:
        body["modelFiles"][0] |= fields
        return body

    return edit


def all_paths(path: str) -> Callable[[Any], Any]:
    def edit(body: Any) -> Any:
        for file in body["modelFiles"]:
            file["path"] = path
        return body

    return edit


VERSION, FILES = r"versions/[^/]+$", r"versions/[^/]+/files$"


LIES: dict[str, tuple[str, Callable[[Any], Any], str]] = {
    "a list instead of an object": (VERSION, lambda body: [body], "no JSON object"),
    "a failure with status 200": (
        VERSION,
        change(requestStatus={"statusCode": "FORBIDDEN", "requestId": "r-1"}),
        r"FORBIDDEN .*\[request r-1\]",
    ),
    "a status that is no text": (VERSION, inside("modelVersion", status=7), "must be text"),
    "a version that is a list": (VERSION, change(modelVersion=[]), "must be a mapping"),
    "another version": (VERSION, inside("modelVersion", versionId="x"), "another version"),
    "another name": (VERSION, inside("model", name="x"), "another name"),
    "another org": (VERSION, inside("model", orgName="x"), "another orgName"),
    "another team": (VERSION, inside("model", teamName="x"), "another teamName"),
    "fewer files in all": (VERSION, inside("modelVersion", totalFileCount=4), "says there are 4"),
    "more bytes in all": (VERSION, inside("modelVersion", totalSizeInBytes=1), "NGC says 1"),
    "a negative count": (VERSION, inside("modelVersion", totalFileCount=-1), "is -1"),
    "an endless count": (VERSION, inside("modelVersion", totalFileCount=10**9), "is 1000000000"),
    "files that are no list": (FILES, change(modelFiles={}), "must be a list"),
    "no files": (FILES, change(modelFiles=[]), "lists no files"),
    "a page left out": (FILES, inside("paginationInfo", totalResults=9), "says there are 5 and 9"),
    "a page that never comes": (
        FILES,
        inside("paginationInfo", totalPages=2, totalResults=10),
        "says there are 5 and 10",
    ),
    "the same page again": (
        FILES,
        change(
            modelFiles=[{"path": "a", "sizeInBytes": 1}],
            paginationInfo={"totalPages": 5, "totalResults": 5},
        ),
        "one file on some systems",
    ),
    "pages without end": (FILES, inside("paginationInfo", totalPages=10**8), "is 100000000"),
    "a page for each file": (FILES, inside("paginationInfo", totalPages=1001), "is 1001, not from"),
    "a path out of the folder": (FILES, first_file(path="../../etc/passwd"), "'..'"),
    "an absolute path": (FILES, first_file(path="/etc/passwd"), "not a relative"),
    "a backslash": (FILES, first_file(path="a\\b"), "relative path"),
    "a NUL": (FILES, first_file(path="a\0b"), "control"),
    "a lone surrogate": (FILES, first_file(path="a\ud800"), "is not"),
    "no path": (FILES, first_file(path=None), "must be text"),
    "twice the same path": (FILES, all_paths("a"), "one file on some systems"),
    "paths that differ in case": (
        FILES,
        lambda body: first_file(path=body["modelFiles"][1]["path"].upper())(body),
        "one file on some systems",
    ),
    "a file that is a folder": (FILES, first_file(path="citrinet-1024/config"), "and a folder"),
    "a negative size": (FILES, first_file(sizeInBytes=-1), "is -1"),
    "a size as text": (FILES, first_file(sizeInBytes="7"), "whole number"),
    "a size beyond belief": (FILES, first_file(sizeInBytes=2**52), "not from 0"),
    "another size": (FILES, first_file(sizeInBytes=7), "bytes together"),
    "a short hash": (FILES, first_file(sha256_base64="AAAA"), "SHA-256 that is none"),
    "a hash in hex": (FILES, first_file(sha256_base64="0" * 64), "SHA-256 that is none"),
    "a hash that is no base64": (FILES, first_file(sha256_base64="!" * 44), "SHA-256 that is none"),
    "a hash that is a number": (FILES, first_file(sha256_base64=5), "SHA-256 that is none"),
}


@pytest.mark.parametrize("lie", LIES)
def test_an_answer_that_lies_is_refused(http: Http, ngc: EmulatedNgc, lie: str) -> None:
    where, edit, words = LIES[lie]
    ngc.faults.add(where, edit=edit, times=None)
    with pytest.raises(SourceError, match=words):
        NgcSource(http).resolve(CITRINET)


def test_an_answer_that_is_cut_in_half_is_refused(http: Http, ngc: EmulatedNgc) -> None:
    ngc.faults.add("GET api.ngc.nvidia.com/", malformed=True)
    with pytest.raises(SourceError, match="no JSON object"):
        NgcSource(http).resolve(CITRINET)


@pytest.mark.parametrize(
    "body",
    [b"", b"\xff", b"[" * 100_000, b'{"a": NaN}', b'{"a": 1, "a": 2}', b"{" + b" " * (17 << 20)],
)
def test_an_answer_that_is_no_object_is_refused(http: Http, ngc: EmulatedNgc, body: bytes) -> None:
    ngc.faults.add("GET api.ngc.nvidia.com/", status=200, body=body)
    with pytest.raises(SourceError, match=r"no JSON object|more than \d+ bytes"):
        NgcSource(http).resolve(CITRINET)


URL_LIES: dict[str, tuple[Callable[[Any], Any], str]] = {
    "no URL": (change(urls=[]), "the one URL"),
    "two URLs": (lambda body: {**body, "urls": body["urls"] * 2}, "the one URL"),
    "a number": (change(urls=[7]), "the one URL"),
    "another file": (change(filepath=["other"]), "another file"),
    "a changed file": (change(sha256_base64=["A" * 43 + "="]), "another file now"),
    "a local file": (change(urls=["file:///etc/passwd"]), "no HTTP URL"),
    "a bracket that stays open": (change(urls=["https://[::1/f"]), "no HTTP URL"),
    "a port beyond all": (change(urls=["https://localhost:99999/f"]), "no HTTP URL"),
    "a user in the URL": (change(urls=["https://a:b@localhost/"]), "no HTTP URL"),
    "plain HTTP elsewhere": (change(urls=["http://example.com/f"]), "plain HTTP"),
}


@pytest.mark.parametrize("lie", URL_LIES)
def test_a_url_that_lies_is_not_followed(http: Http, ngc: EmulatedNgc, lie: str) -> None:
    edit, words = URL_LIES[lie]
    source = NgcSource(http)
    locked = source.resolve(CITRINET)
    ngc.faults.add(r"deployable_v2.0.0/files$", edit=edit, times=None)
    with pytest.raises(SourceError, match=words):
        fetch(source, locked, file_of(locked, MODEL))


def test_a_relative_url_belongs_to_the_api(
    http: Http, catalogue: Catalogue, ngc: EmulatedNgc, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_key(monkeypatch, catalogue, "personal")
    source = NgcSource(http)
    locked = source.resolve(DETECTOR)
    path = "/v2/org/abc123xyz/team/vision/models/detector_weights/versions/1.0/files/weights.bin"
    ngc.faults.add(r"detector_weights/1.0/files$", edit=change(urls=[path]))
    assert len(fetch(source, locked, file_of(locked, "weights.bin"))) == 70_000


@given(st.one_of(st.none(), st.text(max_size=60), st.integers(), st.binary(max_size=60)))
@settings(deadline=None)
def test_a_hash_is_a_hash_or_nothing_or_an_error(value: object) -> None:
    try:
        found = digest_of(value, "a file")
    except SourceError:
        return
    assert found is None or len(found.hex) == 64


@given(st.binary(min_size=0, max_size=40))
@settings(deadline=None)
def test_a_true_hash_is_read_back(data: bytes) -> None:
    digest = hashlib.sha256(data)
    text = base64.b64encode(digest.digest()).decode()
    assert digest_of(text, "a file") == f"sha256:{digest.hexdigest()}"
