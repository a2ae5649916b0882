"""What a hostile registry answers on the low side: nothing of it gets into a lock or a bundle."""

from __future__ import annotations

import itertools
import json
import shutil
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from bundle import http, transfer
from bundle.digest import Digest
from bundler import packing, signing
from tests.bundle import faulty
from tests.bundle.faulty import Asked, Faulty, Reply
from tests.refusals.table import dray

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
SCHEMA_1 = "application/vnd.docker.distribution.manifest.v1+prettyjws"
OTHER = "sha256:" + "0" * 64
TAG = "1.0"


@dataclass
class Upstream:
    """A registry that serves what it is given: ``manifests`` by tag or digest, ``blobs``.

    A manifest's ``said`` headers and type are what the registry says, whatever the bytes are.
    """

    manifests: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    said: dict[str, str] = field(default_factory=dict)
    referrers: Callable[[], list[dict[str, Any]]] = list

    def blob(self, data: bytes, kind: str, **more: Any) -> dict[str, Any]:
        digest = str(Digest.of(data))
        self.blobs[digest] = data
        return {"mediaType": kind, "digest": digest, "size": len(data), **more}

    def manifest(self, body: dict[str, Any], *names: str, kind: str = MANIFEST) -> dict[str, Any]:
        data = json.dumps({"schemaVersion": 2, "mediaType": kind, **body}).encode()
        return self.raw(data, *names, kind=kind)

    def raw(self, data: bytes, *names: str, kind: str = MANIFEST) -> dict[str, Any]:
        digest = str(Digest.of(data))
        for name in (digest, *names):
            self.manifests[name] = (kind, data)
        return {"mediaType": kind, "digest": digest, "size": len(data)}

    def image(self, *names: str, architecture: str = "amd64", **changes: Any) -> dict[str, Any]:
        config = json.dumps({"architecture": architecture, "os": "linux"}).encode()
        body: dict[str, Any] = {"config": self.blob(config, CONFIG)}
        body["layers"] = [self.blob(b"layer of " + architecture.encode() * 100, LAYER)]
        return self.manifest({**body, **changes}, *names)

    def index(self, *children: dict[str, Any], **changes: Any) -> dict[str, Any]:
        return self.manifest({"manifests": list(children), **changes}, TAG, kind=INDEX)

    def answer(self, asked: Asked) -> Reply:
        _, _, rest = asked.path.partition("/v2/")
        kind, _, name = rest.removeprefix("team/app/").partition("/")
        if kind == "referrers":
            body = {"schemaVersion": 2, "mediaType": INDEX, "manifests": self.referrers()}
            return Reply(200, json.dumps(body).encode(), {"Content-Type": INDEX})
        if kind == "manifests" and name in self.manifests:
            media_type, data = self.manifests[name]
            return Reply(200, data, {"Content-Type": media_type, **self.said})
        if kind == "blobs" and name in self.blobs:
            return faulty.ranged(asked, self.blobs[name])
        return Reply(404, b"{}") if kind else Reply(200, b"{}")


def platform(entry: dict[str, Any], architecture: str = "amd64") -> dict[str, Any]:
    return {**entry, "platform": {"os": "linux", "architecture": architecture}}


def good(upstream: Upstream) -> None:
    upstream.index(platform(upstream.image()))


@dataclass(frozen=True)
class Lie:
    """``tell`` fills the upstream; ``says`` is a part of what ``dray lock`` answers."""

    name: str
    tell: Callable[[Upstream], object]
    says: str
    hint: str = ""
    code: int = 6


def single(**changes: Any) -> Callable[[Upstream], object]:
    """Serve one image whose manifest has these fields."""
    return lambda upstream: upstream.image(TAG, **changes)


def layer(**changes: Any) -> Callable[[Upstream], object]:
    """Serve one image whose layer's descriptor has these fields."""

    def tell(upstream: Upstream) -> None:
        entry = upstream.blob(b"a layer", LAYER)
        upstream.image(TAG, layers=[{**entry, **changes}])

    return tell


def child(**changes: Any) -> Callable[[Upstream], object]:
    """Serve an index whose one entry has these fields."""
    return lambda upstream: upstream.index({**platform(upstream.image()), **changes})


def raw(data: bytes, kind: str = MANIFEST) -> Callable[[Upstream], object]:
    return lambda upstream: upstream.raw(data, TAG, kind=kind)


def other_bytes(upstream: Upstream) -> None:
    entry = upstream.image()
    upstream.index(platform(entry))
    upstream.manifests[entry["digest"]] = (MANIFEST, b'{"layers":[],"config":{}}')


def other_digest_said(upstream: Upstream) -> None:
    good(upstream)
    upstream.said["Docker-Content-Digest"] = OTHER


def nested(depth: int) -> Callable[[Upstream], object]:
    def tell(upstream: Upstream) -> None:
        entry = platform(upstream.image())
        for _ in range(depth):
            entry = platform(upstream.manifest({"manifests": [entry]}, TAG, kind=INDEX))

    return tell


def circle(upstream: Upstream) -> None:
    """An index that says that it is its own child: no digest can be that of its own bytes."""
    entry = {"mediaType": INDEX, "digest": OTHER, "size": 10}
    made = upstream.index(platform(entry))
    upstream.manifests[OTHER] = upstream.manifests[made["digest"]]


def referring_circle(upstream: Upstream) -> None:
    """Everything that there is refers to itself by way of another."""
    good(upstream)
    entry = upstream.image("more", config=upstream.blob(b"{}", CONFIG))
    upstream.referrers = lambda: [entry]


def referrers_without_end(upstream: Upstream) -> None:
    """Everything that there is has one more referrer, for ever."""
    good(upstream)
    numbers = itertools.count()
    upstream.referrers = lambda: [upstream.image(annotations={"n": str(next(numbers))})]


def wide(upstream: Upstream) -> None:
    upstream.index(*[platform(upstream.image())] * 1001)


def many_bytes(upstream: Upstream) -> None:
    upstream.image(TAG, annotations={"x": "y" * (5 << 20)})


def two_sizes(upstream: Upstream) -> None:
    entry = upstream.blob(b"a layer", LAYER)
    upstream.image(TAG, layers=[entry, {**entry, "size": 8}])


def config_size(upstream: Upstream) -> None:
    config = upstream.blob(b'{"architecture": "amd64", "os": "linux"}', CONFIG)
    upstream.image(TAG, config={**config, "size": config["size"] - 1})


def config_bytes(upstream: Upstream) -> None:
    config = upstream.blob(b'{"architecture": "amd64", "os": "linux"}', CONFIG)
    upstream.image(TAG, config=config)
    upstream.blobs[config["digest"]] = b'{"architecture": "arm64", "os": "linux"}'


def doubled(upstream: Upstream) -> None:
    data = json.dumps({"schemaVersion": 2, "config": {}, "layers": []}).encode()
    upstream.raw(data.replace(b"{", b'{"layers": [1],', 1), TAG)


def deep(upstream: Upstream) -> None:
    upstream.raw(b'{"layers": ' + b"[" * 200_000 + b"]" * 200_000 + b"}", TAG)


def unclosed(upstream: Upstream) -> None:
    upstream.raw(b'{"layers": "' + b'\\"' * 50_000, TAG)


DESCRIPTORS = (
    Lie("a digest goes up", layer(digest="sha256:../../../../etc/passwd"), "must be sha256:"),
    Lie("a digest has capitals", layer(digest="sha256:" + "A" * 64), "must be sha256:"),
    Lie("a digest is of another kind", layer(digest="sha512:" + "0" * 128), "must be sha256:"),
    Lie("a digest is a number", layer(digest=7), "must be sha256:"),
    Lie("a digest has a line end", layer(digest=OTHER + "\n"), "must be sha256:"),
    Lie("a size is negative", layer(size=-1), "is -1, not from 0"),
    Lie("a size is text", layer(size="7"), "must be a whole number"),
    Lie("a size is true", layer(size=True), "must be a whole number"),
    Lie("a size has a fraction", layer(size=7.5), "not an integer"),
    Lie("a size is beyond all numbers", layer(size=10**30), "out of range"),
    Lie("a media type has a line end", layer(mediaType="a/b\r\nX: y"), "mediaType is not allowed"),
    Lie("a layer is no descriptor", single(layers=["x"]), "must be a mapping"),
    Lie("the layers are a mapping", single(layers={}), "must be a list"),
    Lie("there is no config", single(config=None), "must be a mapping"),
    Lie("a subject is none", single(subject={"digest": "x"}), "subject"),
    Lie("a layer has two sizes", two_sizes, "is given two sizes"),
    Lie("a child has another size", child(size=1), "its index says 1"),
    Lie("a child has another type", child(mediaType=INDEX), "the registry says"),
    Lie("a child is not there", child(digest=OTHER), f"has no manifest {OTHER}"),
    Lie("a child goes up", child(digest="../../../x"), "must be sha256:"),
    Lie("a platform is no text", child(platform={"os": 7}), "must be text"),
    Lie("a config is longer than said", config_size, "longer than the 39 bytes"),
    Lie("a config is another", config_bytes, "config of"),
)
DOCUMENTS = (
    Lie("it has other bytes than its digest", other_bytes, "has other bytes"),
    Lie("it says another digest", other_digest_said, "than the registry says"),
    Lie("it has five megabytes", many_bytes, "4194304"),
    Lie("it has a key twice", doubled, "duplicate key 'layers'"),
    Lie("it is nested", deep, "nested deeper than 40"),
    Lie("a string is never closed", unclosed, "is no valid JSON"),
    Lie("it is a web page", raw(b"<html>no", "text/html"), "is no valid JSON"),
    Lie("it is a list", raw(b"[]"), "is no JSON object"),
    Lie("it is empty", raw(b""), "is no valid JSON"),
    Lie("it has NaN", raw(b'{"layers": [], "x": NaN}'), "not an integer: NaN"),
    Lie(
        "it calls itself an index",
        raw(json.dumps({"mediaType": INDEX, "manifests": []}).encode()),
        f"by its header and {INDEX} by its content",
    ),
    Lie(
        "it is of schema 1",
        raw(b'{"schemaVersion": 1, "fsLayers": []}', SCHEMA_1),
        "is a Docker schema 1 image, which has no digest to pin",
        "its publisher has to push it again",
    ),
    Lie("it is of no kind", raw(b'{"schemaVersion": 2}', "text/plain"), "is no manifest and no"),
)
GRAPHS = (
    Lie("an index holds itself", circle, "has other bytes"),
    Lie("indexes are nested deeply", nested(9), "nests deeper than 6"),
    Lie("referrers never end", referrers_without_end, "nests deeper than 6"),
    Lie("an index has a thousand children and one", wide, "has more than 1000 entries"),
    Lie("an index is empty", lambda upstream: upstream.index(), "is an index of nothing"),
    Lie(
        "an index has other platforms only",
        lambda up: up.index(platform(up.image(architecture="arm64"), "arm64")),
        "has no linux/amd64; it has linux/arm64",
        "choose one of those in `platforms`",
    ),
    Lie(
        "an image is of another platform",
        lambda up: up.image(TAG, architecture="arm64"),
        "is linux/arm64 only, not linux/amd64",
    ),
)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Faulty]:
    for module in (http, transfer):
        monkeypatch.setattr(module, "backoff", lambda *_: 0.0)
    with faulty.serve() as running:
        yield running


def desk(folder: Path, server: Faulty) -> Path:
    spec = folder / "dray.yaml"
    entry = f"{server.host}/team/app:{TAG}"
    spec.write_text(f"apiVersion: dray/v1\nstream: prod\nimages:\n  - {entry}\n")
    return spec


@pytest.mark.parametrize("lie", [*DESCRIPTORS, *DOCUMENTS, *GRAPHS], ids=lambda lie: lie.name)
def test_a_registry_that_lies_gets_into_no_lock(lie: Lie, server: Faulty, tmp_path: Path) -> None:
    spec, upstream = desk(tmp_path, server), Upstream()
    lie.tell(upstream)
    server.script = upstream.answer
    started = time.monotonic()
    answer = dray("lock", spec, folder=tmp_path)
    assert answer.code == lie.code, answer
    assert lie.says in answer.err
    assert lie.hint in answer.err
    assert "Traceback" not in answer.text
    assert [path.name for path in tmp_path.iterdir()] == ["dray.yaml"]
    assert time.monotonic() - started < 20, "a lie costs too much time"


def only(data: bytes) -> Callable[[Upstream], object]:
    """Serve these bytes for every layer."""

    def tell(upstream: Upstream) -> None:
        for digest, was in upstream.blobs.items():
            if was.startswith(b"layer of"):
                upstream.blobs[digest] = data

    return tell


def gone(upstream: Upstream) -> None:
    upstream.blobs.clear()


def manifests_changed(upstream: Upstream) -> None:
    for name, (kind, data) in upstream.manifests.items():
        upstream.manifests[name] = (kind, data + b" ")


def manifests_gone(upstream: Upstream) -> None:
    upstream.manifests.clear()


LATER = (
    Lie(
        "a layer has other bytes",
        only(b"other!!!!" + b"amd64" * 100),
        "upstream sent other bytes than",
    ),
    Lie("a layer is shorter", only(b"layer of amd6"), ""),
    Lie("a layer is longer", only(b"layer of " + b"amd64" * 1000), ""),
    Lie("a layer is empty", only(b""), ""),
    Lie("the blobs are gone", gone, "has no blob"),
    Lie("the manifests have other bytes", manifests_changed, "has other bytes", code=3),
    Lie("the manifests are gone", manifests_gone, "has no manifest"),
)


@pytest.mark.parametrize("lie", LATER, ids=lambda lie: lie.name)
def test_a_registry_that_lies_later_gets_into_no_bundle(
    lie: Lie, server: Faulty, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "MIN_CHUNK", 1)
    spec, upstream = desk(tmp_path, server), Upstream()
    good(upstream)
    server.script = upstream.answer
    assert dray("lock", spec, folder=tmp_path).code == 0
    signing.generate(tmp_path, "dray", passphrase=None)
    lie.tell(upstream)
    answer = dray("export", spec, "--to", tmp_path / "out", folder=tmp_path)
    assert answer.code in {lie.code, 6}, answer
    assert lie.says in answer.err
    assert "prod-000001 is not sealed" in answer.err
    assert not list((tmp_path / "out").rglob("*.manifest.json*"))
    shutil.rmtree(tmp_path / "out")


@pytest.mark.parametrize("tell", [good, referring_circle])
def test_a_registry_that_does_not_lie_is_exported(
    tell: Callable[[Upstream], object],
    server: Faulty,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(packing, "MIN_CHUNK", 1)
    spec, upstream = desk(tmp_path, server), Upstream()
    tell(upstream)
    server.script = upstream.answer
    signing.generate(tmp_path, "dray", passphrase=None)
    answer = dray("export", spec, "--to", tmp_path / "out", folder=tmp_path)
    assert answer.code == 0, answer
    assert list((tmp_path / "out").rglob("*.manifest.json"))
