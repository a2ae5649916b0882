"""What goes along with an image: children, attestations, signatures; and which index is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest

from bundle.digest import Descriptor, Digest
from bundle.errors import NotFound, SourceError
from bundle.upstream.cosign import SIMPLE_SIGNING
from bundler.sources.images import Reference, RegistrySource
from tests.bundler.sources.fakeregistry import INDEX, MANIFEST, FakeRegistry, spelt

if TYPE_CHECKING:
    from bundle.registry import Registry
    from bundler.lock import LockedArtifact

AMD = ("linux/amd64",)


@pytest.fixture
def fake() -> FakeRegistry:
    return FakeRegistry()


def source(fake: FakeRegistry) -> RegistrySource:
    return RegistrySource(lambda _host: cast("Registry", fake))


def resolve(
    fake: FakeRegistry, *platforms: str, reference: str = "1.0", tag: str = "1.0"
) -> LockedArtifact:
    what = Reference("up.example", "a", reference, tag, f"up.example/a:{tag}")
    return source(fake).resolve(what, platforms)


def digests(found: LockedArtifact) -> list[Digest]:
    return [content.digest for content in found.artifact.contents]


def test_an_image_is_config_layers_and_manifest_in_the_order_of_pushing(fake: FakeRegistry) -> None:
    made = fake.image("a", "1.0")
    found = resolve(fake, *AMD)
    assert [content.role for content in found.artifact.contents] == ["config", "layer", "manifest"]
    assert (found.artifact.root, found.artifact.version) == (made.digest, "1.0")
    assert found.artifact.contents[-1].tags == ("1.0",)
    assert found.origin.to_dict() == {
        "from": "registry",
        "host": "up.example",
        "repository": "a",
    }


def test_a_reference_by_digest_alone_publishes_no_tag(fake: FakeRegistry) -> None:
    made = fake.image("a")
    found = resolve(fake, reference=made.digest, tag="")
    assert found.artifact.version == made.digest
    assert found.artifact.contents[-1].tags == ()


def test_a_missing_tag_is_said(fake: FakeRegistry) -> None:
    with pytest.raises(NotFound, match=r"no manifest 1\.0"):
        resolve(fake)


def test_an_index_is_kept_when_all_of_its_platforms_are_wanted(fake: FakeRegistry) -> None:
    amd, arm = fake.image("amd"), fake.image("arm", platform="linux/arm64")
    root = fake.index("1.0", linux_amd64=amd, linux_arm64=arm)
    for platforms in ((), ("linux/amd64", "linux/arm64")):
        found = resolve(fake, *platforms)
        assert found.artifact.root == root.digest
        assert found.artifact.notes == {"index": "complete"}
        order = digests(found)
        assert order.index(amd.digest) < order.index(root.digest)
        assert [c.platform for c in found.artifact.manifests] == ["linux/amd64", "linux/arm64", ""]


def test_of_an_index_one_platform_is_carried_bare_with_what_attests_to_it(
    fake: FakeRegistry,
) -> None:
    amd, arm = fake.image("amd"), fake.image("arm", platform="linux/arm64")
    attests = fake.image("attestation", platform="unknown/unknown")
    root = fake.index("1.0", linux_amd64=amd, linux_arm64=arm, att_1=attests)
    found = resolve(fake, *AMD)
    assert found.artifact.root == amd.digest
    assert found.artifact.notes["index"].startswith(
        f"left behind: only linux/amd64 of {root.digest}"
    )
    assert attests.digest in digests(found)
    assert not {arm.digest, root.digest} & set(digests(found))
    tags = {content.digest: content.tags for content in found.artifact.manifests}
    assert tags[amd.digest] == ("1.0",)


def test_two_of_three_platforms_bring_the_whole_index(fake: FakeRegistry) -> None:
    images = {
        f"linux_{machine}": fake.image(machine, platform=f"linux/{machine}")
        for machine in ("amd64", "arm64", "s390x")
    }
    root = fake.index("1.0", **images)
    found = resolve(fake, "linux/amd64", "linux/arm64")
    assert found.artifact.root == root.digest
    assert "not only linux/amd64, linux/arm64" in found.artifact.notes["index"]
    assert {image.digest for image in images.values()} <= set(digests(found))


def test_a_platform_that_is_not_there_is_refused_with_those_that_are(fake: FakeRegistry) -> None:
    fake.index("1.0", linux_arm64=fake.image("arm", platform="linux/arm64"))
    with pytest.raises(SourceError, match="has no linux/amd64; it has linux/arm64"):
        resolve(fake, *AMD)


def test_a_platform_without_a_variant_takes_every_variant_and_no_longer_name(
    fake: FakeRegistry,
) -> None:
    arm = fake.image("arm")
    body = {**spelt(arm), "platform": {"os": "linux", "architecture": "arm", "variant": "v7"}}
    other = {**spelt(fake.image("x")), "platform": {"os": "linux", "architecture": "arm64"}}
    fake.push({"manifests": [body, other]}, INDEX, "1.0")
    assert resolve(fake, "linux/arm").artifact.root == arm.digest


def test_an_image_for_another_machine_is_refused(fake: FakeRegistry) -> None:
    fake.image("arm", "1.0", platform="linux/arm64")
    with pytest.raises(SourceError, match="is linux/arm64 only, not linux/amd64") as caught:
        resolve(fake, *AMD)
    assert "platforms: [linux/arm64]" in caught.value.hint
    assert resolve(fake).artifact.root


def test_an_artifact_that_runs_nowhere_is_for_every_platform(fake: FakeRegistry) -> None:
    config = fake.blob(b"{}", "application/vnd.cncf.helm.config.v1+json")
    root = fake.push({"config": config, "layers": []}, MANIFEST, "1.0")
    assert resolve(fake, *AMD).artifact.root == root.digest


def test_referrers_go_along_and_theirs_too(fake: FakeRegistry) -> None:
    image = fake.image("a", "1.0")
    sbom = fake.image("sbom", subject=image)
    signature = fake.image("signature of sbom", subject=sbom)
    found = resolve(fake, *AMD)
    order = digests(found)
    assert order.index(image.digest) < order.index(sbom.digest) < order.index(signature.digest)
    subjects = {content.digest: content.subject for content in found.artifact.manifests}
    assert subjects == {
        image.digest: None,
        sbom.digest: image.digest,
        signature.digest: sbom.digest,
    }


def test_referrers_of_children_go_along(fake: FakeRegistry) -> None:
    amd = fake.image("amd")
    sbom = fake.image("sbom", subject=amd)
    fake.index("1.0", linux_amd64=amd)
    assert sbom.digest in digests(resolve(fake))


@pytest.mark.parametrize("ending", ["sig", "att", "sbom"])
def test_cosigns_tags_go_along_under_their_names(fake: FakeRegistry, ending: str) -> None:
    image = fake.image("a", "1.0")
    tag = f"sha256-{image.digest.hex}.{ending}"
    signature = fake.image("cosign", tag)
    found = resolve(fake, *AMD)
    tags = {content.digest: content.tags for content in found.artifact.manifests}
    assert tags == {image.digest: ("1.0",), signature.digest: (tag,)}


def test_one_manifest_under_two_of_cosigns_tags_has_both(fake: FakeRegistry) -> None:
    image = fake.image("a", "1.0")
    tags = tuple(f"sha256-{image.digest.hex}.{ending}" for ending in ("sig", "att"))
    signature = fake.image("cosign", *tags)
    found = {content.digest: content.tags for content in resolve(fake).artifact.manifests}
    assert found[signature.digest] == tags


@pytest.mark.parametrize("way", ["cosign", "referrer"])
def test_what_refers_to_an_index_that_is_left_behind_is_noted(fake: FakeRegistry, way: str) -> None:
    amd, arm = fake.image("amd"), fake.image("arm", platform="linux/arm64")
    root = fake.index("1.0", linux_amd64=amd, linux_arm64=arm)
    if way == "cosign":
        fake.image("attestation", f"sha256-{root.digest.hex}.att")
    else:
        fake.image("sbom", subject=root)
    notes = resolve(fake, *AMD).artifact.notes
    assert notes["signature"] == f"what refers to {root.digest} is left behind with the index"


@pytest.mark.parametrize("way", ["cosign", "referrer"])
def test_a_signature_of_an_index_that_is_left_behind_goes_along_as_evidence(
    fake: FakeRegistry, way: str
) -> None:
    amd, arm = fake.image("amd"), fake.image("arm", platform="linux/arm64")
    root = fake.index("1.0", linux_amd64=amd, linux_arm64=arm)
    payload = fake.blob(b"signed", SIMPLE_SIGNING)
    body: dict[str, Any] = {"config": fake.blob(b"{}", "a/b"), "layers": [payload]}
    if way == "cosign":
        signature = fake.push(body, MANIFEST, f"sha256-{root.digest.hex}.sig")
    else:
        signature = fake.push({**body, "subject": spelt(root)}, MANIFEST)
        fake.refers[root.digest] = [signature]
    found = resolve(fake, *AMD)
    assert found.artifact.notes["signature"].startswith(f"of {root.digest}, the index")
    evidence = found.artifact.contents[-1]
    assert (evidence.role, evidence.subject) == ("manifest", amd.digest)
    texts = {item.content.digest: item.text for item in found.contents}
    for digest in (root.digest, signature.digest, evidence.digest):
        assert Digest.of((texts[digest] or "").encode()) == digest
    assert texts[payload["digest"]] is None
    assert {content.digest: content.role for content in found.artifact.contents}[
        root.digest
    ] == "layer"  # a registry would refuse it as an index


def test_what_of_an_index_is_no_json_makes_no_evidence(fake: FakeRegistry) -> None:
    amd, arm = fake.image("amd"), fake.image("arm", platform="linux/arm64")
    root = fake.index("1.0", linux_amd64=amd, linux_arm64=arm)
    odd = Descriptor(MANIFEST, Digest.of(b"\xff"), 1)
    fake.manifests[odd.digest] = fake.manifests[f"sha256-{root.digest.hex}.sig"] = (odd, b"\xff")
    assert resolve(fake, *AMD).artifact.notes["signature"].endswith("left behind with the index")


def test_a_subject_that_is_not_carried_is_left_out(fake: FakeRegistry) -> None:
    elsewhere = fake.image("elsewhere")
    fake.image("child", "child", subject=elsewhere)
    child, _data = fake.manifests["child"]
    fake.index("1.0", linux_amd64=child)
    for name in ("child", "1.0"):
        contents = resolve(fake, reference=name).artifact.contents
        assert [content.subject for content in contents] == [None] * len(contents)


def test_a_referrer_that_a_registry_lists_for_everything_ends(fake: FakeRegistry) -> None:
    image = fake.image("a", "1.0")
    loop = fake.image("loop", subject=image)
    fake.refers[loop.digest] = [loop, image]
    assert digests(resolve(fake)).count(loop.digest) == 1


def test_manifests_that_nest_without_end_are_refused(fake: FakeRegistry) -> None:
    inner = fake.image("a")
    for _ in range(8):
        inner = fake.push({"manifests": [spelt(inner)]}, INDEX, "1.0")
    with pytest.raises(SourceError, match="nests deeper than 6"):
        resolve(fake)


def test_a_child_whose_size_is_a_lie_is_refused(fake: FakeRegistry) -> None:
    child = fake.image("a")
    fake.push({"manifests": [spelt(child, size=child.size + 1)]}, INDEX, "1.0")
    with pytest.raises(SourceError, match=f"is {child.size} bytes, its index says"):
        resolve(fake)


def test_one_blob_with_two_sizes_is_refused(fake: FakeRegistry) -> None:
    layer = fake.blob(b"layer")
    body = {"config": fake.blob(b"{}", "a/b"), "layers": [layer, {**layer, "size": 6}]}
    fake.push(body, MANIFEST, "1.0")
    with pytest.raises(SourceError, match="is given two sizes"):
        resolve(fake)


def test_one_blob_as_config_and_layer_is_carried_once(fake: FakeRegistry) -> None:
    empty = fake.blob(b"{}", "application/vnd.oci.empty.v1+json")
    fake.push({"config": empty, "layers": [empty, empty]}, MANIFEST, "1.0")
    assert [content.role for content in resolve(fake).artifact.contents] == ["config", "manifest"]


def test_a_child_that_is_there_twice_is_carried_once(fake: FakeRegistry) -> None:
    child = fake.image("a")
    fake.push({"manifests": [spelt(child), spelt(child)]}, INDEX, "1.0")
    assert digests(resolve(fake)).count(child.digest) == 1


def test_blobs_and_manifests_are_opened_where_the_lock_says(fake: FakeRegistry) -> None:
    image = fake.image("a", "1.0")
    found = resolve(fake)
    for content in found.contents:
        data = {**fake.blobs, image.digest: fake.manifests["1.0"][1]}[content.content.digest]
        for offset in (0, 5):
            with source(fake).opener(found, content)(offset) as blocks:
                assert b"".join(blocks) == data[offset:]
