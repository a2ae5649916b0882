"""The clients of others pull from ``dray serve``: skopeo, crane, oras and helm judge it."""

from __future__ import annotations

import hashlib
import json
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from bundle.artifact import Artifact, Content
from bundle.digest import Digest
from bundler.lock import LockedArtifact, LockedContent, Origin
from fixtures import charts
from tests import factory
from tests.importer.serve.conftest import big, kinds, serve
from tests.servers import programs

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.factory import Bundle
    from tests.importer.serve.conftest import Served

    Serve = Callable[..., Served]

__all__ = ["kinds", "serve"]
pytestmark = pytest.mark.server


def run(program: str, *arguments: object, ok: bool = True) -> str:
    done = subprocess.run(
        [str(programs.require(program)), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode == 0) is ok, done.stdout + done.stderr
    return done.stdout


def chart(kept: factory.Contents) -> tuple[Any, ...]:
    """Return a chart as the OCI artifact that ``helm push`` makes."""
    graph = charts.chart("gpu-operator", "v26.7.0").as_oci()
    held = {one.digest: one for one in (*graph.blobs, graph.manifest)}
    for one in held.values():
        kept.add(one.read())
    roles = ("config", "layer", "manifest")
    contents = tuple(
        Content(role, one.media_type, Digest(one.digest), one.size)
        for role, one in zip(roles, held.values(), strict=True)
    )
    contents = (*contents[:2], replace(contents[2], tags=("v26.7.0",)))
    repository = "nvcr.io/nvidia/gpu-operator"
    name = f"oci://{repository}:v26.7.0"
    made = Artifact("chart", name, repository, "v26.7.0", contents[2].digest, contents)
    origin = Origin("registry", {"host": "nvcr.io", "repository": "nvidia/gpu-operator"})
    return (LockedArtifact(made, origin, tuple(map(LockedContent, contents))),)


@pytest.mark.parametrize("name", ["plain", "zstd", "spread"])
def test_skopeo_copies_an_image(
    name: str, kinds: dict[str, Bundle], serve: Serve, tmp_path: Path
) -> None:
    served = serve(kinds[name])
    source = f"docker://{served.host}/nvidia/cuda:12.6"
    told = json.loads(run("skopeo", "inspect", "--tls-verify=false", "--no-tags", source))
    (image,) = served.bundle.manifest.artifacts
    assert told["Digest"] == image.root
    # Left to itself, skopeo compresses the layers on the way.
    options = ("--preserve-digests", "--src-tls-verify=false")
    run("skopeo", "copy", *options, source, f"oci:{tmp_path}/copy:1")
    for content in image.contents:
        data = (tmp_path / "copy" / "blobs" / "sha256" / content.digest.hex).read_bytes()
        assert hashlib.sha256(data).hexdigest() == content.digest.hex


def test_skopeo_never_finishes_what_was_damaged(serve: Serve, tmp_path: Path) -> None:
    bundle = factory.build(tmp_path / "bundle", big, chunk_size=1 << 20)
    path = bundle.chunk(2)
    data = bytearray(path.read_bytes())
    data[500_000] ^= 1
    path.write_bytes(data)
    served = serve(bundle)
    source = f"docker://{served.host}/nvidia/cuda:12.6"
    run("skopeo", "copy", "--src-tls-verify=false", source, f"oci:{tmp_path}/copy:1", ok=False)
    assert str(path) in served.fault()


def test_crane_lists_and_pulls(kinds: dict[str, Bundle], serve: Serve, tmp_path: Path) -> None:
    served = serve(kinds["sample"])
    names = run("crane", "catalog", "--insecure", served.host).split()
    assert names == ["models/nvidia/riva", "nvidia/cuda", "nvidia/pytorch"]
    assert run("crane", "ls", "--insecure", f"{served.host}/nvidia/cuda").split() == ["12.6"]
    image = f"{served.host}/nvcr.io/nvidia/cuda:12.6"
    assert run("crane", "digest", "--insecure", image).strip() == next(
        a.root for a in served.bundle.manifest.artifacts if a.name.endswith("cuda:12.6")
    )
    run("crane", "pull", "--insecure", "--format=oci", image, tmp_path / "pulled")
    assert len(list((tmp_path / "pulled" / "blobs" / "sha256").iterdir())) == 4


def test_oras_pulls_a_models_files(kinds: dict[str, Bundle], serve: Serve, tmp_path: Path) -> None:
    served = serve(kinds["sample"])
    reference = f"{served.host}/models/nvidia/riva:1.0"
    run("oras", "pull", "--plain-http", "-o", tmp_path / "files", reference)
    model = next(a for a in served.bundle.manifest.artifacts if a.kind == "model")
    for content in model.files:
        data = (tmp_path / "files" / content.path).read_bytes()
        assert hashlib.sha256(data).hexdigest() == content.digest.hex
    told = json.loads(run("oras", "discover", "--plain-http", "--format", "json", reference))
    assert told.get("referrers", told.get("manifests", [])) in ([], None)


@pytest.mark.parametrize("where", ["charts", "nvcr.io"])
def test_helm_pulls_a_chart(where: str, serve: Serve, tmp_path: Path) -> None:
    served = serve(factory.build(tmp_path / "bundle", chart))
    source = f"oci://{served.host}/{where}/nvidia/gpu-operator"
    run("helm", "pull", source, "--plain-http", "--version", "v26.7.0", "-d", tmp_path)
    (layer,) = (
        content
        for content in served.bundle.manifest.artifacts[0].contents
        if content.role == "layer"
    )
    pulled = (tmp_path / "gpu-operator-v26.7.0.tgz").read_bytes()
    assert Digest.of(pulled) == layer.digest
    run("helm", "template", source, "--plain-http", "--version", "v26.7.0")
