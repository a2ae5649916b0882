"""The way from a signature of an index that is left behind to the manifest that is carried."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from bundle.digest import Descriptor, Digest
from bundle.errors import NotTrusted
from bundle.upstream.find import signings
from bundler.sources.evidence import gather
from fixtures import signatures
from fixtures.content import Graph, blob, encode
from tests.bundle.upstream.made import KEYS, OCI, VENDOR, Made, image

if TYPE_CHECKING:
    from collections.abc import Callable

    from bundler.lock import LockedContent

INDEX = "application/vnd.oci.image.index.v1+json"


def index_of(*children: Graph, size: int = 0) -> Graph:
    rows = [
        {**child.manifest.descriptor(), "size": size or child.manifest.size} for child in children
    ]
    return Graph(blob(encode({"schemaVersion": 2, "mediaType": INDEX, "manifests": rows}), INDEX))


def whole(graph: Graph) -> bytes:
    return graph.manifest.read()


def carried(
    of: Graph, signed: Graph, *, way: str = "tag", index: Graph | None = None
) -> tuple[Made, Digest, list[LockedContent]]:
    """Return an image with the evidence for the index ``of``; its signature is over ``signed``."""
    made, graph, root = image()
    signature = signatures.signature(signed, "nvcr.io/nvidia/a", VENDOR)
    if way == "bundle":
        signature = signatures.bundle_signature(signed, VENDOR)
    about = Descriptor(OCI, signature.digest, signature.manifest.size)
    child = Descriptor(OCI, root, graph.manifest.size)
    found = gather(whole(index or of), child, [(about, whole(signature))])
    blobs = {item.digest: item.read() for item in signature.blobs}
    for item in found:
        text = item.text
        data = blobs[item.content.digest] if text is None else text.encode()
        assert Digest.of(data) == item.content.digest
        made.data[item.content.digest] = data
        made.contents.append(item.content)
    return made, root, found


@pytest.mark.parametrize("way", ["tag", "bundle"])
def test_a_signature_of_the_index_proves_the_manifest_that_it_lists(way: str) -> None:
    _, graph, _ = image()
    _, arm, _ = image("arm")
    index = index_of(graph, arm)
    made, root, found = carried(index, index, way=way)
    assert found[-1].content.subject == root
    [signing] = signings(made.artifact(root), made.read)
    proof = signing.prove(KEYS)
    assert (proof.over, proof.key) == (index.digest, "vendor")


def test_all_but_what_was_signed_is_in_the_lock() -> None:
    _, graph, _ = image()
    index = index_of(graph)
    _, _, found = carried(index, index)
    assert [item.content.media_type for item in found if item.text is None] == [
        signatures.SIMPLE_SIGNING
    ]


def test_an_index_that_does_not_list_the_manifest_proves_nothing() -> None:
    _, arm, _ = image("arm")
    index = index_of(arm)
    made, root, _ = carried(index, index)
    [signing] = signings(made.artifact(root), made.read)
    with pytest.raises(NotTrusted, match=f"the index does not list {root}"):
        signing.prove(KEYS)


def test_an_index_that_gives_another_size_proves_nothing() -> None:
    _, graph, _ = image()
    index = index_of(graph, size=1)
    made, root, _ = carried(index, index)
    [signing] = signings(made.artifact(root), made.read)
    with pytest.raises(NotTrusted, match="does not list"):
        signing.prove(KEYS)


def test_a_signature_of_another_index_proves_nothing() -> None:
    _, graph, _ = image()
    _, arm, _ = image("arm")
    made, root, _ = carried(index_of(graph, arm), index_of(arm), index=index_of(graph, arm))
    [signing] = signings(made.artifact(root), made.read)
    with pytest.raises(NotTrusted, match=r"its index's signature .* signs sha256:"):
        signing.prove(KEYS)


def without(field: str, value: object) -> Callable[[dict[str, Any]], None]:
    def change(body: dict[str, Any]) -> None:
        body["layers"] = [row for row in body["layers"] if row[field] != value]

    return change


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (without("mediaType", "application/vnd.dray.evidence.index.v1+json"), "has 0 layers"),
        (lambda body: body["layers"].append(body["layers"][0]), "has 2 layers"),
        (lambda body: body["layers"][0].update(size=1), "is not carried"),
        (lambda body: body["layers"][0].update(digest="sha256:" + "0" * 64), "is not carried"),
        (lambda body: body.update(layers=3), "must be a list"),
    ],
)
def test_evidence_that_is_not_whole_proves_nothing(
    change: Callable[[dict[str, Any]], None], says: str
) -> None:
    _, graph, _ = image()
    index = index_of(graph)
    made, root, found = carried(index, index)
    last = made.contents.pop()
    body = json.loads(found[-1].text or "")
    change(body)
    made.add("manifest", OCI, json.dumps(body).encode(), subject=last.subject)
    [signing] = signings(made.artifact(root), made.read)
    with pytest.raises(NotTrusted, match=says):
        signing.prove(KEYS)


def test_what_is_no_signature_makes_no_evidence() -> None:
    _, graph, root = image()
    sbom = signatures.referrer(index_of(graph), "application/spdx+json", b"{}")
    about = Descriptor(OCI, sbom.digest, sbom.manifest.size)
    child = Descriptor(OCI, root, graph.manifest.size)
    assert gather(b"{}", child, [(about, whole(sbom)), (about, b"no json")]) == []
