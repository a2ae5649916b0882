from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from bundle import api
from bundle.digest import Descriptor, Digest
from bundle.errors import SourceError
from tests.bundle.faulty import Asked, Faulty, Reply
from tests.bundle.scripted import OCI, OCI_INDEX, REPO, SUBJECT, manifest, served

if TYPE_CHECKING:
    from bundle.registry import Registry


@pytest.mark.parametrize("absolute", [True, False])
def test_tags_come_from_all_pages(low: Registry, server: Faulty, *, absolute: bool) -> None:
    pages = {"": ["a", "b"], "b": ["b", "c"], "c": []}

    def script(asked: Asked) -> Reply:
        last = asked.query.get("last", [""])[0]
        tags = pages[last]
        base = server.url if absolute else ""
        link = f'<{base}{asked.path}?n=2&last={tags[-1]}>; rel="next"' if tags else ""
        headers = {"Link": link} if link else {}
        return Reply(200, json.dumps({"name": "x", "tags": tags or None}).encode(), headers)

    server.script = script
    assert low.tags(REPO) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("link", "message"),
    [
        ("<https://evil.test/v2/team/app/tags/list?last=a>; rel=next", "elsewhere"),
        ("</v2/other/tags/list?last=a>; rel=next", "elsewhere"),
        ("<http://[::1/v2/team/app/tags/list?last=a>; rel=next", "elsewhere"),
        ("<http://host:99999/v2/team/app/tags/list>; rel=next", "elsewhere"),
        ("<?n=1000>; rel=next", "circle"),
    ],
)
def test_a_list_that_leaves_its_place_or_never_ends_is_refused(
    low: Registry, server: Faulty, link: str, message: str
) -> None:
    server.answers(Reply(200, b'{"tags": ["a"]}', {"Link": link}))
    with pytest.raises(SourceError, match=message):
        low.tags(REPO)


def test_a_list_whose_pages_never_end_is_refused_before_it_fills_memory(
    low: Registry, server: Faulty, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "_LIST", 5000)

    def script(asked: Asked) -> Reply:
        number = int(asked.query.get("last", ["0"])[0]) + 1
        link = {"Link": f"<?last={number}>; rel=next"}
        return Reply(200, json.dumps({"tags": [f"v{number}", "x" * 100]}).encode(), link)

    server.script = script
    with pytest.raises(SourceError, match=r"tags/list is longer than 5000 bytes"):
        low.tags(REPO)
    assert len(server.seen) < 50


@pytest.mark.parametrize("tag", ["a b", "\u001b[31m", "../x", 5, None, ""])
def test_a_tag_that_is_none_is_refused(low: Registry, server: Faulty, tag: object) -> None:
    server.answers(Reply(200, json.dumps({"tags": [tag]}).encode()))
    with pytest.raises(SourceError, match="lists a tag that is none"):
        low.tags(REPO)


SIGNATURE = Descriptor(OCI, Digest.of(b"signature"), 9)


INDEX = json.dumps(
    {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [
            {"mediaType": OCI, "digest": SIGNATURE.digest, "size": 9, "artifactType": "a/b"}
        ],
    }
).encode()


def test_referrers_come_from_the_api(low: Registry, server: Faulty) -> None:
    server.answers(served(INDEX, OCI_INDEX))
    assert low.referrers(REPO, SUBJECT) == [SIGNATURE]
    assert {asked.path for asked in server.seen} == {f"/v2/team/app/referrers/{SUBJECT}"}


@pytest.mark.parametrize(
    "api",
    [Reply(404), Reply(405), Reply(403), Reply(200, b"<html>", {"Content-Type": "text/html"})],
)
def test_referrers_come_from_the_fallback_tag(low: Registry, server: Faulty, api: Reply) -> None:
    tag = f"/v2/team/app/manifests/sha256-{SUBJECT.hex}"
    server.script = lambda asked: served(INDEX, OCI_INDEX) if asked.path == tag else api
    assert low.referrers(REPO, SUBJECT) == [SIGNATURE]


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_that_passes_does_not_leave_referrers_behind(
    low: Registry, server: Faulty, status: int
) -> None:
    server.script = lambda asked: (
        Reply(404)
        if "manifests" in asked.path
        else Reply(status)
        if len(server.seen) < 3
        else served(INDEX, OCI_INDEX)
    )
    assert low.referrers(REPO, SUBJECT) == [SIGNATURE]


def test_a_registry_that_refuses_its_referrers_is_asked_thrice_once(
    low: Registry, server: Faulty
) -> None:
    server.script = lambda asked: Reply(403 if "referrers" in asked.path else 404)
    for _ in range(3):
        assert low.referrers(REPO, SUBJECT) == []
    assert sum("referrers" in asked.path for asked in server.seen) == 3 + 1 + 1


def test_no_referrers_is_no_error(low: Registry, server: Faulty) -> None:
    server.answers(Reply(404))
    assert low.referrers(REPO, SUBJECT) == []
    server.script = lambda asked: Reply(404) if "referrers" in asked.path else served(manifest())
    assert low.referrers(REPO, SUBJECT) == []


@pytest.mark.parametrize(
    "entry",
    [
        None,
        {},
        {"mediaType": OCI, "digest": "sha256:../../x", "size": 1},
        {"mediaType": OCI, "digest": SUBJECT, "size": -1},
        {"mediaType": OCI, "digest": SUBJECT, "size": True},
        {"mediaType": "x", "digest": SUBJECT, "size": 1},
    ],
)
def test_a_referrer_that_is_no_descriptor_is_refused(
    low: Registry, server: Faulty, entry: object
) -> None:
    server.answers(served(json.dumps({"manifests": [entry]}).encode(), OCI_INDEX))
    with pytest.raises(SourceError, match="no descriptor"):
        low.referrers(REPO, SUBJECT)
