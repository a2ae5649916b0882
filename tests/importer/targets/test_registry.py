"""What only registries do: mounts, tags, indexes, referrers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import requests

from bundle.digest import Digest
from bundle.errors import TargetError
from bundle.http import Http
from importer.targets import referrers
from importer.targets.naming import Naming
from importer.targets.registry import RegistryTarget, _Counted
from tests.importer.targets.samples import INDEX, MANIFEST, Shelf, fill, ignore, noise

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.servers.registry import Registry


@pytest.fixture
def prefix(registry: Registry) -> str:
    return registry.repository("ngc")


@pytest.fixture
def run(registry: Registry, prefix: str) -> Iterator[Callable[[], RegistryTarget]]:
    """Makes the target as each run of dray would."""
    made: list[RegistryTarget] = []

    def make() -> RegistryTarget:
        http = Http(error=TargetError, retries=0)
        made.append(RegistryTarget(registry.host, http, naming=Naming(prefix)))
        return made[-1]

    yield make
    for target in made:
        target.close()


@pytest.fixture
def get(registry: Registry, prefix: str) -> Callable[[str], Any]:
    """Returns a manifest by ``repository:reference``, or ``None``."""

    def manifest(name: str) -> Any:
        repository, _, reference = name.partition(":")
        url = f"{registry.url}/v2/{prefix}/{repository}/manifests/{reference}"
        accept = {"Accept": f"{INDEX}, {MANIFEST}"}
        with requests.get(url, headers=accept, timeout=30) as answer:
            return answer.json() if answer.status_code == 200 else None

    return manifest


def test_a_blob_is_sent_to_one_repository_and_mounted_into_others(
    run: Callable[[], RegistryTarget],
) -> None:
    shelf = Shelf()
    images = [shelf.image(f"a/{name}", "1", {"l": noise(1 << 20)}) for name in ("one", "two")]
    target, counted = run(), list[int]()
    layer = images[0].contents[0]
    blob = shelf.blob(layer.digest)
    assert target.put(images[0], layer, blob, counted.append) == "uploaded"
    blob.read_bytes = 0
    assert target.put(images[1], layer, blob, counted.append) == "mounted"
    assert blob.read_bytes == 0
    assert sum(counted) == 2 * layer.size
    assert target.has(images[1], layer)


def test_a_blob_that_the_target_has_elsewhere_is_mounted_by_a_later_run(
    run: Callable[[], RegistryTarget],
) -> None:
    shelf = Shelf()
    images = [shelf.image(f"a/{name}", "1", {"l": b"shared"}) for name in ("one", "two")]
    fill(run(), images[0], shelf)
    later = run()
    layer = images[0].contents[0]
    assert later.has(images[0], layer)
    assert not later.has(images[1], layer)
    assert later.put(images[1], layer, shelf.bad(layer.digest), ignore) == "mounted"


def test_an_attempt_that_failed_is_taken_back_from_the_progress() -> None:
    shelf, seen = Shelf(), list[int]()
    content = shelf.add(noise(3 << 20), role="layer", media_type="x/y")
    counted = _Counted(shelf.blob(content.digest), seen.append)
    attempt = counted.blocks()
    for _ in range(2):
        next(attempt)
    assert b"".join(counted.blocks()) == shelf.data[content.digest]
    assert sum(seen) == content.size


def test_publishing_again_sends_nothing(
    run: Callable[[], RegistryTarget], registry: Registry
) -> None:
    shelf = Shelf()
    image = shelf.image("a/b", "1", {"l": b"1"})
    for _ in range(2):
        target = run()
        fill(target, image, shelf)
        before = len(registry.requests())
        changed = target.publish(image, shelf.blob)
    assert not changed
    methods = {method for method, _path, _status in registry.requests()[before:]}
    assert methods == {"HEAD"}


def test_an_index_is_pushed_after_what_it_names(
    run: Callable[[], RegistryTarget], get: Callable[[str], Any]
) -> None:
    shelf = Shelf()
    images = {
        f"linux/{arch}": shelf.image("a/b", "", {"l": arch.encode()}) for arch in ("amd64", "arm64")
    }
    index = shelf.index("a/b", "1", images)
    target = run()
    fill(target, index, shelf)
    assert target.publish(index, shelf.blob)
    assert get("a/b:1") == json.loads(shelf.data[index.root])
    for image in images.values():
        assert get(f"a/b:{image.root}") == json.loads(shelf.data[image.root])


def test_nothing_gets_its_tag_when_a_manifest_is_refused(
    run: Callable[[], RegistryTarget], get: Callable[[str], Any]
) -> None:
    shelf = Shelf()
    image = shelf.image("a/b", "1", {"l": b"1"})
    with pytest.raises(TargetError):
        run().publish(image, shelf.blob)  # no blob was put
    assert get("a/b:1") is None


def test_a_moved_tag_is_reported_with_both_digests(
    run: Callable[[], RegistryTarget], registry: Registry, prefix: str
) -> None:
    shelf = Shelf()
    old, new = (shelf.image("a/b", "1", {"l": data}) for data in (b"old", b"new"))
    for image in (old, new):
        target = run()
        fill(target, image, shelf)
        target.publish(image, shelf.blob)
    (replaced,) = target.replaced
    assert replaced.place == f"{registry.host}/{prefix}/a/b:1" == target.place(new)
    assert (replaced.before, replaced.after) == (old.root, new.root)


def test_a_tag_that_somebody_else_pushes_to_at_the_same_time_is_not_called_done(
    run: Callable[[], RegistryTarget], monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = Shelf()
    ours, theirs = (shelf.image("a/b", "1", {"l": data}) for data in (b"ours", b"theirs"))
    fill(run(), theirs, shelf)
    target = run()
    fill(target, ours, shelf)
    push = target._registry.put_manifest

    def raced(repository: str, reference: str, data: bytes, media_type: str) -> None:
        push(repository, reference, data, media_type)
        if reference == "1":
            push(repository, reference, shelf.data[theirs.root], media_type)

    monkeypatch.setattr(target._registry, "put_manifest", raced)
    message = f"was pushed as {ours.root}, and the registry answers {theirs.root}"
    with pytest.raises(TargetError, match=message) as error:
        target.publish(ours, shelf.blob)
    assert "something else" in error.value.hint


def test_an_image_without_a_tag_is_found_by_digest(
    run: Callable[[], RegistryTarget], get: Callable[[str], Any]
) -> None:
    shelf = Shelf()
    image = shelf.image("a/b", "", {"l": b"1"})
    target = run()
    fill(target, image, shelf)
    assert target.publish(image, shelf.blob)
    assert target.claims(image) == ()
    assert target.place(image).endswith(f"/a/b@{image.root}")
    assert get(f"a/b:{image.root}")


def test_a_signature_is_listed_under_the_fallback_tag(
    run: Callable[[], RegistryTarget], get: Callable[[str], Any]
) -> None:
    shelf = Shelf()
    image = shelf.signed(shelf.image("a/b", "1", {"l": b"1"}), b"signature")
    signature = next(content for content in image.contents if content.subject)
    for expected in (True, False):
        target = run()
        fill(target, image, shelf)
        assert target.publish(image, shelf.blob) is expected
    listed = get(f"a/b:sha256-{image.root.hex}")
    assert listed["mediaType"] == INDEX
    assert listed["manifests"] == [
        {
            "mediaType": MANIFEST,
            "digest": signature.digest,
            "size": signature.size,
            "artifactType": "application/test.sig",
            "annotations": {"by": "test"},
        }
    ]


def test_the_referrers_that_were_there_stay(
    run: Callable[[], RegistryTarget], get: Callable[[str], Any]
) -> None:
    shelf = Shelf()
    plain = shelf.image("a/b", "1", {"l": b"1"})
    for text in (b"by one", b"by another"):
        image = shelf.signed(plain, text)
        target = run()
        fill(target, image, shelf)
        target.publish(image, shelf.blob)
    assert len(get(f"a/b:sha256-{plain.root.hex}")["manifests"]) == 2


def test_entries_that_dray_does_not_understand_stay_as_they_are() -> None:
    shelf = Shelf()
    image = shelf.signed(shelf.image("a/b", "1", {"l": b"1"}), b"signature")
    signature = next(content for content in image.contents if content.subject)
    strange = {"digest": "sha512:0", "mediaType": "x/y", "data": "e30=", "urls": ["u"]}
    before = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [strange], "extra": True}
    data = shelf.data[signature.digest]
    after = json.loads(referrers.merge(json.dumps(before).encode(), signature, data))
    assert after["manifests"][0] == strange
    assert after["extra"] is True
    assert after["manifests"][1]["digest"] == signature.digest
    again = referrers.merge(json.dumps(after).encode(), signature, data)
    assert json.loads(again) == after


def test_a_type_of_config_stands_for_a_missing_type_of_artifact() -> None:
    shelf = Shelf()
    config = {"mediaType": "application/vnd.x.config.v1+json"}
    content = shelf.add(
        json.dumps({"config": config}).encode(),
        role="manifest",
        media_type=MANIFEST,
        subject=Digest.of(b""),
    )
    merged = json.loads(referrers.merge(None, content, shelf.data[content.digest]))
    assert merged["manifests"][0]["artifactType"] == "application/vnd.x.config.v1+json"


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"manifests":[1]}', b"\xff", b"[" * 99])
def test_a_fallback_tag_that_holds_no_index_is_refused(data: bytes) -> None:
    shelf = Shelf()
    content = shelf.add(b"{}", role="manifest", media_type=MANIFEST, subject=Digest.of(b""))
    with pytest.raises(TargetError, match="referrers tag holds"):
        referrers.merge(data, content, b"{}")


def test_a_wrong_password_is_told_by_checking(registry_basic: Registry) -> None:
    http = Http(error=TargetError, retries=0)
    target = RegistryTarget(registry_basic.host, http, naming=Naming("x"))
    shelf = Shelf()
    image = shelf.image("a/b", "1", {"l": b"1"})
    with pytest.raises(TargetError, match=registry_basic.host):
        target.has(image, image.contents[0])
    target.close()
