"""Manifests and indexes as registries send them: read strictly, refused with the place."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bundle.digest import Digest
from bundle.errors import SourceError
from bundler import oci

MANIFEST, INDEX = sorted(oci.MANIFESTS)[1], sorted(oci.INDEXES)[1]
A, B = Digest.of(b"a"), Digest.of(b"b")


def blob(digest: str = A, **more: Any) -> dict[str, Any]:
    return {"mediaType": "application/x", "digest": digest, "size": 1, **more}


def parse(body: object, media_type: str = MANIFEST) -> oci.Parsed:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return oci.parse(data, media_type, "host/a:1")


@pytest.mark.parametrize("media_type", sorted(oci.MANIFESTS))
def test_a_manifest_has_config_and_layers(media_type: str) -> None:
    parsed = parse({"config": blob(), "layers": [blob(B)], "subject": blob()}, media_type)
    assert not parsed.is_index
    assert parsed.config is not None
    assert (parsed.config.digest, parsed.layers[0].digest, parsed.subject) == (A, B, A)


@pytest.mark.parametrize("media_type", sorted(oci.INDEXES))
def test_an_index_has_children_with_platforms(media_type: str) -> None:
    attested = {"annotations": {oci.ATTESTED: A}}
    unknown = {"os": "unknown", "architecture": "unknown"}
    arm = {"os": "linux", "architecture": "ARM", "variant": "v7"}
    children = [
        blob(A, platform=arm),
        blob(B, platform=unknown, **attested),
        blob(B, platform=unknown),
        blob(B),
    ]
    parsed = parse({"manifests": children}, media_type)
    assert parsed.is_index
    assert [child.platform for child in parsed.children] == [
        "linux/arm/v7",
        "unknown/unknown",
        "unknown/unknown",
        "",
    ]
    assert [child.runs for child in parsed.children] == [True, False, False, True]
    assert parsed.children[1].attests == A


@pytest.mark.parametrize("name", ["li nux", "linux/x", "lin\nux", "línux", ""])
def test_a_platform_that_no_reader_takes_counts_as_none(name: str) -> None:
    platform = {"os": name, "architecture": "amd64"}
    assert parse({"manifests": [blob(platform=platform)]}, INDEX).children[0].platform == ""


@pytest.mark.parametrize(
    ("body", "media_type", "message"),
    [
        (b"{", MANIFEST, "host/a:1 is no manifest"),
        (b'{"a": 1, "a": 2}', MANIFEST, "duplicate key"),
        ([], MANIFEST, "must be a mapping"),
        ({"mediaType": INDEX}, MANIFEST, "calls itself"),
        ({"schemaVersion": 1}, "application/x", "which cannot be carried"),
        ({"layers": []}, MANIFEST, "config"),
        ({"config": blob()}, MANIFEST, "'layers' is missing"),
        ({"config": blob(), "layers": {}}, MANIFEST, "layers must be a list"),
        ({"config": blob("sha256:x"), "layers": []}, MANIFEST, "config.digest"),
        ({"config": blob(size=-1), "layers": []}, MANIFEST, "config.size"),
        ({"config": blob(size="1"), "layers": []}, MANIFEST, "config.size"),
        ({"config": blob(size=1 << 60), "layers": []}, MANIFEST, "integer out of range"),
        ({"config": blob(mediaType="no type"), "layers": []}, MANIFEST, "config.mediaType"),
        ({"config": blob(), "layers": [blob(), 7]}, MANIFEST, r"layers\[1\]"),
        ({"manifests": [blob(platform=7)]}, INDEX, "platform must be a mapping"),
        ({"manifests": [blob()] * 1001}, INDEX, "more than 1000 entries"),
        (b'{"manifests": [' + b"{}," * 1_000_000 + b"{}]}", INDEX, "far more small parts"),
        (
            b'{"layers": [' + json.dumps(blob()).encode() * 1_000_000,
            MANIFEST,
            "than the 4194304 allowed",
        ),
        ({"manifests": [blob(annotations={oci.ATTESTED: "x"})]}, INDEX, "sha256"),
    ],
)
def test_anything_else_is_refused_with_the_place(
    body: object, media_type: str, message: str
) -> None:
    with pytest.raises(SourceError, match=message) as caught:
        parse(body, media_type)
    assert caught.value.message.startswith("host/a:1")


@pytest.mark.parametrize(
    ("body", "platform"),
    [
        ({"os": "linux", "architecture": "amd64"}, "linux/amd64"),
        ({"os": "linux", "architecture": "arm", "variant": "v7"}, "linux/arm/v7"),
        ({"os": "linux"}, ""),
        ({"os": 7, "architecture": []}, ""),
        ([], ""),
        (b"no json", ""),
    ],
)
def test_a_configs_platform_is_read_where_it_has_one(body: object, platform: str) -> None:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    assert oci.config_platform(data) == platform
