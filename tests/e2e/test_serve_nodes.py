"""What runs on nodes pulls from ``dray serve`` by docs/serve.md's files: containerd, podman."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bundle.artifact import Artifact, Content
from bundle.decode import compact_json
from bundle.digest import Digest
from bundler.lock import LockedArtifact, LockedContent, Origin
from tests import factory
from tests.importer.serve.conftest import serve
from tests.servers import programs
from tests.servers.process import running, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.importer.serve.conftest import Served

    Serve = Callable[..., Served]

__all__ = ["serve"]
pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif(os.geteuid() != 0, reason="containerd and podman unpack images as root"),
]
GUIDE = (Path(__file__).parents[2] / "docs" / "serve.md").read_text(encoding="utf-8")
OCI = "application/vnd.oci.image"


def block(name: str) -> str:
    """Return a file of the guide."""
    found = re.search(rf"^```toml \S*{re.escape(name)}\n(.*?)^```$", GUIDE, re.M | re.S)
    assert found, name
    return found[1]


def image(kept: factory.Contents, name: str) -> LockedArtifact:
    """Return an image that can be unpacked: its config says what its layer is."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for path, data in {"etc/name": name.encode(), "big": factory.noise(name, 300_000)}.items():
            entry = tarfile.TarInfo(path)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    layer = made.getvalue()
    rootfs = {"type": "layers", "diff_ids": [str(Digest.of(layer))]}
    config = compact_json({"architecture": "amd64", "os": "linux", "rootfs": rootfs})
    rows = [
        {"mediaType": f"{OCI}.{kind}", "digest": str(kept.add(data)), "size": len(data)}
        for kind, data in (("config.v1+json", config), ("layer.v1.tar", layer))
    ]
    document = {"schemaVersion": 2, "mediaType": f"{OCI}.manifest.v1+json"}
    root = compact_json({**document, "config": rows[0], "layers": rows[1:]})
    repository, _, tag = name.rpartition(":")
    contents = (
        Content("config", f"{OCI}.config.v1+json", Digest.of(config), len(config)),
        Content("layer", f"{OCI}.layer.v1.tar", Digest.of(layer), len(layer)),
        Content("manifest", f"{OCI}.manifest.v1+json", kept.add(root), len(root), tags=(tag,)),
    )
    artifact = Artifact("image", name, repository, tag, Digest.of(root), contents)
    host, _, path = repository.partition("/")
    origin = Origin("registry", {"host": host, "repository": path})
    return LockedArtifact(artifact, origin, tuple(map(LockedContent, contents)))


CUDA, HARBOR = "nvcr.io/nvidia/cuda:12.6", "docker.io/goharbor/harbor-core:v2.12.0"


def images(kept: factory.Contents) -> tuple[Any, ...]:
    return image(kept, CUDA), image(kept, HARBOR)


def run(*command: object, ok: bool = True, environment: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        list(map(str, command)),
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **(environment or {})},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode == 0) is ok, done.stdout + done.stderr
    return done.stdout + done.stderr


@contextmanager
def containerd(folder: Path) -> Iterator[Path]:
    """Run a containerd with everything in ``folder``; yield its socket."""
    config, socket = folder / "config.toml", folder / "socket"
    config.write_text(
        f'version = 2\nroot = "{folder}/root"\nstate = "{folder}/state"\n'
        'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n'
        f'[grpc]\naddress = "{socket}"\n'
    )
    log = folder / "log"
    with running([programs.require("containerd"), "-c", config], log=log) as process:
        wait_for(process, log, "containerd (successfully booted)")
        yield socket


def test_containerd_pulls_what_came_from_a_source_through_a_mirror(
    serve: Serve, tmp_path: Path
) -> None:
    served = serve(factory.build(tmp_path / "bundle", images))
    ctr = programs.require("ctr")
    hosts = tmp_path / "certs.d"
    for source in ("nvcr.io", "docker.io"):
        (hosts / source).mkdir(parents=True)
        text = block(f"{source}/hosts.toml").replace("https://boot.example.com:5000", served.url)
        text = re.sub("^ +ca = .*$", "", text, flags=re.M)
        (hosts / source / "hosts.toml").write_text(text)
    node = tmp_path / "node"
    node.mkdir()
    with containerd(node) as socket:
        pull = (
            ctr,
            "-a",
            socket,
            "images",
            "pull",
            "--hosts-dir",
            hosts,
            "--snapshotter",
            "native",
        )
        for name in (CUDA, HARBOR):
            run(*pull, name)
        listed = run(ctr, "-a", socket, "images", "ls")
        for artifact in served.bundle.manifest.artifacts:
            assert re.search(rf"{re.escape(artifact.name)} .*{artifact.root}", listed)
        other = HARBOR.replace("docker.io/goharbor", "nvcr.io/goharbor")
        run(*pull, other, ok=False)  # the same path of another source is not what was asked for
    assert not served.faults


def test_podman_pulls_what_came_from_a_source_through_a_mirror(
    serve: Serve, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    served = serve(factory.build(tmp_path / "bundle", images))
    conf, policy = tmp_path / "registries.conf", tmp_path / "policy.json"
    text = block("registries.conf").replace("boot.example.com:5000", served.host)
    conf.write_text(text + "insecure = true\n")
    policy.write_text(json.dumps({"default": [{"type": "insecureAcceptAnything"}]}))
    # podman takes no long name for it.
    short = Path(tempfile.mkdtemp(prefix="pod-"))
    request.addfinalizer(lambda: shutil.rmtree(short, ignore_errors=True))
    places = ("--root", tmp_path / "root", "--runroot", short)
    podman = (programs.require("podman"), *places, "--storage-driver", "vfs")
    home = {"HOME": str(tmp_path), "CONTAINERS_REGISTRIES_CONF": str(conf)}
    run(*podman, "pull", "-q", "--signature-policy", policy, CUDA, environment=home)
    shown = run(*podman, "image", "inspect", "--format", "{{.Digest}}", CUDA, environment=home)
    cuda = next(one for one in served.bundle.manifest.artifacts if one.name == CUDA)
    assert cuda.root in shown
