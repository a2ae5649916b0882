"""What is carried of every kind of content, and whether it arrived byte for byte."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import requests

from bundle.digest import Digest
from fixtures.ngc import CITRINET
from fixtures.ngc.nims import MODEL, NIM
from tests.e2e import way

if TYPE_CHECKING:
    from pathlib import Path

    from fixtures.content import Blob, Graph
    from fixtures.ngc import EmulatedNgc
    from tests.servers.s3 import ObjectStore

COMMIT = "c0ffee" * 6 + "c0ff"
HF = "nvidia/Tiny-Model"
HF_FILES = {"config.json": b'{"model_type": "tiny"}', "model.safetensors": bytes(range(256)) * 900}
CUDA = "nvidia/cuda:12.6.0-base-ubuntu22.04"
PRIVATE = "abc123xyz/vision/detector:1.0"
OCI_CHART = "nvidia/cloud-native-charts/gpu-operator:v26.7.0"
DISCOVERED = (
    "nvidia/gpu-operator:v25.3.0",
    "nvidia/driver:570.124.06-ubuntu22.04",
    "nvidia/cloud-native/k8s-driver-manager:v0.8.0",
    "nvidia/k8s-device-plugin:v0.17.1",
)
MODELS = (f"{CITRINET}:deployable_v2.0.0", f"{CITRINET}:deployable_v1.0")
RESOURCE = "nvidia/riva_quickstart:2.18.0"


def graphs(ngc: EmulatedNgc) -> dict[str, Graph]:
    """Return every image and OCI chart that is carried, by repository and tag."""
    names = (CUDA, PRIVATE, OCI_CHART, f"{NIM}:1.8.0", *DISCOVERED)
    found = {}
    for name in names:
        repository, _, tag = name.partition(":")
        held = ngc.catalogue.repositories[repository]
        found[name] = held.graphs[held.tags[tag]]
    return found


def wanted_files(ngc: EmulatedNgc) -> dict[str, str]:
    """Return the SHA-256 of every file that is carried, by the end of its path."""
    found = {f"{HF.lower()}/{COMMIT}/{path}": Digest.of(it).hex for path, it in HF_FILES.items()}
    found["tools/installer.run"] = hashlib.sha256(b"".join(way.INSTALLER.blocks())).hexdigest()
    versions = [("models", name) for name in MODELS] + [("resources", RESOURCE)]
    for kind, name in versions:
        address, _, version = name.partition(":")
        files = ngc.catalogue.filesets[kind, address].versions[version].files
        found |= {f"{address}/{version}/{path}": item.digest.hex for path, item in files.items()}
    weights = ngc.catalogue.filesets["models", MODEL].versions["hf"].files
    for path in ("config.json", "model.safetensors"):  # the others no profile asks for
        found[f"{MODEL}/hf/{path}"] = weights[path].digest.hex
    return found


def check_files(ngc: EmulatedNgc, found: dict[str, str]) -> None:
    """Compare the SHA-256 of files by path with the upstreams'."""
    for end, digest in wanted_files(ngc).items():
        there = [path for path in found if path.lower().endswith(f"/{end.lower()}")]
        assert [found[path] for path in there] == [digest], f"{end} among {sorted(found)}"


def check_registry(ngc: EmulatedNgc, url: str) -> None:
    """Compare every manifest and every blob in a registry with the upstream's bytes."""
    with requests.Session() as session:
        for name, graph in graphs(ngc).items():
            repository = f"charts/{name}" if name == OCI_CHART else name
            repository = repository.partition(":")[0]
            for node in graph.walk():
                items: list[tuple[str, Blob]] = [("manifests", node.manifest)]
                items += [("blobs", item) for item in node.blobs]
                for what, item in items:
                    accept = {"Accept": item.media_type if what == "manifests" else "*/*"}
                    where = f"{url}/{repository}/{what}/{item.digest}"
                    answer = session.get(where, headers=accept, timeout=30)
                    assert answer.content == item.read(), f"{name}: {where}"
        [chart] = [
            chart
            for chart in ngc.catalogue.chart_repositories["nvidia"].charts
            if (chart.name, chart.version) == ("gpu-operator", "v25.3.0")
        ]
        where = f"{url}/charts/nvidia/gpu-operator/blobs/{chart.archive.digest}"
        assert session.get(where, timeout=30).content == chart.archive.read()


def check_layout(ngc: EmulatedNgc, layout: Path) -> None:
    """Compare every blob of every image in an OCI layout with the upstream's bytes."""
    for name, graph in graphs(ngc).items():
        for item in (item for node in graph.walk() for item in (node.manifest, *node.blobs)):
            assert (layout / "blobs/sha256" / item.digest.hex).read_bytes() == item.read(), name


def objects(store: ObjectStore, bucket: str) -> dict[str, str]:
    client, found = store.client(), {}
    try:
        for entry in client.list_objects_v2(Bucket=bucket).get("Contents", ()):
            body = client.get_object(Bucket=bucket, Key=entry["Key"])["Body"]
            found["/" + entry["Key"]] = hashlib.sha256(body.read()).hexdigest()
            body.close()
    finally:
        client.close()
    return found
