"""One of everything: upstreams with each kind of content, and a spec that names it all."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fixtures.content import OCI_INDEX, Generated, Graph, blob, encode
from fixtures.ngc import CITRINET
from fixtures.signatures import referrer, signature, signature_tag
from tests.servers import process, programs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fixtures.content import Blob
    from fixtures.ngc import EmulatedNgc
    from tests.e2e.upstream import Upstream
    from tests.servers.ca import Authority

CUDA = "nvidia/cuda"
BASE = "12.6.0-base-ubuntu22.04"
RUNTIME = "12.6.0-runtime-ubuntu22.04"
OLD = "11.8.0-base-ubuntu22.04"
SBOM = b'{"spdxVersion": "SPDX-2.3"}'
INSTALLER = Generated("installer", 1_200_000)


@dataclass(frozen=True)
class World:
    """The upstreams of the way, and what they hold."""

    ngc: EmulatedNgc
    upstream: Upstream
    files: str
    ca: Path
    app: Graph
    by_digest: Graph
    sbom: Graph

    def ngc_image(self, name: str, tag: str) -> Graph:
        """Return an image of the emulated NGC."""
        repository = self.ngc.catalogue.repositories[name]
        return repository.graphs[repository.tags[tag]]

    def model_files(self) -> dict[str, Blob]:
        """Return the files of the model, by path."""
        return self.ngc.catalogue.filesets["models", CITRINET].versions["deployable_v2.0.0"].files

    def spec(self) -> dict[str, Any]:
        """Return the fields of a spec that names one of everything."""
        pattern = {"name": "nvcr.io/nvidia/pytorch", "tags": ">=24.10-py3, <25.02"}
        bare = {"name": f"nvcr.io/{CUDA}:{RUNTIME}", "platforms": ["linux/amd64"]}
        helm = "https://helm.ngc.nvidia.com/nvidia"
        digest = hashlib.sha256(b"".join(INSTALLER.blocks())).hexdigest()
        file = {"url": f"https://{self.files}/tools/installer.run", "sha256": digest}
        return {
            "images": [
                f"nvcr.io/{CUDA}:{BASE}",
                bare,
                f"nvcr.io/{CUDA}:{OLD}",
                pattern,
                self.upstream.name("app:1.0"),
                f"{self.upstream.name('pinned')}@{self.by_digest.digest}",
            ],
            "charts": [
                {"repo": helm, "name": "gpu-operator", "version": "v25.3.0"},
                "oci://nvcr.io/nvidia/cloud-native-charts/gpu-operator:v26.7.0",
            ],
            "models": [{"ngc": f"{CITRINET}:deployable_v2.0.0"}],
            "resources": [{"ngc": "nvidia/riva_quickstart:2.18.0"}],
            "files": [{**file, "path": "tools/installer.run"}],
            "registries": {**self.ngc.registries, self.files: {"ca": str(self.ca)}},
        }


def build(ngc: EmulatedNgc, upstream: Upstream, files: str, authority: Authority) -> World:
    """Push what the registry holds: a signed index with an SBOM, and an image known by digest."""
    app = upstream.multi("app", 1_500_000, 200_000)
    upstream.push("app", signature(app, upstream.name("app")), signature_tag(app))
    sbom = referrer(app, "application/spdx+json", SBOM)
    upstream.push("app", sbom)
    entry = sbom.manifest.descriptor(artifactType=sbom.artifact_type)
    listing = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry]}
    tag = Graph(blob(encode(listing), OCI_INDEX))
    upstream.push("app", tag, f"sha256-{app.digest.hex}")
    by_digest = upstream.image("pinned", 60_000)
    return World(ngc, upstream, files, authority.ca, app, by_digest, sbom)


@contextmanager
def https_files(folder: Path, authority: Authority) -> Iterator[str]:
    """Serve ``folder/data`` over HTTPS with a real server that knows ranges; yield host:port."""
    data, log = folder / "data", folder / "http.log"
    (data / "tools").mkdir(parents=True)
    (data / "tools/installer.run").write_bytes(b"".join(INSTALLER.blocks()))
    log.write_text("")
    options = ["--config", "/dev/null", "--addr", "127.0.0.1:0", "--log-level", "INFO"]
    tls: list[str | Path] = ["--cert", authority.cert, "--key", authority.key]
    command = [programs.require("rclone"), "serve", "http", *options, *tls, data]
    with process.running(command, log=log) as child:
        yield process.wait_for(child, log, r"\[?https://(127\.0\.0\.1:\d+)/")
