from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from bundle.digest import Digest, verified
from bundle.errors import NotFound, SourceError, UsageError
from bundle.transfer import resume
from bundler.entries import FileEntry
from bundler.sources.address import contact
from bundler.sources.https import HttpsSource
from tests.bundler.sources.web import Page, Web

if TYPE_CHECKING:
    from bundle.http import Http

DATA = bytes(range(256)) * 20
ENTRY = FileEntry("https://h/", Digest.of(DATA), "tools/data.bin", where="dray.yaml:9:5")


def entry(site: Web, path: str = "/pub/Data%20Sets/data.bin", size: int | None = None) -> FileEntry:
    return replace(ENTRY, url=site.base + path, size=size)


PATH = "/pub/Data%20Sets/data.bin"


@pytest.mark.parametrize(
    "page",
    [
        Page(DATA),
        Page(DATA, head=False),
        Page(DATA, ranges=False),
        Page(DATA, head=False, ranges=False),
    ],
    ids=["all", "no HEAD", "no ranges", "neither"],
)
def test_a_file_is_pinned_and_fetched_whatever_the_server_knows(
    site: Web, plain: Http, page: Page
) -> None:
    site.pages[PATH] = page
    source = HttpsSource(plain)
    locked = source.resolve(entry(site))
    (file,) = locked.artifact.files
    assert (file.path, file.size, file.digest) == ("tools/data.bin", len(DATA), ENTRY.digest)
    assert locked.artifact.repository == f"{site.host}/pub/data-sets"
    assert locked.artifact.version == f"sha256-{ENTRY.digest.hex[:12]}"
    assert not locked.contents[0].unvouched
    open_at = source.opener(locked, locked.contents[0])
    with open_at(5000) as blocks:
        assert b"".join(blocks) == DATA[5000:]
    blocks = resume(open_at, size=file.size, what="it")
    checked = verified(blocks, digest=file.digest, size=file.size, what="it")
    assert b"".join(checked) == DATA


def test_a_size_in_the_spec_is_taken_without_asking(site: Web, plain: Http) -> None:
    locked = HttpsSource(plain).resolve(entry(site, size=7))
    assert locked.contents[0].content.size == 7
    assert site.asked == []


def test_an_empty_file_has_a_size(site: Web, plain: Http) -> None:
    site.pages[PATH] = Page(b"", head=False)
    assert HttpsSource(plain).resolve(entry(site)).contents[0].content.size == 0


def test_two_pins_of_one_url_are_two_versions(site: Web, plain: Http) -> None:
    site.pages[PATH] = Page(DATA)
    first = HttpsSource(plain).resolve(entry(site))
    other = HttpsSource(plain).resolve(replace(entry(site), digest=Digest.of(b"x")))
    assert first.artifact.version != other.artifact.version


def test_a_redirect_is_followed(site: Web, plain: Http) -> None:
    site.pages["/a"] = Page(status=302, headers={"Location": "/b"})
    site.pages["/b"] = Page(DATA)
    assert HttpsSource(plain).resolve(entry(site, "/a")).contents[0].content.size == len(DATA)


@pytest.mark.parametrize(
    ("page", "kind", "words"),
    [
        (Page(status=404), NotFound, "does not exist"),
        (Page(status=410), NotFound, "does not exist"),
        (Page(status=401), SourceError, "not given to everybody"),
        (Page(status=403), SourceError, "not given to everybody"),
        (Page(status=418), SourceError, "answered 418"),
        (Page(status=503), SourceError, "answered 503"),
        (Page(DATA * 300, head=False, ranges=False), SourceError, "more than"),
        (Page(status=206, head=False), SourceError, "does not say its size"),
        (
            Page(status=206, head=False, headers={"Content-Range": "bytes 0-0/9999999999999999"}),
            SourceError,
            "claims to have",
        ),
    ],
)
def test_a_size_that_cannot_be_learnt_is_an_error(
    site: Web, plain: Http, page: Page, kind: type[SourceError], words: str
) -> None:
    site.pages[PATH] = page
    with pytest.raises(SourceError, match=words) as caught:
        HttpsSource(plain).resolve(entry(site))
    assert type(caught.value) is kind


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("https://user:s3cret@h/f", "no URL of a file"),
        ("ftp://h/f", "no URL of a file"),
        ("https:///f", "no URL of a file"),
        ("https://h:99999999/f", "no URL of a file"),
        ("https://h/a b", "no URL of a file"),
        ("https://h/é", "no URL of a file"),
        ("https://h/" + "x" * 5000, "no URL of a file"),
        ("https://h/f?X-Amz-Signature=s3cret", "looks like a secret"),
        ("https://h/f?a=1&sig=s3cret", "looks like a secret"),
        ("https://h/f?private_token=s3cret", "looks like a secret"),
    ],
)
def test_a_url_that_must_not_stand_in_a_lock_is_refused(plain: Http, url: str, words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        HttpsSource(plain).resolve(replace(ENTRY, url=url, size=1))
    assert str(caught.value).startswith("dray.yaml:9:5: ")
    assert "s3cret" not in f"{caught.value}{caught.value.hint}"


def test_plain_http_is_refused_beyond_loopback(plain: Http) -> None:
    with pytest.raises(SourceError, match="plain HTTP") as caught:
        contact(plain, "http://example.com/f?token=s3cret")
    assert "plain-http: true" in caught.value.hint
    assert "s3cret" not in str(caught.value)


def test_what_is_missing_at_export_is_told(site: Web, plain: Http) -> None:
    source = HttpsSource(plain)
    locked = source.resolve(entry(site, size=7))
    with pytest.raises(NotFound), source.opener(locked, locked.contents[0])(0):
        pytest.fail("opened")
