"""What the registry says: pages, conditions, referrers, and the errors of the specification."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

import pytest

from bundle.digest import Digest
from importer.serve import catalogue
from importer.serve.answer import Answer, Refused, Registry
from importer.serve.request import one_range, parse
from tests.importer.targets.samples import Shelf

if TYPE_CHECKING:
    from importer.serve.store import Store


class Kept:
    """A store over blobs in memory."""

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf

    def check(self, digest: Digest) -> None:
        """Nothing is left out."""

    def small(self, digest: Digest) -> bytes:
        return self.shelf.blob(digest).read()

    def whole(self, digest: Digest) -> Any:
        return iter([self.small(digest)])

    def ranged(self, digest: Digest, start: int, end: int) -> Any:
        return iter([self.small(digest)[start:end]])


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


def ask(shelf: Shelf, artifacts: Any, line: str, *headers: str) -> Answer:
    registry = Registry(catalogue.build(artifacts), cast("Store", Kept(shelf)))
    text = "\r\n".join([f"{line} HTTP/1.1", "Host: here", *headers, "", ""])
    try:
        return registry.answer(parse(text.encode()))
    except Refused as refused:
        return refused.answer()


def body(answer: Answer) -> Any:
    data = b"".join(answer.body)
    assert len(data) == answer.size
    return json.loads(data)


def code(answer: Answer) -> str:
    return str(body(answer)["errors"][0]["code"])


def test_tags_come_in_pages(shelf: Shelf) -> None:
    images = [shelf.image("nvidia/cuda", f"1.{n}", {"": b"x%d" % n}) for n in (10, 9, 2, 1)]
    path = "/v2/nvidia/cuda/tags/list"
    assert body(ask(shelf, images, f"GET {path}"))["tags"] == ["1.1", "1.10", "1.2", "1.9"]
    first = ask(shelf, images, f"GET {path}?n=3")
    assert body(first) == {"name": "nvidia/cuda", "tags": ["1.1", "1.10", "1.2"]}
    assert first.headers["Link"] == f'<{path}?n=3&last=1.2>; rel="next"'
    second = ask(shelf, images, f"GET {path}?n=3&last=1.2")
    assert body(second)["tags"] == ["1.9"]
    assert "Link" not in second.headers
    assert body(ask(shelf, images, f"GET {path}?n=0"))["tags"] == []
    assert code(ask(shelf, images, f"GET {path}?n=x")) == "PAGINATION_NUMBER_INVALID"


def test_referrers_are_listed_and_filtered(shelf: Shelf) -> None:
    image = shelf.image("nvidia/cuda", "1", {"": b"x"})
    signed = shelf.signed(image, b"a signature")
    path = f"/v2/nvidia/cuda/referrers/{image.root}"
    answer = ask(shelf, [signed], f"GET {path}")
    assert answer.headers["Content-Type"] == "application/vnd.oci.image.index.v1+json"
    (row,) = body(answer)["manifests"]
    assert Digest(row["digest"]) in {content.digest for content in signed.contents}
    kind = row["artifactType"]
    filtered = ask(shelf, [signed], f"GET {path}?artifactType={kind}")
    assert body(filtered)["manifests"] == [row]
    assert filtered.headers["OCI-Filters-Applied"] == "artifactType"
    assert body(ask(shelf, [signed], f"GET {path}?artifactType=a/b"))["manifests"] == []
    other = Digest.of(b"nothing")
    assert body(ask(shelf, [signed], f"GET /v2/nvidia/cuda/referrers/{other}"))["manifests"] == []


@pytest.mark.parametrize(
    ("line", "status", "error"),
    [
        ("GET /v2/nvidia/none/manifests/1", 404, "NAME_UNKNOWN"),
        ("GET /v2/NVIDIA/manifests/1", 400, "NAME_INVALID"),
        ("GET /v2/a/../b/manifests/1", 400, "NAME_INVALID"),
        ("GET /v2/nvidia/cuda/manifests/2", 404, "MANIFEST_UNKNOWN"),
        ("GET /v2/nvidia/cuda/manifests/-", 400, "TAG_INVALID"),
        ("GET /v2/nvidia/cuda/manifests/sha256:12", 400, "DIGEST_INVALID"),
        (f"GET /v2/nvidia/cuda/blobs/sha256:{'0' * 64}", 404, "BLOB_UNKNOWN"),
        ("GET /v2/nvidia/cuda/blobs/1", 400, "DIGEST_INVALID"),
        ("GET /v2/nvidia/cuda/uploads/1", 404, "NOT_FOUND"),
        ("PUT /v2/nvidia/cuda/manifests/1", 405, "UNSUPPORTED"),
    ],
)
def test_errors_are_those_of_the_specification(
    line: str, status: int, error: str, shelf: Shelf
) -> None:
    image = shelf.image("nvidia/cuda", "1", {"": b"x"})
    answer = ask(shelf, [image], line)
    assert (answer.status, code(answer)) == (status, error)


def test_conditions_go_by_the_digest(shelf: Shelf) -> None:
    image = shelf.image("nvidia/cuda", "1", {"": b"abcdef"})
    blob = next(content for content in image.contents if content.size == 6)
    line = f"GET /v2/nvidia/cuda/blobs/{blob.digest}"
    tag = f'"{blob.digest}"'
    assert ask(shelf, [image], line, f"If-None-Match: {tag}").status == 304
    assert ask(shelf, [image], line, "Range: bytes=1-2", f"If-Range: {tag}").status == 206
    assert ask(shelf, [image], line, "Range: bytes=1-2", 'If-Range: "other"').status == 200
    assert ask(shelf, [image], line, "Range: bytes=1-2,4-5").status == 200
    beyond = ask(shelf, [image], line, "Range: bytes=6-")
    assert (beyond.status, beyond.headers["Content-Range"]) == (416, "bytes */6")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("bytes=0-0", (0, 1)),
        ("bytes=2-99", (2, 10)),
        ("bytes=9-", (9, 10)),
        ("bytes=-3", (7, 10)),
        ("bytes=-99", (0, 10)),
        ("bytes=5-4", None),
        ("bytes=-", None),
        ("lines=1-2", None),
        ("bytes=1-2,3-4", None),
        ("bytes=10-", ValueError),
        ("bytes=-0", ValueError),
    ],
)
def test_one_range_is_read_as_the_rfc_says(text: str, found: object) -> None:
    if found is ValueError:
        with pytest.raises(ValueError, match="bytes"):
            one_range(text, 10)
    else:
        assert one_range(text, 10) == found
