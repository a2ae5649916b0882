"""OpenVEX: who says that a vulnerability does not matter, of what, and since when."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bundle.gate import vex
from bundle.gate.finding import Finding
from bundle.gate.foreign import Unreadable
from fixtures.reports import openvex, statement
from tests.bundle.gate.made import Store

IMAGE = Store().image()
FLAW = Finding("CVE-2026-1", "high", "openssl", "3.0.1", purl="pkg:deb/ubuntu/openssl@3.0.1")
BY_DIGEST = f"pkg:oci/cuda@{IMAGE.root.replace(':', '%3A')}?repository_url=nvcr.io/nvidia/cuda"
BY_NAME = "pkg:oci/cuda?repository_url=nvcr.io/nvidia/cuda"


def ruled(*documents: Any, finding: Finding = FLAW) -> str:
    read = [vex.parse(json.dumps(one).encode(), "vex.json") for one in documents]
    found = vex.ruling(read, finding, IMAGE)
    return found[0].status if found else ""


@pytest.mark.parametrize(
    "product",
    [
        BY_DIGEST,
        BY_NAME,
        f"{BY_NAME}&tag=12.6.0",
        "nvcr.io/nvidia/cuda",
        IMAGE.name,
        f"nvcr.io/nvidia/cuda@{IMAGE.root}",
        FLAW.purl,
        "pkg:deb/ubuntu/openssl",
    ],
)
def test_a_statement_about_the_image_or_its_package_counts(product: str) -> None:
    assert ruled(openvex(statement("CVE-2026-1", product))) == "not_affected"


@pytest.mark.parametrize(
    "product",
    [
        f"pkg:oci/cuda@sha256%3A{'0' * 64}?repository_url=nvcr.io/nvidia/cuda",
        "pkg:oci/cuda?repository_url=evil.example/nvidia/cuda",
        "pkg:oci/cuda",
        f"{BY_NAME}&tag=11.0",
        "nvcr.io/nvidia",
        "pkg:deb/ubuntu/openssl@3.0.2",
        "pkg:rpm/redhat/openssl@3.0.1",
        "*",
    ],
)
def test_a_statement_about_something_else_does_not(product: str) -> None:
    assert not ruled(openvex(statement("CVE-2026-1", product)))


def test_a_statement_about_another_package_in_the_image_does_not_count() -> None:
    other = "pkg:deb/ubuntu/zlib1g@1.2"
    assert not ruled(openvex(statement("CVE-2026-1", BY_NAME, "fixed", other)))
    assert ruled(openvex(statement("CVE-2026-1", BY_NAME, "fixed", other, FLAW.purl))) == "fixed"
    bare = Finding("CVE-2026-1", "high", "openssl", "3.0.1")  # as Harbor has it
    found = ruled(openvex(statement("CVE-2026-1", BY_NAME, "fixed", FLAW.purl)), finding=bare)
    assert found == "fixed"
    newer = Finding("CVE-2026-1", "high", "openssl", "3.0.9")
    assert not ruled(openvex(statement("CVE-2026-1", BY_NAME, "fixed", FLAW.purl)), finding=newer)


def test_the_latest_statement_counts_and_of_one_moment_the_one_that_lets_least_through() -> None:
    old = statement("CVE-2026-1", BY_NAME, timestamp="2026-01-01T00:00:00Z")
    new = statement("CVE-2026-1", BY_NAME, "affected", timestamp="2026-02-01T00:00:00Z")
    assert ruled(openvex(new, old)) == "affected"
    assert ruled(openvex(old), openvex(new)) == "affected"
    same = statement("CVE-2026-1", BY_NAME, "under_investigation")
    assert ruled(openvex(same, statement("CVE-2026-1", BY_NAME))) == "under_investigation"
    again = statement("CVE-2026-1", BY_NAME, "fixed", last_updated="2026-03-01T00:00:00Z")
    assert ruled(openvex(new, again)) == "fixed"


def test_another_name_of_the_vulnerability_counts() -> None:
    body = statement("GHSA-aaaa-bbbb-cccc", BY_NAME)
    assert not ruled(openvex(body))
    body["vulnerability"]["aliases"] = ["cve-2026-1"]
    assert ruled(openvex(body)) == "not_affected"


def test_the_first_version_of_openvex_is_read_too() -> None:
    body = statement("CVE-2026-1", BY_NAME) | {"vulnerability": "CVE-2026-1", "products": [BY_NAME]}
    assert ruled(openvex(body) | {"@context": "https://openvex.dev/ns"}) == "not_affected"


def test_what_an_image_carries_is_about_that_image() -> None:
    data = json.dumps(openvex(statement("CVE-2026-1", FLAW.purl))).encode()
    mine, others = (vex.parse(data, "it", only=name) for name in (IMAGE.name, "nvcr.io/else:1"))
    assert vex.ruling([mine], FLAW, IMAGE)
    assert not vex.ruling([others], FLAW, IMAGE)


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "not OpenVEX": ({"@context": "https://example.com"}, "is no OpenVEX"),
    "nobody's": (openvex() | {"author": ""}, "author is missing"),
    "no reason": (
        openvex(statement("CVE-1", "x", justification=None)),
        "says not_affected, and not why",
    ),
    "about nothing": (openvex(statement("CVE-1", "x") | {"products": []}), "is about nothing"),
    "odd status": (openvex(statement("CVE-1", "x", "mostly_harmless")), "is 'mostly_harmless'"),
    "no name": (openvex(statement("", "x")), "vulnerability.name is missing"),
    "no product": (openvex(statement("CVE-1", "")), "has neither @id nor a purl"),
    "no part": (openvex(statement("CVE-1", "x", "fixed", "")), "has one without @id"),
}


@pytest.mark.parametrize("lie", BAD)
def test_a_document_that_says_too_little_says_nothing(lie: str) -> None:
    document, said = BAD[lie]
    with pytest.raises(Unreadable) as caught:
        vex.parse(json.dumps(document).encode(), "vex.json")
    assert said in caught.value.message
